//! The functions under `cargo lambda watch`, behind the gateway, and what they are told.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::postgres::NAME;
use crate::process;
use crate::profile::{Kind, Profile};
use crate::servant::write_private;
use crate::stack::Stack;
use crate::tls::Tls;
use crate::tools::CargoLambda;

/// What the functions and the migrator are configured with.
pub(crate) type Settings = BTreeMap<String, String>;

/// Builds every function and the tools; cargo's words go to the terminal.
pub(crate) fn build(profile: &Profile) -> Result<()> {
    let mut cargo = cargo();
    let status = process::run(cargo.arg("build").current_dir(&profile.root))?;
    if !status.success() {
        bail!("the build failed; the compiler's words are above");
    }
    Ok(())
}

/// The settings of this profile, also written into its `env` file.
pub(crate) fn settings(profile: &Profile, password: &str, pooled: bool, tls: &Tls) -> Result<Settings> {
    let url = |port: u16| format!("postgresql://{NAME}:{password}@localhost:{port}/{NAME}?sslmode=require");
    let direct = url(profile.postgres_port());
    let mut settings = Settings::from([
        ("DATABASE_URL".into(), if pooled { url(profile.pooler_port()) } else { direct.clone() }),
        ("DATABASE_URL_UNPOOLED".into(), direct),
        ("DATABASE_CA_FILE".into(), tls.ca.display().to_string()),
    ]);
    settings.extend(keys(profile)?);
    write_private(&profile.env_file(), &crate::profile::format_env(&settings)?)?;
    Ok(settings)
}

/// The keys that sign and verify tokens: made once, so that a token outlives a restart.
fn keys(profile: &Profile) -> Result<Settings> {
    let file = profile.home.join("keys");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(_) => {
            let program = sibling("keys")?;
            let text = process::ask(Command::new(&program).arg("new").current_dir(&profile.root))
                .with_context(|| format!("`{} new` failed", program.display()))?;
            write_private(&file, &text)?;
            text
        }
    };
    let keys: Settings = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    if keys.is_empty() {
        bail!("{} has no keys in it: remove it and start again", file.display());
    }
    Ok(keys)
}

/// Brings the schema up to date.
pub(crate) fn migrate(profile: &Profile, settings: &Settings) -> Result<()> {
    let mut migrate = Command::new(sibling("migrate")?);
    hide_settings(&mut migrate);
    process::run_quietly(migrate.arg("up").envs(settings).current_dir(&profile.root), &profile.log("migrate"))
}

/// Starts the gateway, which starts `cargo lambda watch`, and waits until the API answers.
pub(crate) fn start(profile: &Profile, cargo_lambda: &CargoLambda, stack: &mut Stack) -> Result<()> {
    let mut gateway = Command::new(sibling("gateway")?);
    let ports = [
        ("--port", profile.port),
        ("--lambda-port", profile.lambda_port()),
        ("--emulator-port", profile.emulator_port()),
    ];
    for (name, port) in ports {
        gateway.arg(name).arg(port.to_string());
    }
    gateway.arg("--").arg(&cargo_lambda.program).args(["lambda", "watch", "--quiet", "--env-file"]);
    gateway.arg(profile.env_file()).current_dir(&profile.root);
    hide_settings(&mut gateway);
    let log = match profile.kind {
        Kind::Dev => None,
        Kind::Test | Kind::Faults => {
            // A file that changes while tests run must not restart what they speak to.
            gateway.arg("--ignore-changes").env_remove("ALLOWED_ORIGINS");
            Some(profile.log("functions"))
        }
    };
    stack.start("the gateway", &mut gateway, log)?;

    wait_for_health(profile, stack, Duration::from_secs(60))
}

/// Waits until the API answers that it and its database are there.
pub(crate) fn wait_for_health(profile: &Profile, stack: &mut Stack, patience: Duration) -> Result<()> {
    let mut answer = None;
    let waited = stack.wait_until("GET /health did not answer 200", patience, || {
        answer = status_of_health(profile.port);
        answer == Some(200)
    });
    match answer {
        Some(status) if status != 200 => waited.with_context(|| format!("the last answer was {status}")),
        _ => waited,
    }
}

/// The status of `GET /health`. The first call starts the function, so it may take its time.
fn status_of_health(port: u16) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    std::str::from_utf8(&start).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Nothing of this process's own run by cargo, and nothing the user has set for another database.
pub(crate) fn hide_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["DATABASE_", "JWT_", "PG", "CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    hide_settings(&mut command);
    command
}

/// A program of this workspace: cargo puts all of them into one folder.
fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find my own folder")?;
    Ok(own.with_file_name(name))
}
