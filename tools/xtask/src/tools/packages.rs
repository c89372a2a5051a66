//! Packages of the system. Installing them changes the machine, so `INSTALL` says whether that is allowed.

use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::table::{Packages, on_path};
use crate::process::{run_quietly, stdout_of};

/// Whether packages may be installed.
#[derive(Clone, Copy, ValueEnum)]
enum Install {
    /// If the user says so. Without a terminal to ask on, no.
    Ask,
    Yes,
    No,
}

/// Installs packages if that is allowed. An error says what to type. `missing` says what is missing, and what it is
/// for.
pub(super) async fn install(packages: &Packages, missing: &str, log: &Path) -> Result<()> {
    let install = cli::variable("INSTALL").map_or_else(|| "ask".to_owned(), |value| value.display().to_string());
    let Ok(install) = Install::from_str(&install, false) else {
        bail!("INSTALL is {install}: set it to ask, yes or no");
    };
    let managers = [
        ("apt-get", "install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120", packages.apt),
        ("dnf", "install -y", packages.dnf),
        ("brew", "install", packages.brew),
    ];
    let Some((manager, arguments, names)) = managers.into_iter().find(|(program, ..)| on_path(program).is_some())
    else {
        bail!("{missing}, and there is no apt-get, dnf or brew to install it with")
    };
    let command = |sudo: &str| {
        let update = if manager == "apt-get" { format!("{sudo}apt-get update -q && ") } else { String::new() };
        format!("{update}{sudo}{manager} {arguments} {names}")
    };
    let needs_sudo = manager != "brew" && !geteuid().is_root();
    let shown = command(if needs_sudo { "sudo " } else { "" });
    if needs_sudo && stdout_of(Command::new("sudo").args(["-n", "true"])).await.is_none() {
        bail!("{missing}, and only root can install it: run `{shown}`");
    }
    match install {
        Install::No => bail!("{missing}, and INSTALL is no: run `{shown}`"),
        Install::Ask if !stdin().is_terminal() || !stderr().is_terminal() => {
            bail!("{missing}, and there is no terminal to ask on: run `{shown}`, or set INSTALL to yes")
        }
        Install::Ask => {
            eprint!("  {missing}. Run `{shown}`? [y/N] ");
            let mut answer = String::new();
            BufReader::new(tokio::io::stdin()).read_line(&mut answer).await.context("no answer")?;
            if !answer.trim().to_ascii_lowercase().starts_with('y') {
                bail!("{missing}: run `{shown}`");
            }
        }
        Install::Yes => println!("  {missing}: running `{shown}`"),
    }
    let before = if manager == "apt-get" { packages.before_apt } else { "" };
    let mut shell = Command::new(if needs_sudo { "sudo" } else { "sh" });
    shell.args(if needs_sudo { &["-n", "sh", "-c"][..] } else { &["-c"] });
    shell.arg(format!("export DEBIAN_FRONTEND=noninteractive; {before}{}", command("")));
    run_quietly(&mut shell, log).await.with_context(|| format!("{missing}, and could not be installed: run `{shown}`"))
}
