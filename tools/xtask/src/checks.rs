//! What is checked without running anything: formatting, lints, dependencies, migrations, the template.

use std::fs;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::process::Command;

use crate::{cargo::cargo, process::run_checked, sam::offline, tools};

/// A kind of check.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Check {
    /// `cargo fmt`.
    Format,
    /// `cargo clippy`, warnings being errors.
    Lints,
    /// Licences and sources of the dependencies, by `cargo deny` (`deny.toml`).
    Dependencies,
    /// The migrations, by `squawk` (`.squawk.toml`): no long locks on tables in use.
    Migrations,
    /// `template.yaml`, by `sam validate`, `cfn-lint` and `checkov` (`.checkov.yaml`).
    Template,
}

/// Runs the checks; all of them if none is named.
pub(crate) async fn run(checks: &[Check]) -> Result<()> {
    for check in if checks.is_empty() { Check::value_variants() } else { checks } {
        match check {
            Check::Format => run_in_root(cargo().args(["fmt", "--all", "--check"])).await,
            Check::Lints => {
                run_in_root(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])).await
            }
            Check::Dependencies => {
                let mut deny = Command::new(tools::CARGO_DENY.program().await?);
                run_in_root(deny.args(["check", "licenses", "bans", "sources"])).await
            }
            Check::Migrations => migrations().await,
            Check::Template => template().await,
        }?;
    }
    Ok(())
}

async fn run_in_root(command: &mut Command) -> Result<()> {
    run_checked(command.current_dir(cli::checkout()?)).await
}

/// A file that runs outside a transaction has other rules: it must do no harm when it stops halfway.
async fn migrations() -> Result<()> {
    let squawk = tools::SQUAWK.program().await?;
    let folder = cli::checkout()?.join("migrations");
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let file = entry?.path();
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if text.starts_with("-- no-transaction") { outside.push(file) } else { inside.push(file) }
    }
    for (files, mode) in [(inside, "--assume-in-transaction"), (outside, "--no-assume-in-transaction")] {
        if !files.is_empty() {
            run_in_root(Command::new(&squawk).arg(mode).args(files)).await?;
        }
    }
    Ok(())
}

/// Exceptions have their reasons beside them, in the template's metadata and in `.checkov.yaml`.
async fn template() -> Result<()> {
    for (tool, arguments) in [
        (tools::SAM, "validate --lint"),
        (tools::CFN_LINT, "template.yaml"),
        (tools::CHECKOV, "--file template.yaml --framework cloudformation --skip-download --compact --quiet"),
    ] {
        run_in_root(offline(Command::new(tool.program().await?).args(arguments.split(' ')))).await?;
    }
    Ok(())
}
