//! The programs that the stack and its checks need: found on this machine, or installed.

mod install;
mod packages;
mod postgres;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::semver::Version;
use tokio::process::Command;

pub(crate) use self::postgres::Installation;
pub(crate) use self::table::*;
use crate::process::stdout_of;

/// Older ones do not read the routes from the workspace, or fail on arm64.
const CARGO_LAMBDA_AT_LEAST: Version = Version::new(1, 9, 2);

/// What the stack is made of.
pub(crate) struct Tools {
    pub(crate) postgres: Installation,
    /// Not available on every platform.
    pub(crate) pgbouncer: Option<PathBuf>,
    /// The program behind `cargo lambda`.
    pub(crate) cargo_lambda: PathBuf,
}

impl Tools {
    /// Finds every tool, and installs those that are missing.
    pub(crate) async fn ready() -> Result<Self> {
        for tool in [CC, MAKE, PERL] {
            tool.program().await?;
        }
        Ok(Self {
            postgres: Installation::ready().await?,
            pgbouncer: PGBOUNCER.program_if_possible().await,
            cargo_lambda: cargo_lambda().await?,
        })
    }
}

/// A cargo-lambda that runs functions on this machine.
pub(crate) async fn cargo_lambda() -> Result<PathBuf> {
    if let Some(program) = CARGO_LAMBDA.on_path()
        // "cargo-lambda 1.9.2 (…)"
        && let Some(answer) = stdout_of(Command::new(&program).args(["lambda", "--version"])).await
        && let Some(Ok(version)) = answer.split_ascii_whitespace().nth(1).map(str::parse::<Version>)
        && version >= CARGO_LAMBDA_AT_LEAST
    {
        return Ok(program);
    }
    if let Some(built) = CARGO_LAMBDA_BUILT.find()? {
        return Ok(built);
    }
    match CARGO_LAMBDA.program().await {
        Ok(program) => Ok(program),
        Err(error) => {
            println!("  {error:#}");
            CARGO_LAMBDA_BUILT.find_or_install().await
        }
    }
}

/// A cargo-lambda that can cross-compile as well: with zig, which is ten times its size.
pub(crate) async fn cargo_lambda_with_zig() -> Result<PathBuf> {
    if on_path("zig").is_some() { cargo_lambda().await } else { CARGO_LAMBDA_WITH_ZIG.program().await }
}

/// `ip`, with which root on Linux can lose packets in a network of the tests' own.
pub(crate) async fn ip() -> Option<PathBuf> {
    let usable = cfg!(target_os = "linux") && rustix::process::geteuid().is_root();
    if usable { IP.program_if_possible().await } else { None }
}

/// The PATH, and before it the folders of these programs.
pub(crate) fn path_with(programs: &[&Path]) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = programs.iter().filter_map(|program| program.parent()).map(Path::to_path_buf);
    std::env::join_paths(folders.chain(std::env::split_paths(&path))).context("PATH cannot be extended")
}
