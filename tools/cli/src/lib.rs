//! What all tools share: command-line arguments, environment variables, the checkout they work on, where PostgreSQL's
//! programs are, and what the cloud costs.

mod checkout;
mod postgres;
pub mod price;

use std::{
    env,
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use clap::{Command, Parser, builder::Resettable};
use tokio::runtime::Builder;

pub use checkout::checkout;
pub use postgres::postgres_folders;

/// Parses the command line. An environment variable that is empty or white space counts as unset.
pub fn arguments<T: Parser>() -> T {
    let mut command = without_empty_variables(T::command());
    let mut matches = command.get_matches_mut();
    T::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// An environment variable; one that is empty or white space counts as unset.
pub fn variable(name: impl AsRef<OsStr>) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.to_string_lossy().trim().is_empty())
}

/// Runs an async `main`. Its error is printed on one line, after the prefix.
pub fn block_on(prefix: &str, main: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let run = || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(main);
        // A DNS lookup cannot be cancelled: do not wait for one that timed out.
        runtime.shutdown_background();
        result
    };
    let Err(error) = run() else { return ExitCode::SUCCESS };
    let line = format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join(" ");
    eprintln!("{prefix}: {line}");
    ExitCode::FAILURE
}

fn without_empty_variables(command: Command) -> Command {
    let reset = |argument: clap::Arg| match argument.get_env() {
        Some(name) if env::var_os(name).is_some() && variable(name).is_none() => argument.env(Resettable::Reset),
        _ => argument,
    };
    command.mut_args(reset).mut_subcommands(without_empty_variables)
}
