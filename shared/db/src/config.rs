use std::{
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::{MakeTlsConnector, TlsStream};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_postgres::{
    Client,
    config::{Host, SslMode},
    error::DbError,
    tls::MakeTlsConnect,
};

/// PostgreSQL's port where a URL names none.
const PORT: u16 = 5432;

/// How long one of a host's addresses is tried before the next one is.
const ADDRESS: Duration = Duration::from_secs(1);

/// The parameters of a URL that are taken. Those about time and keepalives change nothing: the limits here are our own.
/// `tokio-postgres` knows some more, which only mean something for a socket that it opens itself.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "options",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "tcp_user_timeout",
    "user",
];

/// Where the database is, and whom to trust there: the one reader of database URLs, for the functions and the tools.
#[derive(Clone)]
pub struct Config {
    postgres: tokio_postgres::Config,
    tls: MakeTlsConnector,
}

/// A setting that cannot be used. Its text holds nothing of the URL, which has a password in it, but a parameter's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// Not of the form `postgresql://user:password@host/database?sslmode=require`.
    #[error("is not a PostgreSQL connection URL such as postgresql://user:password@host/database?sslmode=require")]
    Url,
    /// It names no user, or no host whose certificate could be verified.
    #[error("names no {0}: postgresql://user:password@host/database is expected")]
    Missing(&'static str),
    /// A parameter that means nothing here.
    #[error("has the parameter {0:?}, which is not known: leave it out")]
    UnknownParameter(String),
    /// A parameter with a value that it cannot have.
    #[error("has a value for the parameter {0:?} that cannot be used")]
    BadParameter(String),
    /// `sslrootcert` names a file, and a URL is kept where there are no files.
    #[error("names a file in sslrootcert: leave that out, and name the file in DATABASE_CA_FILE")]
    CertificateInUrl,
    /// `sslmode` asks for no TLS.
    #[error("must not say sslmode=disable: connections are always encrypted and verified")]
    Insecure,
    /// The file of authorities has no certificate, or one that cannot be read.
    #[error("is not a file of certificates in PEM form, all of which can be read")]
    Certificate,
    /// The TLS library does not start.
    #[error("cannot be used: the TLS library does not start")]
    Tls,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// None of the host's addresses could be reached.
    #[error("no address of the host can be reached: {0}")]
    Network(#[from] io::Error),
    /// The server could not be verified, refused, or broke off.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

impl ConnectError {
    /// What the server said, if it said anything.
    pub fn refusal(&self) -> Option<&DbError> {
        match self {
            Self::Network(_) => None,
            Self::Postgres(error) => error.as_db_error(),
        }
    }
}

/// What moves the bytes of a connection, until its `Client` is dropped: a future to be spawned.
pub type Driver = tokio_postgres::Connection<TcpStream, TlsStream<TcpStream>>;

impl Config {
    /// Reads a connection URL, Neon's pooled one for instance.
    ///
    /// TLS is required, and the server's certificate and name are verified, against the system's authorities and those
    /// in `authorities` (PEM): what `sslmode=verify-full` asks for is done for every other word, too. White space
    /// around the URL is no part of it.
    ///
    /// # Errors
    /// [`InvalidConfig`]: what is wrong with the URL or the certificates.
    pub fn new(url: &str, authorities: Option<&[u8]>) -> Result<Self, InvalidConfig> {
        let mut postgres = read(url.trim())?;
        postgres.ssl_mode(SslMode::Require);

        let mut tls = TlsConnector::builder();
        for authority in authorities.map(certificates).transpose()?.unwrap_or_default() {
            tls.add_root_certificate(authority);
        }
        let tls = MakeTlsConnector::new(tls.build().map_err(|_| InvalidConfig::Tls)?);
        Ok(Self { postgres, tls })
    }

    /// The host that is named first.
    pub fn host(&self) -> &str {
        self.hosts().next().map_or("", |host| host.name)
    }

    /// The port of that host.
    pub fn port(&self) -> u16 {
        self.hosts().next().map_or(PORT, |host| host.port)
    }

    /// The role to sign in as.
    pub fn user(&self) -> &str {
        self.postgres.get_user().unwrap_or_default()
    }

    /// The database; PostgreSQL's own default is the one of the role's name.
    pub fn database(&self) -> &str {
        self.postgres.get_dbname().unwrap_or(self.user())
    }

    /// The same server, with the same role, and another database.
    #[must_use]
    pub fn at_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.postgres.dbname(name);
        other
    }

    /// Whether both lead to the same place, as the same role, with the same password.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.postgres == other.postgres
    }

    /// Opens a connection, encrypted and verified. It is the caller's to bound the time.
    ///
    /// Its socket is reset when it is closed: what the kernel has not delivered by then, it never will.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self) -> Result<(Client, Driver), ConnectError> {
        let mut last = None;
        for host in self.hosts() {
            match host.reach().await {
                Ok(stream) => {
                    let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut self.tls.clone(), host.name);
                    let tls = tls.map_err(io::Error::other)?;
                    return Ok(self.postgres.connect_raw(stream, tls).await?);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()).into())
    }

    /// Hosts with their addresses and ports: one port may be for all hosts.
    fn hosts(&self) -> impl Iterator<Item = Endpoint<'_>> {
        let (addresses, ports) = (self.postgres.get_hostaddrs(), self.postgres.get_ports());
        let hosts = self.postgres.get_hosts().iter().enumerate();
        hosts.filter_map(move |(index, host)| match host {
            Host::Tcp(name) => Some(Endpoint {
                name,
                address: addresses.get(index).copied(),
                port: ports.get(index).or(ports.first()).copied().unwrap_or(PORT),
            }),
            #[cfg(unix)]
            Host::Unix(_) => None,
        })
    }
}

