//! A network on which packets can be lost; the kernel retransmits them later.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use reqwest::Url;
use tokio::time::{sleep, timeout};

use crate::relay::Relay;

/// How long the kernel may take to retransmit what was lost: its intervals double, and a packet is lost a few times.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A network namespace and a veth pair into it. Both end when this is dropped, or this process ends.
#[derive(Debug)]
pub struct Network {
    /// The process that owns the namespace. It ends with its standard input.
    holder: Child,
    ip: PathBuf,
    /// This side's end of the veth pair.
    device: String,
    /// The address in the namespace.
    address: Ipv4Addr,
}

impl Network {
    /// # Errors
    /// If this machine does not allow it: it takes root on Linux, and not every container has the rights.
    pub fn start() -> Result<Self> {
        let ip = env::var_os("IP").context("IP is not set: `make test` sets it, for root on Linux")?;
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().context("no output")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            let output = holder.wait_with_output()?;
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        // Four of the addresses for benchmarks (RFC 2544), chosen by process id so that two runs do not collide.
        let number = process::id() % (1 << 15);
        let here = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + 4 * number + 1);
        let address = Ipv4Addr::from(u32::from(here) + 1);
        let network = Self { holder, ip: ip.into(), device: format!("task-api-{number}"), address };

        let (holder, device) = (network.holder.id().to_string(), network.device.clone());
        network.ip(&["link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &holder])?;
        network.ip(&["address", "add", &format!("{here}/30"), "dev", &device])?;
        network.ip(&["link", "set", &device, "up"])?;
        network.ip_inside(&["address", "add", &format!("{address}/30"), "dev", "eth0"])?;
        network.ip_inside(&["link", "set", "eth0", "up"])?;
        Ok(network)
    }

    /// A relay that listens in the namespace. It connects to the target from this side, over the loopback.
    pub fn relay(&self, target: u16) -> Relay {
        let namespace = File::open(format!("/proc/{}/ns/net", self.holder.id())).expect("a namespace");
        let address = self.address;
        // A socket belongs to the namespace of the thread that opens it, so this thread does nothing else.
        let listener = thread::spawn(move || {
            enter(&namespace)?;
            TcpListener::bind((address, 0))
        });
        Relay::on(listener.join().expect("a thread").expect("a listener"), target)
    }

    /// The URL of a relay on this network. The host name stays, as the certificate is for it.
    pub fn url(&self, relay: &Relay, url: &str) -> String {
        let mut url: Url = url.parse().expect("a URL");
        url.set_port(Some(relay.address().port())).expect("a port");
        url.query_pairs_mut().append_pair("hostaddr", &self.address.to_string());
        url.into()
    }

    /// Starts or stops losing all packets into the namespace.
    pub fn lose_packets(&self, lose: bool) {
        let (address, device) = (self.address.to_string(), &self.device);
        let done = if lose {
            // Nobody there has this hardware address, so the packets are ignored.
            let nobody = "02:00:00:00:00:00";
            self.ip(&["neighbour", "replace", &address, "lladdr", nobody, "nud", "permanent", "dev", device])
        } else {
            self.ip(&["neighbour", "delete", &address, "dev", device])
        };
        done.expect("a neighbour table");
    }

    /// Waits until the other side has acknowledged everything sent so far, or the sending connections are gone.
    pub async fn wait_until_acknowledged(&self) {
        let mut left = self.unacknowledged();
        let acknowledged = timeout(TIMEOUT, async {
            while !left.is_empty() {
                sleep(Duration::from_millis(20)).await;
                let still = self.unacknowledged();
                left.retain(|port| still.contains(port));
            }
        });
        acknowledged.await.expect("the kernel is still retransmitting");
    }

    /// The local addresses of connections with unacknowledged bytes: `tx_queue` in proc_net_tcp(5).
    fn unacknowledged(&self) -> Vec<String> {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the connections of this machine");
        let address = format!("{:08X}:", u32::from_ne_bytes(self.address.octets()));
        let connections = table.lines().filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (local, remote, queues) = (fields.next()?, fields.next()?, fields.nth(1)?);
            (remote.starts_with(&address) && !queues.starts_with("00000000:")).then(|| local.to_owned())
        });
        connections.collect()
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        run(Command::new(&self.ip).args(arguments))
    }

    fn ip_inside(&self, arguments: &[&str]) -> Result<()> {
        let mut nsenter = Command::new("nsenter");
        run(nsenter.args(["--net", "--target", &self.holder.id().to_string(), "--"]).arg(&self.ip).args(arguments))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| command.get_program().display().to_string())?;
    ensure!(output.status.success(), anyhow!("{}", String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    Ok(())
}

#[cfg(target_os = "linux")]
fn enter(namespace: &File) -> io::Result<()> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(not(target_os = "linux"))]
fn enter(_namespace: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Drop for Network {
    /// The veth pair goes with the namespace, and the namespace with its last process.
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
