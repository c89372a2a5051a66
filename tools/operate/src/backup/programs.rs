//! `pg_dump` and `pg_restore`. Neither gets a password on its command line.

use std::{
    env,
    fs::File,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use anyhow::{Context, bail};
use tokio::{
    process::{Child, Command},
    task::spawn_blocking,
};

use super::{LEFT_OUT, SCHEMA};
use crate::{
    address::Address,
    database::{CONNECT_TIMEOUT, ca_file},
};

/// The programs of one version of PostgreSQL.
pub(super) struct Programs {
    folder: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    /// The oldest that can be used with a server, or a backup, of this major version: newer ones may write what an older
    /// server does not know.
    pub(super) async fn for_version(major: u32) -> anyhow::Result<Self> {
        let folders = match cli::variable("PG_BIN") {
            Some(folder) => vec![folder.into()],
            None => {
                let path = env::var_os("PATH").unwrap_or_default();
                cli::postgres_folders().into_iter().chain(env::split_paths(&path)).collect()
            }
        };
        let mut found = Vec::new();
        for folder in folders {
            found.extend(Self::in_folder(folder).await);
        }
        // Libraries before 16 do not know the system's certificates.
        let major = if ca_file().is_some() { major } else { major.max(16) };
        let newest = found.iter().map(|programs| programs.major).max();
        let suitable =
            found.into_iter().filter(|programs| programs.major >= major).min_by_key(|programs| programs.major);
        suitable.with_context(|| {
            let found = newest.map_or_else(|| "there is none".to_owned(), |newest| format!("the newest is {newest}"));
            format!(
                "this needs pg_dump and pg_restore of PostgreSQL {major} or later, and {found}: install \
                 postgresql-client-{major}, or set PG_BIN to the folder that has them"
            )
        })
    }

    /// Those in this folder, if both are there.
    async fn in_folder(folder: PathBuf) -> Option<Self> {
        if !folder.join("pg_restore").is_file() {
            return None;
        }
        // pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
        let said = Command::new(folder.join("pg_dump")).arg("--version").output().await.ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let version = said.split_ascii_whitespace().nth(2)?;
        let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { folder, major })
    }

    /// Starts to dump a snapshot of a database, and returns what it will have written.
    pub(super) fn dump(&self, address: &Address, snapshot: &str) -> anyhow::Result<(Dump, File)> {
        let mut command = self.command("pg_dump", address)?;
        command.args(["--format", "custom", "--schema", SCHEMA, "--snapshot", snapshot]);
        for table in LEFT_OUT {
            command.args(["--exclude-table-data", &format!("{SCHEMA}.{table}")]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("pg_dump")?;
        let output = child.stdout.take().context("pg_dump has no output")?.into_owned_fd()?;
        Ok((Dump(child), output.into()))
    }

    /// Restores a dump in one transaction.
    pub(super) async fn restore(&self, address: &Address, mut dump: impl Read + Send + 'static) -> anyhow::Result<()> {
        let mut command = self.command("pg_restore", address)?;
        // Named again: the schema itself exists already.
        command.args(["--single-transaction", "--exit-on-error", "--schema", SCHEMA]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("pg_restore")?;
        let mut input = File::from(child.stdin.take().context("pg_restore has no input")?.into_owned_fd()?);
        let (copied, input) = spawn_blocking(move || (io::copy(&mut dump, &mut input), input)).await?;
        // With a broken pipe it has ended, and says why.
        if let Err(error) = copied
            && error.kind() != ErrorKind::BrokenPipe
        {
            // Before its input ends, which it might take for the end of the dump.
            child.kill().await?;
            bail!("the backup is damaged: {error}");
        }
        drop(input);
        succeed("pg_restore", &child.wait_with_output().await?)
    }

    /// A program that connects over verified TLS.
    fn command(&self, program: &str, address: &Address) -> anyhow::Result<Command> {
        let mut command = Command::new(self.folder.join(program));
        command
            .args(["--no-owner", "--no-privileges", "--no-password", "--dbname"])
            .arg(address.for_command_line()?.as_str())
            .env("PGPASSWORD", address.password()?)
            .env("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.as_secs().to_string())
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", ca_file().as_deref().unwrap_or(Path::new("system")))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }
}

/// A run of `pg_dump`.
pub(super) struct Dump(Child);

impl Dump {
    /// # Errors
    /// It has failed, so that its output is not complete.
    pub(super) async fn finish(self) -> anyhow::Result<()> {
        succeed("pg_dump", &self.0.wait_with_output().await?)
    }
}

/// Errors repeat the first line with an error: those after it may have rows.
fn succeed(program: &str, output: &Output) -> anyhow::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().find_map(|line| line.split_once("error: ")).map_or("it ended early", |(_, error)| error);
    bail!("{program}: {error}")
}
