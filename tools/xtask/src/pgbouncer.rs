//! PgBouncer in transaction mode in front of PostgreSQL, as Neon has it.

use std::net::{IpAddr, Ipv4Addr};
use std::{path::Path, time::Duration};

use anyhow::Result;
use fs_err as fs;
use tokio::net::TcpStream;

use crate::postgres::{Postgres, SUPERUSER};
use crate::supervisor::{Supervisor, wait_until};
use crate::{profile::Profile, tls::Tls};

/// The name of the part.
pub(crate) const PART: &str = "PgBouncer";

/// Starts the pooler of a server on 127.0.0.1 and, if given, on the address at which containers reach this machine.
pub(crate) async fn start(
    program: &Path,
    postgres: &Postgres,
    for_containers: Option<Ipv4Addr>,
    profile: &Profile,
    tls: &Tls,
    supervisor: &Supervisor,
) -> Result<()> {
    let home = profile.data.join("pgbouncer");
    fs::create_dir_all(&home)?;
    let (settings, users) = (home.join("pgbouncer.ini"), home.join("users.txt"));
    let addresses: Vec<_> = [Some(Ipv4Addr::LOCALHOST), for_containers].into_iter().flatten().collect();
    let configuration = format!(
        include_str!("../config/pgbouncer.ini"),
        postgres_port = postgres.port,
        addresses = addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(","),
        port = profile.pooler_port(),
        users = users.display(),
        superuser = SUPERUSER,
        certificate = tls.certificate.display(),
        key = tls.key.display(),
    );
    profile.server_user.write(&users, &format!("\"{SUPERUSER}\" \"{}\"\n", postgres.password))?;
    profile.server_user.write(&settings, &configuration)?;

    // Its log is what it writes to standard error.
    let log = profile.log("pgbouncer");
    let mut command = profile.server_user.command(program);
    command.arg(&settings).current_dir(&home);
    supervisor.start(PART, command, Some(log.clone()), "")?;
    let address = (IpAddr::from(Ipv4Addr::LOCALHOST), profile.pooler_port());
    wait_until(PART, Duration::from_secs(10), Some(&log), async || TcpStream::connect(address).await.is_ok()).await
}
