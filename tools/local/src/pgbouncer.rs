//! PgBouncer in transaction mode in front of PostgreSQL, as Neon has it.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::postgres::NAME;
use crate::profile::Profile;
use crate::stack::Stack;
use crate::tls::Tls;

pub(crate) const PART: &str = "PgBouncer";

/// Starts the pooler and waits until it takes connections: on 127.0.0.1, and where containers look for it.
pub(crate) fn start(
    program: &Path,
    password: &str,
    profile: &Profile,
    for_containers: Option<Ipv4Addr>,
    tls: &Tls,
    stack: &mut Stack,
) -> Result<()> {
    let home = profile.data.join("pgbouncer");
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let (settings, users) = (home.join("pgbouncer.ini"), home.join("users.txt"));
    profile.servant.write(&users, &format!("\"{NAME}\" \"{password}\"\n"))?;
    profile.servant.write(&settings, &configuration(profile, for_containers, tls, &users))?;

    let mut command = profile.servant.command(program);
    // Quiet on the terminal only: what it writes to standard error is its log.
    command.arg(&settings).current_dir(&home);
    stack.start(PART, &mut command, Some(profile.log("pgbouncer")))?;
    let port = profile.pooler_port();
    stack.wait_until("PgBouncer was not ready", Duration::from_secs(10), || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    })
}

fn configuration(profile: &Profile, for_containers: Option<Ipv4Addr>, tls: &Tls, users: &Path) -> String {
    format!(
        "[databases]\n\
         * = host=127.0.0.1 port={postgres}\n\
         \n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1{for_containers}\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         \n\
         pool_mode = transaction\n\
         default_pool_size = 20\n\
         max_client_conn = 1000\n\
         ; Both as Neon has them: a client waits two minutes for a server, and may set nothing at start-up.\n\
         query_wait_timeout = 120\n\
         ; A database that is back is found at once, not within 15 s.\n\
         server_login_retry = 1\n\
         ignore_startup_parameters =\n\
         \n\
         auth_type = scram-sha-256\n\
         auth_file = {users}\n\
         admin_users = {NAME}\n\
         stats_users = {NAME}\n\
         \n\
         client_tls_sslmode = require\n\
         client_tls_cert_file = {certificate}\n\
         client_tls_key_file = {key}\n\
         server_tls_sslmode = verify-full\n\
         server_tls_ca_file = {ca}\n",
        postgres = profile.postgres_port(),
        for_containers = for_containers.map(|address| format!(",{address}")).unwrap_or_default(),
        port = profile.pooler_port(),
        users = users.display(),
        certificate = tls.certificate.display(),
        key = tls.key.display(),
        ca = tls.ca.display(),
    )
}
