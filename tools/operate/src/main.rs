//! Operating a stage: its secrets, deployments and monitoring. `make` has a target for each command; docs/deploy.md and
//! docs/operations.md say when to use it.
#![allow(clippy::print_stdout, reason = "a command-line program")]

mod address;
mod backup;
mod costs;
mod database;
mod deploy;
mod end_sessions;
mod monitor;
mod prompt;
mod released;
mod restore;
mod restored;
mod secrets;
mod setting;
mod smoke;
mod stage;
mod store;
mod sweep;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use auth::{InvalidLifetime, TokenLifetime};
use clap::{Args, Parser, Subcommand};
use migrate::Contract;
use uuid::Uuid;

use crate::{backup::Place, restore::Tasks, secrets::Step, stage::Stage, store::Store};

/// Deploys a stage and operates it.
#[derive(Parser)]
enum Cli {
    /// Check, migrate, build, deploy and smoke-test a stage. A step that fails stops the rest; every step can be repeated.
    Deploy {
        /// The stage, a config-env of samconfig.toml.
        #[arg(long, env)]
        stage: Stage,
        /// Check, list the migrations that would be applied, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// After the deployment, apply all contracting migrations, not only those that are due: then the release before
        /// cannot come back.
        #[arg(long)]
        contract: bool,
    },
    /// Smoke-test a running API with an account of its own, which is deleted at the end.
    Smoke {
        /// The API, such as https://abc123.execute-api.eu-central-1.amazonaws.com.
        #[arg(long, env, value_name = "URL")]
        api_url: String,
        /// An origin that the API allows; by default the API's own.
        #[arg(long, env, value_name = "URL")]
        origin: Option<String>,
    },
    /// Store, rotate or remove a stage's secrets in the Parameter Store.
    #[command(subcommand)]
    Secrets(Secrets),
    /// Show statistics of the database, and what to look for in them.
    Monitor {
        #[command(flatten)]
        database: DatabaseAddress,
        /// The time limit for connecting, and for each query.
        #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        timeout: u64,
    },
    /// Delete the tags that no task has any more.
    Sweep {
        #[command(flatten)]
        database: DatabaseAddress,
    },
    /// End every session of every account: everybody has to sign in again.
    EndSessions {
        #[command(flatten)]
        database: DatabaseAddress,
        /// End them without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Bring back an account with its tasks, or tasks alone, from a database that has the past. What exists stays as it is.
    Restore {
        /// The database that has the past, at its direct endpoint; it is only read.
        #[arg(long, env, value_name = "URL", hide_env_values = true)]
        from: String,
        /// The account's id.
        #[arg(long, env, value_name = "UUID")]
        account: Uuid,
        /// The tasks to bring back, `all` or their ids; without it, the account as well.
        #[arg(long, env, value_name = "all|ID,…")]
        tasks: Option<Tasks>,
        /// The account that gets the tasks, if another one has the address by now.
        #[arg(long, env, value_name = "UUID", requires = "tasks")]
        into: Option<Uuid>,
        #[command(flatten)]
        database: DatabaseAddress,
        /// Bring it back without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Once a whole database was set back: end every session, and list what there is to migrate.
    Restored {
        #[command(flatten)]
        database: DatabaseAddress,
        /// End the sessions without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Print a new pair of keys for backups.
    BackupKey,
    /// Back up the database, encrypted for the BACKUP_KEY in the environment, and compare the backup with the database.
    Backup {
        #[command(flatten)]
        database: DatabaseAddress,
        /// A file, a folder, or s3://BUCKET/PREFIX.
        #[arg(long, env, value_name = "PLACE", default_value = "backups/")]
        to: Place,
        /// An address at which a database can be created to compare with; by default the database's own.
        #[arg(long, env, value_name = "URL", hide_env_values = true)]
        scratch: Option<String>,
    },
    /// Restore a backup to an empty database, with the secret BACKUP_KEY from the environment or an answer.
    RestoreBackup {
        /// A file, or s3://BUCKET/KEY.
        #[arg(long, env, value_name = "PLACE")]
        from: Place,
        #[command(flatten)]
        database: DatabaseAddress,
    },
    /// Measure what requests cost, with a running API and its log.
    Costs {
        /// The API.
        #[arg(long, env, value_name = "URL")]
        api_url: String,
        /// The log of its functions.
        #[arg(long, env = "API_LOG", value_name = "FILE")]
        log: PathBuf,
        /// The file with the functions' memory sizes.
        #[arg(long, value_name = "FILE", default_value = "template.yaml")]
        template: PathBuf,
        /// How often to call every route.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
    },
}

#[derive(Args)]
struct DatabaseAddress {
    /// The address, as its owner; ignored when a stage is given.
    #[arg(long, env = "DATABASE_URL_UNPOOLED", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The stage whose database it is.
    #[arg(long, env)]
    stage: Option<Stage>,
}

impl DatabaseAddress {
    async fn url(self) -> anyhow::Result<String> {
        database::url_of(self.stage, self.database_url).await
    }
}

#[derive(Subcommand)]
enum Secrets {
    /// Ask for the database's address, create the functions' role, and store both addresses; and keys if there are none.
    Set {
        /// The stage, a config-env of samconfig.toml.
        #[arg(long, env)]
        stage: Stage,
        /// Overwrite without asking.
        #[arg(long)]
        yes: bool,
        /// Change the password of the functions' role.
        #[arg(long)]
        renew: bool,
        /// The pooler, if it is not Neon's; by default the stored one, or the database itself.
        #[arg(long, env, value_name = "HOST:PORT")]
        pooler: Option<String>,
    },
    /// Take one step of a key rotation: accept, sign, drop.
    Rotate {
        /// The stage, a config-env of samconfig.toml.
        #[arg(long, env)]
        stage: Stage,
        /// The step.
        #[arg(long, env)]
        step: Step,
        /// The lifetime of a token; by default an hour.
        #[arg(long, env, value_name = "SECONDS", default_value = "", value_parser = token_lifetime)]
        token_lifetime_seconds: TokenLifetime,
        /// Do not wait, and refuse tokens: for a key that has leaked.
        #[arg(long)]
        now: bool,
    },
    /// Remove everything that is stored for a stage.
    Remove {
        /// The stage, a config-env of samconfig.toml.
        #[arg(long, env)]
        stage: Stage,
        /// Remove without asking.
        #[arg(long)]
        yes: bool,
    },
}

/// As the functions parse it.
fn token_lifetime(text: &str) -> Result<TokenLifetime, InvalidLifetime> {
    match text.trim() {
        "" => Ok(TokenLifetime::default()),
        text => text.parse(),
    }
}

fn main() -> ExitCode {
    cli::block_on("error", run(cli::arguments()))
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli {
        Cli::Deploy { stage, dry_run, contract } => {
            let contract = if contract { Contract::Now } else { Contract::Due };
            deploy::run(&stage, dry_run, contract).await
        }
        Cli::Smoke { api_url, origin } => smoke::run(&api_url, origin.as_deref()).await,
        Cli::Secrets(Secrets::Set { stage, yes: overwrite, renew, pooler }) => {
            secrets::set(&Store::open(&stage).await?, &secrets::Options { overwrite, renew, pooler }).await
        }
        Cli::Secrets(Secrets::Rotate { stage, step, token_lifetime_seconds, now }) => {
            secrets::rotate(&Store::open(&stage).await?, step, token_lifetime_seconds.get(), now).await
        }
        Cli::Secrets(Secrets::Remove { stage, yes }) => secrets::remove(&Store::open(&stage).await?, yes).await,
        Cli::Monitor { database, timeout } => monitor::run(&database.url().await?, Duration::from_secs(timeout)).await,
        Cli::Sweep { database } => sweep::run(&database.url().await?, database::CONNECT_TIMEOUT).await,
        Cli::EndSessions { database, yes } => {
            end_sessions::run(&database.url().await?, database::CONNECT_TIMEOUT, yes).await
        }
        Cli::Restore { from, account, tasks, into, database, yes } => {
            restore::run(&from, &database.url().await?, &restore::Request { account, tasks, into }, yes).await
        }
        Cli::Restored { database, yes } => restored::run(&database.url().await?, yes).await,
        Cli::BackupKey => {
            backup::generate();
            Ok(())
        }
        Cli::Backup { database, to, scratch } => {
            let stage = database.stage.clone();
            backup::create(&database.url().await?, stage.as_ref(), &to, scratch.as_deref()).await
        }
        Cli::RestoreBackup { from, database } => {
            let stage = database.stage.clone();
            backup::restore(&database.url().await?, stage.as_ref(), &from).await
        }
        Cli::Costs { api_url, log, template, rounds } => costs::run(&api_url, &log, &template, rounds).await,
    }
}
