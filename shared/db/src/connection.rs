use std::{
    pin::Pin,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::{
    sync::Mutex,
    task::AbortHandle,
    time::{timeout, timeout_at},
};
use tokio_postgres::{
    Client, Row,
    config::SslMode,
    types::{ToSql, Type},
};

use crate::{
    Error,
    error::{Verdict, cause, judge},
    retry::Attempts,
};

/// How often the configuration is looked up again while the database refuses it.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// How long that may keep a request that cannot tell whether it was refused: a Parameter Store that is slow must not
/// add to an outage of the database.
const RENEW_ON_SUSPICION: Duration = Duration::from_secs(1);

/// A statement's parameters, each with the type it is sent as: naming them saves the round trip of asking.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Where the database is, and whom to trust there.
#[derive(Clone)]
pub struct Config {
    postgres: tokio_postgres::Config,
    tls: MakeTlsConnector,
}

/// A setting that cannot be used. Its text holds nothing of the URL, which has a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// Not of the form `postgresql://user:password@host/database?sslmode=require`.
    #[error("is not a PostgreSQL connection URL such as postgresql://user:password@host/database?sslmode=require")]
    Url,
    /// `sslmode` asks for less than TLS.
    #[error("must say sslmode=require (or leave sslmode out): connections are always encrypted and verified")]
    Insecure,
    /// The certificate of the extra authority cannot be read.
    #[error("is not a file of certificates in PEM form")]
    Certificate,
    /// The TLS library does not start.
    #[error("cannot be used: the TLS library does not start")]
    Tls,
}

impl Config {
    /// Reads a connection URL, Neon's pooled one for instance. TLS is required whatever the URL says, and the
    /// server's certificate and name are verified against the system's authorities and, if given, one more (PEM).
    ///
    /// # Errors
    /// [`InvalidConfig`]: what is wrong with the URL or the certificate.
    pub fn new(url: &str, authority: Option<&[u8]>) -> Result<Self, InvalidConfig> {
        let mut postgres = tokio_postgres::Config::from_str(url).map_err(|_| InvalidConfig::Url)?;
        if postgres.get_hosts().is_empty() {
            return Err(InvalidConfig::Url);
        }
        if postgres.get_ssl_mode() == SslMode::Disable {
            return Err(InvalidConfig::Insecure);
        }
        postgres.ssl_mode(SslMode::Require);
        // A connection that swallows everything is given up by the kernel, too.
        postgres.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(10));

        let mut tls = TlsConnector::builder();
        if let Some(pem) = authority {
            tls.add_root_certificate(Certificate::from_pem(pem).map_err(|_| InvalidConfig::Certificate)?);
        }
        let tls = MakeTlsConnector::new(tls.build().map_err(|_| InvalidConfig::Tls)?);
        Ok(Self { postgres, tls })
    }
}

/// Looks up again where the database is and how to get in; `None` when that cannot be done.
pub type Renew = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<Config>> + Send>> + Send + Sync>;

/// The one connection of an execution environment: opened while it starts, reopened when it is gone.
///
/// Requests share it; their statements are independent, so they may be in flight together.
pub struct Database {
    link: Mutex<Link>,
    renew: Option<Renew>,
}

struct Link {
    config: Config,
    /// When the configuration was last looked up again, and whether it had changed.
    renewed: Option<(Instant, bool)>,
    connection: Option<Arc<Connection>>,
}

/// An open connection. Its driver, which owns the socket, ends with the last use of it: by itself it would wait for
/// answers that never come, and hold the socket open for good.
struct Connection {
    client: Client,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Database {
    /// Opens the connection. A database that cannot be reached is no error here: each request tries again.
    ///
    /// When the database refuses the password, `renew` is asked whether there is a new one.
    pub async fn open(config: Config, renew: Option<Renew>) -> Self {
        let database = Self { link: Mutex::new(Link { config, renewed: None, connection: None }), renew };
        if database.ping().await.is_err() {
            tracing::warn!("the database cannot be reached yet");
        }
        database
    }

    /// Asks the database for an answer, any answer.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<(), Error> {
        self.query("SELECT 1", &[]).await.map(drop)
    }

