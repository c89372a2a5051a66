//! PgBouncer in transaction mode in front of PostgreSQL, as Neon has it.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::postgres::SUPERUSER;
use crate::profile::Profile;
use crate::stack::Stack;
use crate::tls::Tls;

pub(crate) const PART: &str = "PgBouncer";

/// Starts the pooler and waits until it takes connections: on 127.0.0.1, and where containers look for it. The password
/// is the superuser's, as whom it looks up the others'.
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
    profile.servant.write(&users, &format!("\"{SUPERUSER}\" \"{password}\"\n"))?;
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
         ; As Neon has them. A database that did not answer is asked again after 15 s (server_login_retry).\n\
         pool_mode = transaction\n\
         default_pool_size = 64\n\
         max_client_conn = 1000\n\
         query_wait_timeout = 120\n\
         ignore_startup_parameters = extra_float_digits\n\
         \n\
         ; Passwords are those of PostgreSQL itself, also when they change: only the one that looks them up is here.\n\
         auth_type = scram-sha-256\n\
         auth_file = {users}\n\
         auth_user = {SUPERUSER}\n\
         auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1\n\
         admin_users = {SUPERUSER}\n\
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
