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
pub(crate) use self::table::{CARGO_DENY, CARGO_FUZZ, CFN_LINT, CHECKOV, MOTO, SAM, SCHEMATHESIS, SQUAWK};

use self::install::Installer;
use self::table::{
    AXE, CARGO_LAMBDA, CARGO_LAMBDA_BUILT, CARGO_LAMBDA_WITH_ZIG, CC, CHROMEDRIVER, CHROMIUM, IP, MAKE, PERL,
    PGBOUNCER, on_path,
};
use crate::process::stdout_of;

/// Older ones do not read the routes from the workspace, or fail on arm64.
const CARGO_LAMBDA_AT_LEAST: Version = Version::new(1, 9, 2);

/// What the stack is made of.
pub(crate) struct Tools {
    pub(crate) postgres: Installation,
    /// Not available on every platform.
    pub(crate) pgbouncer: Option<PathBuf>,
    pub(crate) cargo_lambda: CargoLambda,
}

impl Tools {
    /// Finds every tool, and installs those that are missing.
    pub(crate) async fn ready() -> Result<Self> {
        let installer = Installer::new()?;
        for tool in [CC, MAKE, PERL] {
            installer.program(&tool).await?;
        }
        Ok(Self {
            postgres: Installation::ready(&installer).await?,
            pgbouncer: installer.program(&PGBOUNCER).await.inspect_err(|error| println!("  {error:#}")).ok(),
            cargo_lambda: CargoLambda::ready(&installer).await?,
        })
    }
}

/// The program behind `cargo lambda`.
pub(crate) struct CargoLambda {
    pub(crate) program: PathBuf,
    /// Whether `cargo lambda` works as typed.
    pub(crate) on_path: bool,
}

impl CargoLambda {
    async fn ready(installer: &Installer) -> Result<Self> {
        if let Some(program) = CARGO_LAMBDA.on_path()
            && version(&program).await.is_some_and(|version| version >= CARGO_LAMBDA_AT_LEAST)
        {
            return Ok(Self { program, on_path: true });
        }
        let program = match installer.find(&CARGO_LAMBDA_BUILT)? {
            Some(built) => built,
            None => match installer.program(&CARGO_LAMBDA).await {
                Ok(program) => program,
                Err(error) => {
                    println!("  {error:#}");
                    installer.program(&CARGO_LAMBDA_BUILT).await?
                }
            },
        };
        Ok(Self { program, on_path: false })
    }

    /// `cargo lambda`, whether it is on the PATH or not.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("lambda");
        command
    }

    /// The PATH with this cargo-lambda on it.
    pub(crate) fn path(&self) -> Result<OsString> {
        path_with(&[&self.program])
    }
}

/// The PATH with the folders of these programs before it.
pub(crate) fn path_with(programs: &[&Path]) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = programs.iter().filter_map(|program| program.parent()).map(Path::to_path_buf);
    std::env::join_paths(folders.chain(std::env::split_paths(&path))).context("PATH cannot be extended")
}

/// What `cargo-lambda lambda --version` prints: "cargo-lambda 1.9.2 (…)".
async fn version(cargo_lambda: &Path) -> Option<Version> {
    let answer = stdout_of(Command::new(cargo_lambda).args(["lambda", "--version"])).await?;
    answer.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A cargo-lambda that runs functions on this machine.
pub(crate) async fn cargo_lambda() -> Result<CargoLambda> {
    CargoLambda::ready(&Installer::new()?).await
}

/// A cargo-lambda that can cross-compile as well: with zig, which is ten times its size.
pub(crate) async fn cargo_lambda_with_zig() -> Result<CargoLambda> {
    if on_path("zig").is_some() {
        return cargo_lambda().await;
    }
    Ok(CargoLambda { program: CARGO_LAMBDA_WITH_ZIG.program().await?, on_path: false })
}

/// What the tests look at the page with.
pub(crate) struct Browser {
    /// Chromium or Chrome.
    pub(crate) program: PathBuf,
    pub(crate) driver: PathBuf,
    /// The script of axe-core.
    pub(crate) axe: PathBuf,
}

pub(crate) async fn browser() -> Result<Browser> {
    let installer = Installer::new()?;
    Ok(Browser {
        program: installer.program(&CHROMIUM).await?,
        driver: installer.program(&CHROMEDRIVER).await?,
        axe: installer.program(&AXE).await?,
    })
}

/// `ip`, with which root can lose packets in a network of the tests' own, on Linux.
pub(crate) async fn ip() -> Option<PathBuf> {
    let usable = cfg!(target_os = "linux") && rustix::process::geteuid().is_root();
    if usable { IP.program().await.inspect_err(|error| println!("  {error:#}")).ok() } else { None }
}
