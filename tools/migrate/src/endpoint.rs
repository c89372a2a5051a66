use std::{fs, io, path::Path, time::Duration};

use anyhow::{Chain, Context, anyhow, bail};
use db::{Config, ConnectError, pooler};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Client;

use crate::error::describe;

/// Turns off the limits that a role may have for requests: building an index can take hours.
pub(crate) const DISABLE_TIMEOUTS: &str = "
    SELECT set_config(name, '0', false) FROM pg_settings
    WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')";

/// The first and the longest pause between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Where to connect to, checked before anything is sent.
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    /// `HOST:PORT`
    pub(crate) name: String,
}

impl Endpoint {
    /// Parses a connection URL.
    ///
    /// # Errors
    /// The URL is invalid or a pooler's, or the CA file cannot be read.
    pub fn new(url: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let read = |file: &Path| {
            fs::read(file)
                .with_context(|| format!("cannot read the certificates {} (DATABASE_CA_FILE)", file.display()))
        };
        let authorities = ca_file.map(read).transpose()?;
        let config = Config::new(url, authorities.as_deref()).map_err(|error| match error {
            db::InvalidConfig::Certificate => anyhow!("DATABASE_CA_FILE {error}"),
            error => anyhow!("the database URL {error}"),
        })?;
        let host = config.host();
        if let Some(direct) = pooler::direct(host) {
            bail!("{host} is a pooler, which cannot run migrations: use the direct endpoint, {direct}");
        }
        let name = format!("{host}:{}", config.port());
        Ok(Self { config, name })
    }

    /// Opens a connection. Transient errors are retried until the timeout: a compute that wakes, a server that starts
    /// or has too many connections.
    pub(crate) async fn connect(&self, timeout: Duration) -> anyhow::Result<Client> {
        let deadline = Instant::now() + timeout;
        let (mut pause, longest) = BACKOFF;
        let mut last = None;
        loop {
            match timeout_at(deadline, self.open()).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) if is_transient(&error) && Instant::now() + pause < deadline => last = Some(error),
                Ok(Err(error)) => return Err(self.explain(&error)),
                Err(_) => {
                    let silent =
                        || anyhow!("the database at {} did not answer within {} s", self.name, timeout.as_secs());
                    return Err(last.map_or_else(silent, |error| self.explain(&error)));
                }
            }
            sleep(pause).await;
            pause = (2 * pause).min(longest);
        }
    }

    async fn open(&self) -> Result<Client, ConnectError> {
        let (client, driver) = self.config.connect().await?;
        tokio::spawn(driver);
        client.batch_execute(DISABLE_TIMEOUTS).await?;
        Ok(client)
    }

    fn explain(&self, error: &ConnectError) -> anyhow::Error {
        let name = &self.name;
        match error {
            ConnectError::Network(error) => anyhow!("the database at {name} cannot be reached: {error}"),
            ConnectError::Postgres(error) if error.as_db_error().is_some() => {
                anyhow!("the database at {name} refused the connection: {}", describe(error))
            }
            ConnectError::Postgres(error) if has_cause::<native_tls::Error>(error) => {
                anyhow!(
                    "no verified TLS connection to {name}: {}; set DATABASE_CA_FILE for a private CA",
                    describe(error)
                )
            }
            ConnectError::Postgres(error) => anyhow!("cannot connect to the database at {name}: {}", describe(error)),
        }
    }
}

fn has_cause<E: std::error::Error + 'static>(error: &tokio_postgres::Error) -> bool {
    Chain::new(error).any(|cause| cause.is::<E>())
}

fn is_transient(error: &ConnectError) -> bool {
    match (error, error.as_db_error()) {
        (ConnectError::Network(_), _) => true,
        (_, Some(refusal)) => is_transient_sqlstate(refusal.code().code()),
        (ConnectError::Postgres(error), None) => error.is_closed() || has_cause::<io::Error>(error),
    }
}

/// By class. Neon's proxy answers XX000 to everything, also while a compute wakes.
fn is_transient_sqlstate(sqlstate: &str) -> bool {
    ["08", "53", "57", "58", "XX"].iter().any(|class| sqlstate.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Endpoint::new(url, None).err().unwrap().to_string()
    }

    #[test]
    fn a_pooler_is_refused_and_the_direct_endpoint_named() {
        for host in ["ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech", "EP-calm-sea-123456-POOLER.aws.neon.tech"]
        {
            let message = refusal(&format!("postgres://user:hunter2@{host}/neondb?sslmode=require"));
            let direct = host.to_lowercase().replace("-pooler", "");
            assert!(message.to_lowercase().ends_with(&format!("use the direct endpoint, {direct}")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        let message = refusal("postgres://user@db-pooler.example/db");
        assert!(message.contains("is a pooler"), "{message}");
    }

    #[test]
    fn an_invalid_url_is_refused_without_being_repeated() {
        for url in ["mysql://user:hunter2@db.example/db", "postgres://user:hunter2@db.example:port/db", "hunter2"] {
            let message = refusal(url);
            assert!(message.starts_with("the database URL is not a PostgreSQL connection URL"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn transient_refusals_are_told_from_permanent_ones() {
        for sqlstate in ["XX000", "57P03", "57P01", "08006", "08P01", "53300", "58030"] {
            assert!(is_transient_sqlstate(sqlstate), "{sqlstate}");
        }
        for sqlstate in ["28P01", "28000", "3D000", "42501", "0A000", "55000"] {
            assert!(!is_transient_sqlstate(sqlstate), "{sqlstate}");
        }
    }
}
