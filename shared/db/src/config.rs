//! Where the database is, and which certificates to trust: the only code that reads database URLs and opens connections,
//! for the functions and the tools.

mod error;
mod tcp;
mod tls;
mod url;

use std::io;

use postgres_native_tls::{MakeTlsConnector, TlsStream};
use tokio::net::TcpStream;
use tokio_postgres::{Client, config::SslMode, tls::MakeTlsConnect};

pub use error::{ConnectError, InvalidConfig};
use tcp::{DEFAULT_PORT, Endpoint};

#[derive(Clone)]
pub struct Config {
    postgres: tokio_postgres::Config,
    tls: MakeTlsConnector,
}

/// Drives a connection until its `Client` is dropped: a future to be spawned.
pub type Driver = tokio_postgres::Connection<TcpStream, TlsStream<TcpStream>>;

impl Config {
    /// Parses a connection URL. White space around it is ignored.
    ///
    /// TLS is always required, and the server's certificate and name are always verified, whatever `sslmode` asks for:
    /// against the system's authorities and those in `authorities` (PEM).
    pub fn new(url: &str, authorities: Option<&[u8]>) -> Result<Self, InvalidConfig> {
        let mut postgres = url::parse(url.trim())?;
        postgres.ssl_mode(SslMode::Require);
        Ok(Self { postgres, tls: tls::connector(authorities)? })
    }

    /// The first host.
    pub fn host(&self) -> &str {
        Endpoint::all(&self.postgres).next().map_or("", |host| host.name)
    }

    /// The first host's port.
    pub fn port(&self) -> u16 {
        Endpoint::all(&self.postgres).next().map_or(DEFAULT_PORT, |host| host.port)
    }

    /// The role to log in as.
    pub fn user(&self) -> &str {
        self.postgres.get_user().unwrap_or_default()
    }

    /// Defaults to the role's name, as in PostgreSQL.
    pub fn database(&self) -> &str {
        self.postgres.get_dbname().unwrap_or(self.user())
    }

    /// The same server and role, with another database.
    #[must_use]
    pub fn at_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.postgres.dbname(name);
        other
    }

    /// Whether both have the same server, role, password and options.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.postgres == other.postgres
    }

    /// Opens a connection, encrypted and verified. There is no timeout for the whole: the caller sets one.
    ///
    /// The socket is reset when it is closed, so data that the kernel has not delivered by then is lost.
    pub async fn connect(&self) -> Result<(Client, Driver), ConnectError> {
        let mut last_error = None;
        for host in Endpoint::all(&self.postgres) {
            match host.connect().await {
                Ok(stream) => {
                    let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut self.tls.clone(), host.name);
                    let tls = tls.map_err(io::Error::other)?;
                    return Ok(self.postgres.connect_raw(stream, tls).await?);
                }
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url_are_read() {
        let url = " postgres://owner:p%40ss@db.example:6543/app?sslmode=require\r\n";
        let config = Config::new(url, None).unwrap();
        assert_eq!((config.host(), config.port()), ("db.example", 6543));
        assert_eq!((config.user(), config.database()), ("owner", "app"));
        assert_eq!(config.postgres.get_password(), Some(&b"p@ss"[..]));
        let short = Config::new("postgresql://owner:x@localhost", None).unwrap();
        assert_eq!((short.port(), short.database()), (5432, "owner"));
    }

    #[test]
    fn tls_is_required_whatever_the_url_asks_for() {
        for mode in ["", "?sslmode=allow", "?sslmode=prefer", "?sslmode=verify-full"] {
            let config = Config::new(&format!("postgresql://u:p@localhost/app{mode}"), None).unwrap();
            assert_eq!(config.postgres.get_ssl_mode(), SslMode::Require, "{mode}");
        }
        let disabled = Config::new("postgresql://u:p@localhost/app?sslmode=disable", None);
        assert_eq!(disabled.err(), Some(InvalidConfig::Insecure));
    }
}
