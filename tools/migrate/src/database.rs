//! The one connection everything goes over.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, anyhow, bail, ensure};
use sqlx::{
    Connection, Error, Executor, PgConnection,
    migrate::{Migrate, MigrateError},
    postgres::{PgConnectOptions, PgDatabaseError, PgErrorPosition, PgSslMode},
};
use tokio::time::{Instant, sleep, timeout};

use crate::files::File;

/// Where sqlx keeps its books.
const TABLE: &str = "_sqlx_migrations";

/// The advisory lock of this tool. Such locks belong to a database, so one number serves all.
const LOCK: i64 = i64::from_be_bytes(*b"migrate\0");

/// Where to connect to, checked before anything is sent.
#[derive(Debug)]
pub struct Endpoint {
    options: PgConnectOptions,
    name: String,
}

impl Endpoint {
    /// Reads the address. TLS is always required and verified, whatever `sslmode` asks for. `channel_binding` is
    /// ignored, which sqlx does not know: a verified certificate protects from the same man in the middle.
    ///
    /// # Errors
    /// It cannot be read, names no host, or is a pooler's; or the file with the authority cannot be read.
    pub fn new(url: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        ensure!(
            url.starts_with("postgres://") || url.starts_with("postgresql://"),
            "the database URL does not start with postgres:// or postgresql://"
        );
        let mut options = url
            .parse::<PgConnectOptions>()
            .map_err(|error| anyhow!("the database URL cannot be read: {}", explain(&error)))?
            .ssl_mode(PgSslMode::VerifyFull);
        if let Some(file) = ca_file {
            let pem = fs::read(file)
                .with_context(|| format!("cannot read the certificate {} (DATABASE_CA_FILE)", file.display()))?;
            options = options.ssl_root_cert_from_pem(pem);
        }

        let host = options.get_host();
        ensure!(
            options.get_socket().is_none() && !host.starts_with('/'),
            "the database URL names no host: TLS needs one to verify"
        );
        let (first, rest) = host.split_once('.').unwrap_or((host, ""));
        if let Some(direct) = first.to_ascii_lowercase().strip_suffix("-pooler") {
            bail!("{host} is a pooler, over which migrations cannot run: use the direct endpoint, {direct}.{rest}");
        }
        let name = format!("{host}:{}", options.get_port());
        Ok(Self { options, name })
    }
}

/// One file that was applied.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) checksum: Vec<u8>,
    /// When, in UTC.
    pub(crate) at: String,
}

/// A session of PostgreSQL. The lock lives as long as it does.
#[derive(Debug)]
pub struct Database {
    connection: PgConnection,
}

impl Database {
    /// Opens the connection, within `patience`.
    ///
    /// # Errors
    /// The database does not answer, cannot be verified, or refuses.
    pub async fn connect(endpoint: &Endpoint, patience: Duration) -> anyhow::Result<Self> {
        let name = &endpoint.name;
        let connection = match timeout(patience, PgConnection::connect_with(&endpoint.options)).await {
            Err(_) => bail!("the database at {name} did not answer within {} s", patience.as_secs()),
            Ok(Err(Error::Io(error))) => bail!("the database at {name} cannot be reached: {error}"),
            Ok(Err(Error::Tls(error))) => {
                bail!("no verified TLS connection to {name}: {error}; a private CA has to be named in DATABASE_CA_FILE")
            }
            Ok(Err(error)) => bail!("the database at {name} refuses the connection: {}", explain(&error)),
            Ok(Ok(connection)) => connection,
        };
        let mut database = Self { connection };
        // The role may have a limit that suits requests; building an index takes as long as it takes.
        database.connection.execute("SET statement_timeout = 0").await.map_err(broken)?;
        Ok(database)
    }

