//! `migrate`: the command.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use migrate::{Database, Endpoint, Migrations};

#[derive(Parser)]
#[command(about = "Applies the SQL files in migrations/ to the database, forward only")]
struct Cli {
    /// The folder that holds the files NNNN_name.sql
    #[arg(long, global = true, value_name = "DIR", default_value = "migrations")]
    source: PathBuf,

    /// The direct (unpooled) endpoint: postgres://USER:PASSWORD@HOST/DATABASE
    // The value carries a password, which `--help` must not show.
    #[arg(long, global = true, value_name = "URL", env = "DATABASE_URL_UNPOOLED", hide_env_values = true)]
    database_url: Option<String>,

    /// A file of certificates to trust besides the system's, in PEM
    // A string, because white space around it is not part of it.
    #[arg(long, global = true, value_name = "FILE", env = "DATABASE_CA_FILE")]
    ca_file: Option<String>,

    /// How many seconds the database has to answer: one that is suspended wakes up first
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30, value_parser = seconds())]
    connect_timeout: u64,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Apply what is pending
    Up {
        /// List what would be applied, and apply nothing
        #[arg(long)]
        dry_run: bool,

        /// How many seconds to wait for another migration to end
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds())]
        lock_timeout: u64,
    },
    /// Show what is applied, pending, changed or missing
    Status,
    /// Make the role of the functions, which reads and writes rows and can do nothing else, with the password in
    /// FUNCTIONS_PASSWORD
    Role,
}

/// What a setting says: white space around it is not part of it, and an empty one is not set.
fn setting(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Up to a day, so that no deadline overflows.
fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..=86_400)
}

fn main() -> ExitCode {
    match run(cli::arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The server's messages may have several lines.
            let line = format!("{error:#}").lines().collect::<Vec<_>>().join(" ");
            eprintln!("migrate: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(cli.run(&mut io::stdout()));
    // A name lookup cannot be cancelled: do not wait for one that was given up.
    runtime.shutdown_background();
    result
}

impl Cli {
    async fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self.command {
            Command::Status => self.migrations()?.status(&mut self.connect().await?, out).await,
            Command::Up { dry_run: true, .. } => self.migrations()?.dry_run(&mut self.connect().await?, out).await,
            Command::Up { lock_timeout, .. } => {
                let patience = Duration::from_secs(lock_timeout);
                self.migrations()?.up(&mut self.connect().await?, patience, out).await
            }
            Command::Role => {
                // An argument could be read by other processes.
                let password = env::var("FUNCTIONS_PASSWORD").unwrap_or_default();
                let password = setting(&password).context("no password is given: set FUNCTIONS_PASSWORD")?;
                let role = self.connect().await?.make_role(password).await?;
                writeln!(out, "{role} reads and writes rows, with the password in FUNCTIONS_PASSWORD")?;
                Ok(())
            }
        }
    }

    fn migrations(&self) -> anyhow::Result<Migrations> {
        Migrations::read(&self.source)
    }

    async fn connect(&self) -> anyhow::Result<Database> {
        let url = self.database_url.as_deref().and_then(setting);
        let url = url.context("no database is named: set DATABASE_URL_UNPOOLED or pass --database-url")?;
        let ca_file = self.ca_file.as_deref().and_then(setting).map(Path::new);
        Database::connect(&Endpoint::new(url, ca_file)?, Duration::from_secs(self.connect_timeout)).await
    }
}