/// A host of the URL.
struct Endpoint<'a> {
    /// What its certificate has to say.
    name: &'a str,
    /// `hostaddr`: where it is, if its name is not to be looked up.
    address: Option<IpAddr>,
    port: u16,
}

impl Endpoint<'_> {
    /// A socket to the first of the host's addresses that takes one.
    async fn reach(&self) -> io::Result<TcpStream> {
        match self.address {
            Some(address) => reach([SocketAddr::new(address, self.port)]).await,
            None => reach(lookup_host((self.name, self.port)).await?).await,
        }
    }
}

async fn reach(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in addresses {
        match timeout(ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                let socket = SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO))?;
                // A connection that swallows everything is given up by the kernel, too.
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(30)))?;
                #[cfg(target_os = "linux")]
                socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn read(url: &str) -> Result<tokio_postgres::Config, InvalidConfig> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(InvalidConfig::Url);
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    // A password with a question mark in it would be taken for the name of a parameter, and shown.
    if query.contains('@') && !base.contains('@') {
        return Err(InvalidConfig::Url);
    }
    let mut known = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if let Some(pair) = parameter(pair)? {
            known.push(pair);
        }
    }
    let url = if known.is_empty() { base.to_owned() } else { format!("{base}?{}", known.join("&")) };
    let postgres = tokio_postgres::Config::from_str(&url).map_err(|_| InvalidConfig::Url)?;
    if postgres.get_user().is_none_or(str::is_empty) {
        return Err(InvalidConfig::Missing("user"));
    }
    // Over a Unix socket there is no name to verify.
    let is_named = |host: &Host| matches!(host, Host::Tcp(name) if !name.is_empty());
    if postgres.get_hosts().is_empty() || !postgres.get_hosts().iter().all(is_named) {
        return Err(InvalidConfig::Missing("host"));
    }
    let hosts = postgres.get_hosts().len();
    if ![0, 1, hosts].contains(&postgres.get_ports().len()) || ![0, hosts].contains(&postgres.get_hostaddrs().len()) {
        return Err(InvalidConfig::Url);
    }
    Ok(postgres)
}

/// A `name=value` of the query, checked, as `tokio-postgres` takes it; `None` for one that asks for what is done anyway.
fn parameter(pair: &str) -> Result<Option<&str>, InvalidConfig> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    match (name, value) {
        ("sslmode", "disable") => Err(InvalidConfig::Insecure),
        ("sslmode", "allow" | "prefer" | "require" | "verify-ca" | "verify-full") => Ok(None),
        ("sslrootcert", "system") => Ok(None),
        ("sslrootcert", _) => Err(InvalidConfig::CertificateInUrl),
        _ if !PARAMETERS.contains(&name) => Err(InvalidConfig::UnknownParameter(excerpt(name))),
        _ if tokio_postgres::Config::from_str(&format!("postgresql://host/database?{pair}")).is_err() => {
            Err(InvalidConfig::BadParameter(name.to_owned()))
        }
        _ => Ok(Some(pair)),
    }
}

/// A name from outside, short enough to be quoted. What is longer than a name may be a password that was not encoded.
fn excerpt(name: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.len() <= 40 && name.chars().all(is_name) { name.to_owned() } else { "…".to_owned() }
}

