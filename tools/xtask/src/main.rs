//! Everything a developer of this project runs: `cargo xtask COMMAND`. `make` has a target for most commands.
#![allow(clippy::print_stdout, reason = "a program that tells a person what it does")]

mod cargo;
mod checks;
mod commands;
mod containers;
mod faults;
mod functions;
mod keys;
mod pgbouncer;
mod postgres;
mod process;
mod process_table;
mod profile;
mod progress;
mod release;
mod sam;
mod server_user;
mod settings;
mod shutdown;
mod stack;
mod supervisor;
mod tls;
mod tools;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use auth::PublicKeys;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::checks::Check;
use crate::commands::command;
use crate::profile::{Kind, Profile};
use crate::server_user::ServerUser;
use crate::supervisor::Supervisor;
use crate::tools::Tools;

/// The developers' program.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
    /// The API's port under `dev` and `db`; the next four are the pooler's, PostgreSQL's, Lambda's and its emulator's.
    #[arg(long, env = "DEV_PORT", default_value_t = 9000, global = true)]
    dev_port: u16,
    /// The same under `test`; five more are for `faults`.
    #[arg(long, env = "TEST_PORT", default_value_t = 9100, global = true)]
    test_port: u16,
}

#[derive(Subcommand)]
enum Action {
    /// Run the whole API until Ctrl-C.
    Dev,
    /// Run all but the functions until Ctrl-C.
    Db,
    /// Run a command against a stack with fresh data.
    Run {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run tests against a stack with fresh data, with the programs that they need beside it.
    Test {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run a database with fresh data beside `test`, and break it as told on standard input.
    Faults,
    /// Find the programs that the stack needs, and install those that are missing.
    Tools,
    /// Check formatting, lints, dependencies, migrations and the template.
    Check {
        /// The checks to run; without one, all.
        checks: Vec<Check>,
    },
    /// Look for events that the functions cannot answer.
    Fuzz {
        /// Passed on to libFuzzer.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Run the functions in containers, as `sam local start-api` does, until Ctrl-C.
    SamLocal,
    /// Run the main tests on the release build in containers, and look at that build.
    TestSam,
    /// Build every function for the cloud and show the sizes.
    Build {
        /// Passed on to `cargo lambda build`.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Run a command with `sam` and a `cargo lambda` that cross-compiles on its PATH.
    Release {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Remove the data of `dev`: database, certificates, keys.
    CleanData,
    /// Make the keys that sign and verify tokens.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Subcommand)]
enum Keys {
    /// Print a new pair of Ed25519 keys as JWT_SIGNING_KEY and JWT_PUBLIC_KEYS.
    New,
    /// Print a new pair that replaces the keys in JWT_PUBLIC_KEYS, as three steps without a refused token.
    Rotate {
        /// The keys that are accepted now.
        #[arg(long, env = "JWT_PUBLIC_KEYS")]
        public_keys: PublicKeys,
    },
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::arguments();
    // Ctrl-C is how these end. Anything else was broken off, and must not be taken for a success.
    let runs_until_stopped = matches!(arguments.command, Action::Dev | Action::Db | Action::SamLocal);
    let run = || {
        let runtime = Runtime::new()?;
        let done = runtime.block_on(shutdown::supervised(async |supervisor| dispatch(arguments, supervisor).await));
        // Without waiting for a read of standard input.
        runtime.shutdown_background();
        done
    };
    match run() {
        Ok(Some(code)) => ExitCode::from(code),
        Ok(None) if runs_until_stopped => ExitCode::SUCCESS,
        Ok(None) => ExitCode::from(130),
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(
    Arguments { command: action, dev_port, test_port }: Arguments,
    supervisor: &Supervisor,
) -> Result<u8> {
    let dev = || Profile::new(Kind::Dev, dev_port);
    let test = || Profile::new(Kind::Test, test_port);
    match action {
        Action::Dev => return commands::dev(&dev()?, supervisor).await,
        Action::Db => return commands::db(&dev()?, supervisor).await,
        Action::Run { command: words } => return commands::run(&test()?, supervisor, &mut command(&words)?).await,
        Action::Test { command: words } => return commands::test(&test()?, supervisor, &mut command(&words)?).await,
        Action::Faults => faults::serve(&Profile::new(Kind::Faults, test_port.saturating_add(5))?, supervisor).await?,
        Action::Tools => drop(Tools::ready(ServerUser::find()?).await?),
        Action::Check { checks } => checks::run(&checks).await?,
        Action::Fuzz { arguments } => return commands::fuzz(&test()?, supervisor, &arguments).await,
        Action::SamLocal => return commands::sam_local(&dev()?, supervisor).await,
        Action::TestSam => return commands::test_sam(&test()?, supervisor).await,
        Action::Build { arguments } => release::build(&arguments).await?,
        Action::Release { command: words } => return commands::release(&mut command(&words)?).await,
        Action::CleanData => commands::clean_data(&dev()?)?,
        Action::Keys(Keys::New) => keys::print_new()?,
        Action::Keys(Keys::Rotate { public_keys }) => keys::rotate(&public_keys)?,
    }
    Ok(0)
}
