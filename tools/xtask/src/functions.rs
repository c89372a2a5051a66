//! The functions under `cargo lambda watch`, behind the gateway, and what they are told.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;

use crate::postgres::{FUNCTIONS, NAME, Postgres, SUPERUSER};
use crate::process;
use crate::profile::{Kind, Profile};
use crate::servant::write_private;
use crate::stack::Stack;
use crate::tls::Tls;
use crate::tools::CargoLambda;

/// What the functions and the migrator are configured with.
pub(crate) type Settings = BTreeMap<String, String>;

/// Builds every function and the tools; cargo's words go to the terminal. The folder that cargo puts the programs in:
/// where that is, its own configuration says.
pub(crate) fn build(profile: &Profile) -> Result<PathBuf> {
    let (artifacts, writer) = std::io::pipe().context("no pipe")?;
    let find = std::thread::spawn(|| {
        let messages = Message::parse_stream(BufReader::new(artifacts)).map_while(Result::ok);
        let programs = messages.filter_map(|message| match message {
            Message::CompilerArtifact(artifact) => artifact.executable,
            _ => None,
        });
        programs.last()
    });
    let mut cargo = cargo();
    cargo.args(["build", "--message-format", "json-render-diagnostics"]).current_dir(&profile.root).stdout(writer);
    let status = process::run(&mut cargo)?;
    // It holds an end of the pipe.
    drop(cargo);
    if !status.success() {
        bail!("the build failed; the compiler's words are above");
    }
    let program = find.join().ok().flatten().context("the build made no program")?;
    Ok(program.parent().context("a program in no folder")?.into())
}

/// The settings of this profile, also written into its `env` file.
pub(crate) fn settings(
    profile: &Profile,
    programs: &Path,
    postgres: &Postgres,
    pooled: bool,
    tls: &Tls,
) -> Result<Settings> {
    let port = if pooled { profile.pooler_port() } else { profile.postgres_port() };
    let mut settings = Settings::from([
        ("DATABASE_URL".into(), url(FUNCTIONS, &postgres.functions_password, port)),
        ("DATABASE_URL_UNPOOLED".into(), url(NAME, &postgres.password, profile.postgres_port())),
        ("DATABASE_CA_FILE".into(), tls.ca.display().to_string()),
    ]);
    settings.extend(keys(profile, programs)?);
    write_private(&profile.env_file(), &crate::profile::format_env(&settings)?)?;
    Ok(settings)
}

/// The database as a role, at PostgreSQL or at the pooler.
fn url(role: &str, password: &str, port: u16) -> String {
    format!("postgresql://{role}:{password}@localhost:{port}/{NAME}?sslmode=require")
}

/// The keys that sign and verify tokens: made once, so that a token outlives a restart.
fn keys(profile: &Profile, programs: &Path) -> Result<Settings> {
    let file = profile.home.join("keys");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(_) => {
            let program = programs.join("keys");
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

/// Brings the schema up to date, as its owner, and makes the functions' role, as the superuser: an owner that the first
/// release made may make no roles.
pub(crate) fn migrate(profile: &Profile, programs: &Path, settings: &Settings, postgres: &Postgres) -> Result<()> {
    let run = |argument: &str, variables: &[(&str, &str)]| {
        let mut migrate = Command::new(programs.join("migrate"));
        hide_settings(&mut migrate);
        migrate.arg(argument).envs(settings).envs(variables.iter().copied()).current_dir(&profile.root);
        process::run_quietly(&mut migrate, &profile.log(&format!("migrate-{argument}")))
    };
    run("up", &[])?;
    let superuser = url(SUPERUSER, &postgres.password, profile.postgres_port());
    run("role", &[("DATABASE_URL_UNPOOLED", &superuser), ("FUNCTIONS_PASSWORD", &postgres.functions_password)])
}

/// Starts the gateway, which starts `cargo lambda watch`, and waits until the API answers.
pub(crate) fn start(profile: &Profile, programs: &Path, cargo_lambda: &CargoLambda, stack: &mut Stack) -> Result<()> {
    let mut gateway = Command::new(programs.join("gateway"));
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
