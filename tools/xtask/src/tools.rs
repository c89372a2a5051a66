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

pub(crate) use self::install::program;
use self::install::{find, program_if_possible};
pub(crate) use self::postgres::Installation;
pub(crate) use self::table::on_path;
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
        for tool in ["cc", "make", "perl"] {
            program(tool).await?;
        }
        Ok(Self {
            postgres: Installation::ready().await?,
            pgbouncer: program_if_possible("pgbouncer").await,
            cargo_lambda: cargo_lambda().await?,
        })
    }
}

/// A cargo-lambda that runs functions on this machine.
pub(crate) async fn cargo_lambda() -> Result<PathBuf> {
    if let Some(found) = on_path("cargo-lambda")
        // "cargo-lambda 1.9.2 (…)"
        && let Some(answer) = stdout_of(Command::new(&found).args(["lambda", "--version"])).await
        && let Some(Ok(version)) = answer.split_ascii_whitespace().nth(1).map(str::parse::<Version>)
        && version >= CARGO_LAMBDA_AT_LEAST
    {
        return Ok(found);
    }
    if let Some(built) = find("cargo-lambda-from-source")? {
        return Ok(built);
    }
    match program_if_possible("cargo-lambda").await {
        Some(found) => Ok(found),
        None => program("cargo-lambda-from-source").await,
    }
}

/// A cargo-lambda that can cross-compile as well: with zig, which is ten times its size.
pub(crate) async fn cargo_lambda_with_zig() -> Result<PathBuf> {
    if on_path("zig").is_some() { cargo_lambda().await } else { program("cargo-lambda-with-zig").await }
}

/// A program that takes minutes to build: the user's own, if there is one.
pub(crate) async fn program_or_own(name: &str) -> Result<PathBuf> {
    if let Some(found) = on_path(name) { Ok(found) } else { program(name).await }
}

/// `ip`, with which root on Linux can lose packets in a network of the tests' own.
pub(crate) async fn ip() -> Option<PathBuf> {
    let usable = cfg!(target_os = "linux") && rustix::process::geteuid().is_root();
    if usable { program_if_possible("ip").await } else { None }
}

/// The PATH, and before it the folders of these programs.
pub(crate) fn path_with(programs: &[&Path]) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = programs.iter().filter_map(|program| program.parent()).map(Path::to_path_buf);
    std::env::join_paths(folders.chain(std::env::split_paths(&path))).context("PATH cannot be extended")
}
