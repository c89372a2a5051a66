//! Where the database is, and which certificates to trust: the only code that reads database URLs and opens connections,
//! for the functions and the tools.

mod error;
mod tcp;
mod tls;
mod url;

use std::io;

use postgres_native_tls::TlsStream;
use tokio::net::TcpStream;
use tokio_postgres::{Client, config::SslMode, tls::MakeTlsConnect};

pub use error::{ConnectError, InvalidConfig};
use tcp::{DEFAULT_PORT, Endpoint};
use tls::Tls;

#[derive(Clone)]
pub struct Config {
    postgres: tokio_postgres::Config,
    tls: Tls,
}

/// Drives a connection until its `Client` is dropped: a future to be spawned.
pub type Driver = tokio_postgres::Connection<TcpStream, TlsStream<TcpStream>>;

impl Config {
    /// Parses a connection URL. White space around it is ignored.
    ///
    /// TLS is always required, and the server's certificate and name are always verified, whatever `sslmode` asks for:
    /// against the system's authorities and those in `authorities` (PEM).
    pub fn new(url: &str, authorities: Option<&[u8]>) -> Result<Self, InvalidConfig> {
        Self::with_system(url, authorities, None)
    }

    /// The same, where the system's authorities are these (PEM): those that Neon's certificates come from are parsed now,
    /// all others when a server's certificate is from none of them.
    ///
    /// `SSL_CERT_FILE` has to be a file without certificates, as TLS parses all of the system's otherwise.
    pub fn with_system(url: &str, authorities: Option<&[u8]>, system: Option<String>) -> Result<Self, InvalidConfig> {
        let mut postgres = url::parse(url.trim())?;
        postgres.ssl_mode(SslMode::Require);
        Ok(Self { postgres, tls: Tls::new(authorities, system)? })
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
                    return match self.open(host.name, stream).await {
                        Err(error) if error.is_tls() && self.tls.trust_all() => {
                            self.open(host.name, host.connect().await?).await
                        }
                        result => result,
                    };
                }
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()).into())
    }

    async fn open(&self, host: &str, stream: TcpStream) -> Result<(Client, Driver), ConnectError> {
        let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut self.tls.connector(), host);
        Ok(self.postgres.connect_raw(stream, tls.map_err(io::Error::other)?).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
            mpsc::{Receiver, channel},
        },
        thread,
    };

    use native_tls::{Identity, TlsAcceptor};
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

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

    /// The handshakes with a server that knows TLS and nothing else.
    struct Handshakes {
        begun: Arc<AtomicUsize>,
        /// Whether the client trusted the server.
        ended: Receiver<bool>,
    }

    impl Handshakes {
        /// Waits for those that have begun.
        fn all(&self) -> Vec<bool> {
            (0..self.begun.swap(0, Ordering::SeqCst)).map(|_| self.ended.recv().unwrap()).collect()
        }
    }

    /// A certificate of an authority with this name, and the authority's own.
    fn authority(name: &str) -> (Identity, String) {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, name);
        let issuer = Issuer::new(ca.clone(), KeyPair::generate().unwrap());
        let ca = ca.self_signed(issuer.key()).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let identity = Identity::from_pkcs8(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        (identity, ca)
    }

    /// A server; its URL.
    fn server(identity: Identity) -> (Handshakes, String) {
        let (acceptor, listener) = (TlsAcceptor::new(identity).unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let url = format!("postgresql://u:p@localhost:{}/app", listener.local_addr().unwrap().port());
        let (sender, ended) = channel();
        let handshakes = Handshakes { begun: Arc::default(), ended };
        let begun = Arc::clone(&handshakes.begun);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                begun.fetch_add(1, Ordering::SeqCst);
                // SSLRequest, and the answer that the server is willing.
                connection.read_exact(&mut [0; 8]).unwrap();
                connection.write_all(b"S").unwrap();
                // In TLS 1.3 the client's verdict comes after the server's part.
                let is_trusted = acceptor.accept(connection).is_ok_and(|mut stream| stream.read(&mut [0; 64]).is_ok());
                sender.send(is_trusted).unwrap();
            }
        });
        (handshakes, url)
    }

    /// Connects; whether TLS was what failed.
    fn connect(config: &Config) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(config.connect()).err().unwrap().is_tls()
    }

    #[test]
    fn the_system_s_authorities_are_parsed_when_neon_s_is_not_the_one() {
        let others: String = ["One", "Two"].map(|name| authority(name).1).concat();
        let (identity, neon) = authority("ISRG Root X9");
        let (handshakes, url) = server(identity);
        let config = Config::with_system(&url, None, Some(format!("# Two\n{others}{neon}"))).unwrap();
        assert!(!connect(&config) && !connect(&config));
        assert_eq!(handshakes.all(), [true, true]);
        assert!(config.tls.trust_all(), "all were parsed");

        let (identity, another) = authority("Another Root");
        let (handshakes, url) = server(identity);
        let config = Config::with_system(&url, None, Some(format!("{neon}{others}{another}"))).unwrap();
        assert!(!connect(&config) && !connect(&config));
        assert_eq!(handshakes.all(), [false, true, true]);
    }

    #[test]
    fn a_certificate_of_no_authority_of_the_system_is_refused() {
        let (identity, _) = authority("ISRG Root X9");
        let (handshakes, url) = server(identity);
        let another = authority("ISRG Root X9").1;
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let config = Config::with_system(&url, None, Some(format!("{another}{broken}"))).unwrap();
        assert!(connect(&config) && connect(&config));
        assert_eq!(handshakes.all(), [false, false, false]);
    }
}
