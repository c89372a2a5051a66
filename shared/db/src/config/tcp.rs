use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_postgres::config::Host;

/// PostgreSQL's default port.
pub(crate) const DEFAULT_PORT: u16 = 5432;

/// The timeout for one of a host's addresses, after which the next one is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(1);

/// A host of the URL.
pub(crate) struct Endpoint<'a> {
    /// The name that the certificate is verified against.
    pub(crate) name: &'a str,
    /// `hostaddr`, which skips the DNS lookup.
    address: Option<IpAddr>,
    pub(crate) port: u16,
}

impl Endpoint<'_> {
    /// All hosts of a configuration. A single port applies to all of them.
    pub(crate) fn all(config: &tokio_postgres::Config) -> impl Iterator<Item = Endpoint<'_>> {
        let (addresses, ports) = (config.get_hostaddrs(), config.get_ports());
        let hosts = config.get_hosts().iter().enumerate();
        hosts.filter_map(move |(index, host)| match host {
            Host::Tcp(name) => Some(Endpoint {
                name,
                address: addresses.get(index).copied(),
                port: ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT),
            }),
            #[cfg(unix)]
            Host::Unix(_) => None,
        })
    }

    /// Connects to the first of the host's addresses that accepts.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        match self.address {
            Some(address) => connect_any([SocketAddr::new(address, self.port)]).await,
            None => connect_any(lookup_host((self.name, self.port)).await?).await,
        }
    }
}

async fn connect_any(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last_error = io::ErrorKind::NotFound.into();
    for address in addresses {
        match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return configure(stream),
            Ok(Err(error)) => last_error = error,
            Err(_elapsed) => last_error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last_error)
}

fn configure(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    // Reset on close: the kernel drops what it has not delivered yet.
    socket.set_linger(Some(Duration::ZERO))?;
    // Let the kernel detect dead peers, too.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(30)))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}