/// Every certificate of a file, whatever stands between them.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, InvalidConfig> {
    let begun = String::from_utf8_lossy(pem).matches("-----BEGIN CERTIFICATE-----").count();
    let certificates = Certificate::stack_from_pem(pem).map_err(|_| InvalidConfig::Certificate)?;
    // The library stops at what it takes for the end.
    if begun == 0 || certificates.len() != begun { Err(InvalidConfig::Certificate) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const HOST: &str = "ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech";

    fn invalid(url: &str) -> Option<InvalidConfig> {
        Config::new(url, None).err()
    }

    fn with(query: &str) -> Option<InvalidConfig> {
        invalid(&format!("postgresql://owner:hunter2@{HOST}/app?{query}"))
    }

    #[test]
    fn urls_are_taken_as_hosts_and_their_guides_write_them() {
        for query in [
            "",
            "sslmode=require",
            "sslmode=require&channel_binding=require",
            "sslmode=verify-full",
            "sslmode=verify-ca",
            "sslmode=verify-full&sslrootcert=system",
            "sslrootcert=system&sslmode=verify-full&channel_binding=require",
            "sslmode=prefer",
            "sslmode=require&connect_timeout=15&application_name=task-api",
            "sslmode=require&options=endpoint%3Dep-calm-sea-123456",
            "sslnegotiation=direct&keepalives_idle=60",
            "hostaddr=192.0.2.1",
            "&sslmode=require&",
        ] {
            assert_eq!(with(query), None, "{query}");
        }
        let config =
            Config::new(&format!(" postgres://owner:p%40ss@{HOST}:6543/app?sslmode=require\r\n"), None).unwrap();
        assert_eq!((config.host(), config.port(), config.user(), config.database()), (HOST, 6543, "owner", "app"));
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
        assert_eq!(with("sslmode=disable"), Some(InvalidConfig::Insecure));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let unknown = |name: &str| Some(InvalidConfig::UnknownParameter(name.to_owned()));
        let bad = |name: &str| Some(InvalidConfig::BadParameter(name.to_owned()));
        assert_eq!(with("sslmode=require&pgbouncer=true"), unknown("pgbouncer"));
        assert_eq!(with("SSLMODE=require"), unknown("SSLMODE"));
        assert_eq!(with("target_session_attrs=read-write"), unknown("target_session_attrs"));
        assert_eq!(with("sslmode=verify"), bad("sslmode"));
        assert_eq!(with("sslmode"), bad("sslmode"));
        assert_eq!(with("channel_binding=yes"), bad("channel_binding"));
        assert_eq!(with("connect_timeout=soon"), bad("connect_timeout"));
        assert_eq!(with("hostaddr=localhost"), bad("hostaddr"));
        assert_eq!(with("hostaddr=192.0.2.1,192.0.2.2"), Some(InvalidConfig::Url));
        assert_eq!(with("sslrootcert=/etc/ca.pem"), Some(InvalidConfig::CertificateInUrl));
        assert_eq!(invalid("postgresql://host/app"), Some(InvalidConfig::Missing("user")));
        for hostless in ["postgresql://u:p@/app", "postgresql://u:p@%2Frun%2Fpostgresql/app", "postgresql://u:p@h,/app"]
        {
            assert_eq!(invalid(hostless), Some(InvalidConfig::Missing("host")), "{hostless}");
        }
        for no_url in
            ["", "postgresql:", "mysql://u:hunter2@h/d", "host=h user=u password=hunter2", "psql 'postgresql://u@h/d'"]
        {
            assert_eq!(invalid(no_url), Some(InvalidConfig::Url), "{no_url}");
        }
    }

    #[test]
    fn a_password_is_never_quoted() {
        for url in [
            "postgresql://u:hunter2@h:port/d",
            "postgresql://u:p?hunter2@h/d",
            "postgresql://u:p?hunter2=@h/d",
            "postgresql://u:p@h/d?hunter2%21=1",
            "postgresql://u:hunter2@",
        ] {
            let text = invalid(url).map(|error| format!("{error} {error:?}")).unwrap_or_default();
            assert!(!text.contains("hunter2"), "{url}: {text}");
        }
    }

    fn certificate(name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    fn with_authorities(pem: &str) -> Result<usize, InvalidConfig> {
        certificates(pem.as_bytes()).map(|certificates| certificates.len())
    }

    #[test]
    fn every_authority_of_a_file_counts_whatever_stands_between_them() {
        let (old, new) = (certificate("old.example"), certificate("new.example"));
        let key = KeyPair::generate().unwrap().serialize_pem();
        for pem in [
            format!("{old}{new}"),
            format!("# The old one\n{old}\n\n# and the new one:\nCN = new\n{new}\n# the end"),
            format!("{old}{key}{new}"),
        ] {
            assert_eq!(with_authorities(&pem), Ok(2), "{pem}");
            assert_eq!(with_authorities(&pem.replace('\n', "\r\n")), Ok(2), "{pem}");
        }
        assert_eq!(with_authorities(old.trim_end()), Ok(1));
    }

    #[test]
    fn a_file_without_an_authority_or_with_a_broken_one_is_refused() {
        let (old, new) = (certificate("old.example"), certificate("new.example"));
        let (head, tail) = new.split_at(new.len() / 2);
        for pem in [
            "".to_owned(),
            "no certificate".to_owned(),
            KeyPair::generate().unwrap().serialize_pem(),
            format!("{old}{head}"),
            format!("{old}{head}!!{tail}"),
            format!("{head}{old}"),
            format!("{old}-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
            format!("{old}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            assert_eq!(with_authorities(&pem), Err(InvalidConfig::Certificate), "{pem}");
        }
    }
}
