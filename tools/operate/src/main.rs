//! What an operator does with a stage: its secrets, its releases, its watch. `make` has a target for each command,
//! and docs/deploy.md and docs/operations.md say when.
#![allow(clippy::print_stdout, reason = "a program that tells a person what it does")]

mod address;
mod costs;
mod deploy;
mod monitor;
mod secrets;
mod smoke;
mod stage;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use auth::{InvalidLifetime, TokenLifetime};
use clap::{Parser, Subcommand};

use crate::{
    secrets::{Step, Wishes},
    stage::{Stage, Store},
};

/// Deploys a stage and operates it.
#[derive(Parser)]
enum Cli {
    /// Check, migrate, build, deploy and smoke-test a stage; each step stops the next, and a repeat goes on.
    Deploy {
        #[command(flatten)]
        stage: StageOption,
        /// Check, list the migrations that would be applied, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Go the shortest way through a running API that meets all of its parts, and leave nothing behind.
    Smoke {
        /// Where it is, such as https://abc123.execute-api.eu-central-1.amazonaws.com.
        #[arg(long, env, value_name = "URL")]
        api_url: String,
        /// An origin that the API allows; its own, if every one is allowed.
        #[arg(long, env, value_name = "URL")]
        origin: Option<String>,
    },
    /// Store a stage's secrets in the Parameter Store.
    #[command(subcommand)]
    Secrets(Secrets),
    /// Show what the database tells about itself, and what to look for.
    Monitor {
        /// A direct or pooled address; the stage's, when a stage is named.
        #[arg(long, env = "DATABASE_URL_UNPOOLED", value_name = "URL", hide_env_values = true)]
        database_url: Option<String>,
        /// The stage.
        #[arg(long, env)]
        stage: Option<Stage>,
        /// How long the database may take to be connected to, and to answer each query.
        #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        patience: u64,
    },
    /// Measure what requests cost, against a running API and its log.
    Costs {
        /// Where it is.
        #[arg(long, env, value_name = "URL")]
        api_url: String,
        /// Where its functions' log lines go.
        #[arg(long, env = "API_LOG", value_name = "FILE")]
        log: PathBuf,
        /// How many times every route is called.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
    },
}

#[derive(Subcommand)]
enum Secrets {
    /// Ask for the database's address, make the functions' role there, store both addresses, and keys if there are none.
    Set {
        #[command(flatten)]
        stage: StageOption,
        /// Overwrite without asking.
        #[arg(long)]
        yes: bool,
        /// Give the functions' role another password.
        #[arg(long)]
        renew: bool,
        /// Where the pooler is, if it is not Neon's; without it, where it was, or the database itself.
        #[arg(long, env, value_name = "HOST:PORT")]
        pooler: Option<String>,
    },
    /// Take one step of a rotation of the keys: accept, sign, drop.
    Rotate {
        #[command(flatten)]
        stage: StageOption,
        /// Which.
        #[arg(long, env)]
        step: Step,
        /// How long a token is accepted: an hour without it.
        #[arg(long, env, value_name = "SECONDS", default_value = "", value_parser = token_lifetime)]
        token_lifetime_seconds: TokenLifetime,
        /// Do not wait, although tokens will be refused: for a key that others know.
        #[arg(long)]
        now: bool,
    },
    /// Remove all that is stored for a stage.
    Remove {
        #[command(flatten)]
        stage: StageOption,
        /// Do so without asking.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
struct StageOption {
    /// The stage: a config-env of samconfig.toml.
    #[arg(long, env)]
    stage: Stage,
}

impl StageOption {
    async fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::new(&self.stage, &self.stage.config()?.aws().await?))
    }
}

/// As the functions read it.
fn token_lifetime(text: &str) -> Result<TokenLifetime, InvalidLifetime> {
    match text.trim() {
        "" => Ok(TokenLifetime::default()),
        text => text.parse(),
    }
}

fn main() -> ExitCode {
    match run(cli::arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The messages of others may have several lines.
            let line = format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ");
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match cli {
            Cli::Deploy { stage, dry_run } => deploy::run(&stage.stage, dry_run).await,
            Cli::Smoke { api_url, origin } => smoke::run(&api_url, origin.as_deref()).await,
            Cli::Secrets(Secrets::Set { stage, yes: overwrite, renew, pooler }) => {
                secrets::set(&stage.store().await?, &Wishes { overwrite, renew, pooler }).await
            }
            Cli::Secrets(Secrets::Rotate { stage, step, token_lifetime_seconds, now }) => {
                secrets::rotate(&stage.store().await?, step, token_lifetime_seconds.get(), now).await
            }
            Cli::Secrets(Secrets::Remove { stage, yes }) => secrets::remove(&stage.store().await?, yes).await,
            Cli::Monitor { database_url, stage, patience } => {
                monitor::run(database_url, stage, Duration::from_secs(patience)).await
            }
            Cli::Costs { api_url, log, rounds } => costs::run(&api_url, &log, rounds).await,
        }
    });
    // A name lookup cannot be cancelled: do not wait for one that was given up.
    runtime.shutdown_background();
    done
}
