//! What is checked without running anything: formatting, lints, dependencies, migrations, template, OpenAPI document.

use anyhow::Result;
use clap::ValueEnum;
use fs_err as fs;
use tokio::process::Command;

use crate::{cargo::cargo, process::run_checked, sam::offline, tools};

/// A kind of check.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
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
    /// The OpenAPI document, by `spectral` (`.spectral.yaml`) and `redocly` (`.redocly.yaml`).
    Document,
}

/// Runs the checks; all of them if none is named.
pub(crate) async fn run(checks: &[Check]) -> Result<()> {
    for check in if checks.is_empty() { Check::value_variants() } else { checks } {
        match check {
            Check::Format => run_in_root(cargo(), "fmt --all --check").await?,
            Check::Lints => run_in_root(cargo(), "clippy --workspace --all-targets -- -D warnings").await?,
            Check::Dependencies => {
                let deny = Command::new(tools::program_or_own("cargo-deny").await?);
                run_in_root(deny, "check licenses bans sources").await?;
            }
            Check::Migrations => migrations().await?,
            Check::Template | Check::Document => lint(*check).await?,
        }
    }
    Ok(())
}

async fn run_in_root(mut command: Command, arguments: &str) -> Result<()> {
    run_checked(command.args(arguments.split(' ')).current_dir(cli::checkout()?)).await
}

/// A file that runs outside a transaction has other rules: it must do no harm when it stops halfway.
async fn migrations() -> Result<()> {
    let (squawk, root) = (tools::program("squawk").await?, cli::checkout()?);
    for file in fs::read_dir(root.join("migrations"))? {
        let file = file?.path();
        let is_outside = fs::read_to_string(&file)?.starts_with("-- no-transaction");
        let mode = if is_outside { "--no-assume-in-transaction" } else { "--assume-in-transaction" };
        run_checked(Command::new(&squawk).arg(mode).arg(file).current_dir(&root)).await?;
    }
    Ok(())
}

/// Exceptions have their reasons beside them, in the template's metadata and in `.checkov.yaml`.
async fn lint(check: Check) -> Result<()> {
    use Check::{Document, Template};
    let linters = [
        (Template, "sam", "validate --lint"),
        (Template, "cfn-lint", "template.yaml"),
        (Template, "checkov", "--file template.yaml --framework cloudformation --skip-download --compact --quiet"),
        (Document, "spectral", "lint --fail-severity hint functions/docs/assets/openapi.json"),
        (Document, "redocly", "lint --config .redocly.yaml functions/docs/assets/openapi.json"),
    ];
    for (_, tool, arguments) in linters.into_iter().filter(|(of, ..)| *of == check) {
        let program = tools::program(tool).await?;
        let mut command = Command::new(&program);
        // What npm installs runs on the Node.js beside it.
        offline(&mut command).env("PATH", tools::path_with(&[&program])?);
        run_in_root(command, arguments).await?;
    }
    Ok(())
}