    /// Waits for the turn of this process.
    ///
    /// The lock is polled, as a statement that waits for it holds a snapshot, which `CREATE INDEX CONCURRENTLY` in the
    /// process that has the lock would wait for in turn: a deadlock.
    pub(crate) async fn lock(&mut self, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(LOCK)
                .fetch_one(&mut self.connection)
                .await
                .map_err(broken)?;
            if locked {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "another migration has not ended for {} s: try again when it has, or with a longer --lock-timeout",
                patience.as_secs()
            );
            sleep(Duration::from_millis(150)).await;
        }
    }

    /// What was applied, by number.
    pub(crate) async fn applied(&mut self) -> anyhow::Result<Vec<Applied>> {
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(TABLE)
            .fetch_one(&mut self.connection)
            .await
            .map_err(broken)?;
        if !exists {
            return Ok(Vec::new());
        }
        let rows: Vec<(i64, String, Vec<u8>, String)> = sqlx::query_as(
            "SELECT version, description, checksum,
                    to_char(installed_on AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at
             FROM _sqlx_migrations ORDER BY version",
        )
        .fetch_all(&mut self.connection)
        .await
        .map_err(broken)?;
        Ok(rows
            .into_iter()
            .map(|(version, description, checksum, at)| Applied { version, description, checksum, at })
            .collect())
    }

    /// Applies one file and says how long it took.
    pub(crate) async fn apply(&mut self, file: &File) -> anyhow::Result<Duration> {
        let failed = |error| failure(file, error);
        self.connection.ensure_migrations_table(TABLE).await.map_err(failed)?;
        self.connection.apply(TABLE, &file.migration).await.map_err(failed)
    }
}

/// What to tell when a file fails: where, why, and what state it leaves.
fn failure(file: &File, error: MigrateError) -> anyhow::Error {
    let name = &file.name;
    let error = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        error => return anyhow!("{name} failed: {error}"),
    };
    let reason = explain(&error);
    if !matches!(error, Error::Database(_)) {
        return anyhow!("{name} broke off, see `migrate status` for whether it is applied: {reason}");
    }
    let line = line_of(&error, file.migration.sql.as_str()).map(|line| format!(", line {line}")).unwrap_or_default();
    if file.migration.no_tx {
        anyhow!(
            "{name}{line} failed: {reason}; it runs outside a transaction, so remove what it left, such as an INVALID \
             index, before the next try"
        )
    } else {
        anyhow!("{name}{line} failed and was rolled back: {reason}")
    }
}

/// The line of the file the server points at.
fn line_of(error: &Error, sql: &str) -> Option<usize> {
    match error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.position()? {
        PgErrorPosition::Original(position) => {
            Some(1 + sql.chars().take(position.saturating_sub(1)).filter(|&character| character == '\n').count())
        }
        PgErrorPosition::Internal { .. } => None,
    }
}

fn broken(error: Error) -> anyhow::Error {
    anyhow!("the database failed: {}", explain(&error))
}

/// sqlx's errors print their source as well as naming it, and a line of PostgreSQL's own C code.
fn explain(error: &Error) -> String {
    match error {
        Error::Database(error) => format!("{} ({})", error.message(), error.code().unwrap_or_default()),
        Error::Io(error) => error.to_string(),
        Error::Tls(error) | Error::Configuration(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Endpoint::new(url, None).unwrap_err().to_string()
    }

    #[test]
    fn a_pooler_is_refused_and_the_direct_endpoint_named() {
        for host in ["ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech", "EP-calm-sea-123456-POOLER.aws.neon.tech"]
        {
            let message = refusal(&format!("postgres://user:hunter2@{host}/neondb?sslmode=require"));
            assert!(message.contains("use the direct endpoint, ep-calm-sea-123456."), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        let message = refusal("postgres://user@direct.example/db?host=db-pooler.example");
        assert!(message.contains("is a pooler"), "{message}");
    }

    #[test]
    fn a_pooler_is_told_by_its_first_label_alone() {
        for host in ["ep-calm-sea-123456.aws.neon.tech", "db.my-pooler.example", "pooler.example"] {
            Endpoint::new(&format!("postgres://user@{host}/db"), None).unwrap();
        }
    }

    #[test]
    fn tls_is_verified_whatever_the_url_asks_for() {
        for mode in ["", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require&channel_binding=require"] {
            let endpoint = Endpoint::new(&format!("postgresql://user@db.example/db{mode}"), None).unwrap();
            assert!(matches!(endpoint.options.get_ssl_mode(), PgSslMode::VerifyFull), "{mode}");
        }
    }

    #[test]
    fn an_address_without_a_host_to_verify_is_refused() {
        for url in ["postgres:///db?host=/run/postgresql", "postgres://%2Frun%2Fpostgresql/db"] {
            assert!(refusal(url).contains("names no host"), "{url}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_is_refused_without_being_repeated() {
        for url in ["mysql://user:hunter2@db.example/db", "postgres://user:hunter2@db.example:port/db", "hunter2"] {
            assert!(!refusal(url).contains("hunter2"), "{url}");
        }
    }
}
