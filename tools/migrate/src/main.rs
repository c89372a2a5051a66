use std::{
    env, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use migrate::{Contract, Database, Endpoint, Migrations, Patience};

#[derive(Parser)]
#[command(about = "Applies the SQL files in migrations/ to the database, each once and in order")]
struct Cli {
    /// The folder with the files NNNN_description.sql
    #[arg(long, global = true, value_name = "DIR", default_value = "migrations")]
    source: PathBuf,

    /// The direct (unpooled) endpoint: postgres://USER:PASSWORD@HOST/DATABASE
    // `--help` must not show the password.
    #[arg(long, global = true, value_name = "URL", env = "DATABASE_URL_UNPOOLED", hide_env_values = true)]
    database_url: Option<String>,

    /// A PEM file of CA certificates to trust besides the system's
    // A string, to trim it.
    #[arg(long, global = true, value_name = "FILE", env = "DATABASE_CA_FILE")]
    ca_file: Option<String>,

    /// How many seconds to try to connect: a suspended database has to wake up first
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

        /// Apply the contracting migrations as well, although an older release may still need what they take away
        #[arg(long)]
        contract: bool,

        /// How many seconds to wait for another migration to end
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds())]
        lock_timeout: u64,

        /// How many seconds to try again when a migration does not get a lock on a table
        #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = seconds())]
        retry_time: u64,
    },
    /// Show what is applied, pending, waiting, changed or missing
    Status,
    /// Create or update the functions' role, which may only read and write rows, with the password in
    /// FUNCTIONS_PASSWORD
    Role,
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Up to a day, so that no deadline overflows.
fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..=86_400)
}

fn main() -> ExitCode {
    let cli: Cli = cli::arguments();
    cli::block_on("migrate", cli.run(&mut io::stdout()))
}

impl Cli {
    async fn run(&self, out: &mut impl io::Write) -> anyhow::Result<()> {
        match self.command {
            Command::Status => self.migrations()?.status(&self.connect().await?, out).await,
            Command::Up { dry_run, contract, lock_timeout, retry_time } => {
                let (migrations, mut database) = (self.migrations()?, self.connect().await?);
                let contract = if contract { Contract::Now } else { Contract::Nothing };
                if dry_run {
                    return migrations.dry_run(&database, contract, out).await;
                }
                let patience = Patience {
                    lock_timeout: Duration::from_secs(lock_timeout),
                    retry_time: Duration::from_secs(retry_time),
                };
                migrations.up(&mut database, contract, patience, out).await
            }
            Command::Role => {
                // Not an argument, which other processes could read.
                let password = env::var("FUNCTIONS_PASSWORD").unwrap_or_default();
                let password = non_empty(&password).context("no password: set FUNCTIONS_PASSWORD")?;
                let role = self.connect().await?.ensure_role(password).await?;
                Ok(writeln!(out, "the role {role} reads and writes rows, with the password in FUNCTIONS_PASSWORD")?)
            }
        }
    }

    fn migrations(&self) -> anyhow::Result<Migrations> {
        Migrations::read(&self.source)
    }

    async fn connect(&self) -> anyhow::Result<Database> {
        let url = self.database_url.as_deref().and_then(non_empty);
        let url = url.context("no database URL: set DATABASE_URL_UNPOOLED or pass --database-url")?;
        let ca_file = self.ca_file.as_deref().and_then(non_empty).map(Path::new);
        Database::connect(&Endpoint::new(url, ca_file)?, Duration::from_secs(self.connect_timeout)).await
    }
}