    /// Runs a statement that may be repeated, until it has an answer or the budget is spent.
    pub(crate) async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        self.query_told(sql, params).await.map(|(rows, _)| rows)
    }

    /// As [`Database::query`]; says also whether an earlier attempt may have been carried out.
    pub(crate) async fn query_told(&self, sql: &str, params: Params<'_>) -> Result<(Vec<Row>, bool), Error> {
        let attempts = Attempts::start();
        // The budget bounds all that is waited for, the pauses and a new configuration as much as the attempts.
        timeout_at(attempts.deadline(), self.repeat(attempts, sql, params)).await.unwrap_or(Err(Error::Unavailable))
    }

    async fn repeat(&self, mut attempts: Attempts, sql: &str, params: Params<'_>) -> Result<(Vec<Row>, bool), Error> {
        loop {
            let begun = Instant::now();
            match self.attempt(&mut attempts, sql, params).await {
                Ok(rows) => return Ok((rows, attempts.is_repeat())),
                Err(Verdict::Fail(error)) => return Err(error),
                Err(Verdict::Refused) if !self.renewed_since(begun).await => return Err(Error::Unavailable),
                Err(Verdict::PerhapsRefused) => drop(timeout(RENEW_ON_SUSPICION, self.renewed_since(begun)).await),
                Err(Verdict::Refused | Verdict::Repeat) => {}
            }
            attempts.pause().await;
        }
    }

    /// Sends the statement once. A connection that fails it is given up.
    async fn attempt(&self, attempts: &mut Attempts, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Verdict> {
        let until = attempts.next();
        let connection = match timeout_at(until, self.connection()).await {
            Ok(connection) => connection.map_err(|error| {
                tracing::warn!(cause = cause(&error), "the database was not reached");
                judge(&error)
            })?,
            Err(_elapsed) => return Err(Verdict::Repeat),
        };
        attempts.sending();
        let verdict = match timeout_at(until, connection.client.query_typed(sql, params)).await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => judge(&error),
            Err(_elapsed) => Verdict::Repeat,
        };
        if !matches!(verdict, Verdict::Fail(_)) {
            self.give_up(&connection).await;
        }
        Err(verdict)
    }

    /// The open connection, or a new one.
    async fn connection(&self) -> Result<Arc<Connection>, tokio_postgres::Error> {
        let mut link = self.link.lock().await;
        if let Some(connection) = link.connection.as_ref() {
            // After a thaw the task that owns the socket has not seen yet that it is closed: let it look.
            tokio::task::yield_now().await;
            if !connection.client.is_closed() {
                return Ok(Arc::clone(connection));
            }
        }
        let (client, driver) = link.config.postgres.connect(link.config.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            // What ends the connection is told to the statement that waits for it.
            let _ = driver.await;
        });
        let connection = Arc::new(Connection { client, driver: driver.abort_handle() });
        link.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Lets go of a connection, unless another request has done so and opened a new one.
    async fn give_up(&self, failed: &Arc<Connection>) {
        self.link.lock().await.connection.take_if(|current| Arc::ptr_eq(current, failed));
    }

    /// Whether there is another configuration than the one an attempt was refused with that began at this time.
    async fn renewed_since(&self, begun: Instant) -> bool {
        let Some(renew) = &self.renew else { return false };
        let mut link = self.link.lock().await;
        match link.renewed {
            Some((at, changed)) if at > begun => return changed,
            Some((at, _)) if at.elapsed() < RENEW_EVERY => return false,
            _ => {}
        }
        // Also when there is no waiting for the answer, there was a question.
        link.renewed = Some((Instant::now(), false));
        let config = renew().await.filter(|config| config.postgres != link.config.postgres);
        link.renewed = Some((Instant::now(), config.is_some()));
        match config {
            Some(config) => {
                link.config = config;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(url: &str) -> Option<InvalidConfig> {
        Config::new(url, None).err()
    }

    #[test]
    fn neons_pooled_url_is_taken_as_it_is() {
        let url = "postgresql://owner:secret@ep-x-pooler.eu-central-1.aws.neon.tech/app?sslmode=require&channel_binding=require";
        assert_eq!(invalid(url), None);
    }

    #[test]
    fn tls_is_required_even_where_the_url_only_prefers_it() {
        for url in ["postgresql://u:p@localhost/app", "postgresql://u:p@localhost/app?sslmode=prefer"] {
            assert_eq!(
                Config::new(url, None).map(|config| config.postgres.get_ssl_mode()).ok(),
                Some(SslMode::Require)
            );
        }
    }

    #[test]
    fn a_url_that_forbids_tls_is_refused() {
        assert_eq!(invalid("postgresql://u:p@localhost/app?sslmode=disable"), Some(InvalidConfig::Insecure));
    }

    #[test]
    fn what_is_no_url_is_refused_without_quoting_it() {
        for url in ["", "postgresql://", "mysql://u:hidden@h/d", "postgresql://u:hidden@h/d?sslmode=verify-full"] {
            assert_eq!(invalid(url), Some(InvalidConfig::Url), "{url}");
        }
        assert!(!InvalidConfig::Url.to_string().contains("hidden"));
    }

    #[test]
    fn a_broken_certificate_is_refused() {
        let broken = Config::new("postgresql://u:p@localhost/app", Some(b"no certificate"));
        assert_eq!(broken.err(), Some(InvalidConfig::Certificate));
    }
}
