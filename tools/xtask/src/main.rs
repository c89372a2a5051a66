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
use clap::{Args, Parser, Subcommand, value_parser};
use tokio::process::Command;

use crate::profile::{Kind, Profile};
use crate::{checks::Check, supervisor::Supervisor, tools::Tools};

/// The developers' program.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
    /// The API's port under `dev` and `db`; the next four are the pooler's, PostgreSQL's, Lambda's and its emulator's.
    #[arg(long, env = "DEV_PORT", default_value_t = 9000, global = true, value_parser = value_parser!(u16).range(1024..=65531))]
    dev_port: u16,
    /// The same under `test`; five more are for `faults`.
    #[arg(long, env = "TEST_PORT", default_value_t = 9100, global = true, value_parser = value_parser!(u16).range(1024..=65526))]
    test_port: u16,
}

#[derive(Subcommand)]
enum Action {
    /// Run the whole API until Ctrl-C.
    Dev,
    /// Run all but the functions until Ctrl-C.
    Db,
    /// Run a command against a stack with fresh data.
    Run(Words),
    /// Run tests against a stack with fresh data, with the programs that they need beside it.
    Test(Words),
    /// Run a database with fresh data beside `test`, and break it as told on standard input.
    Faults,
    /// Find the programs that the stack needs, and install those that are missing.
    Tools,
    /// Check formatting, lints, dependencies, migrations, the template and the OpenAPI document.
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
    Release(Words),
    /// Remove the data of `dev`: database, certificates, keys.
    CleanData,
    /// Make the keys that sign and verify tokens.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Args)]
struct Words {
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Words {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        command
    }
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
    shutdown::supervise(if runs_until_stopped { 0 } else { 130 }, async |supervisor| {
        dispatch(arguments, supervisor).await
    })
}

async fn dispatch(
    Arguments { command: action, dev_port, test_port }: Arguments,
    supervisor: &Supervisor,
) -> Result<u8> {
    let dev = || Profile::new(Kind::Dev, dev_port);
    let test = || Profile::new(Kind::Test, test_port);
    match action {
        Action::Dev => commands::dev(&dev()?, supervisor).await,
        Action::Db => commands::db(&dev()?, supervisor).await,
        Action::Run(words) => commands::run(&test()?, supervisor, &mut words.command()).await,
        Action::Test(words) => commands::test(&test()?, supervisor, &mut words.command()).await,
        Action::Faults => faults::serve(&Profile::new(Kind::Faults, test_port + 5)?, supervisor).await,
        Action::Tools => Tools::ready().await.map(|_| 0),
        Action::Check { checks } => checks::run(&checks).await.map(|()| 0),
        Action::Fuzz { arguments } => commands::fuzz(&test()?, supervisor, &arguments).await,
        Action::SamLocal => commands::sam_local(&dev()?, supervisor).await,
        Action::TestSam => commands::test_sam(&test()?, supervisor).await,
        Action::Build { arguments } => release::build(&arguments).await.map(|()| 0),
        Action::Release(words) => commands::release(&mut words.command()).await,
        Action::CleanData => commands::clean_data(&dev()?).map(|()| 0),
        Action::Keys(Keys::New) => keys::new().map(|keys| print!("{keys}")).map(|()| 0),
        Action::Keys(Keys::Rotate { public_keys }) => keys::rotate(&public_keys).map(|()| 0),
    }
}
