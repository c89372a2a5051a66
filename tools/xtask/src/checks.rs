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

/// Which program checks what. Exceptions have their reasons beside them, in `deny.toml`, in the template's metadata and in
/// `.checkov.yaml`.
const CHECKERS: [(Check, &str, &str); 8] = [
    (Check::Format, "cargo", "fmt --all --check"),
    (Check::Lints, "cargo", "clippy --workspace --all-targets -- -D warnings"),
    (Check::Dependencies, "cargo-deny", "check licenses bans sources"),
    (Check::Template, "sam", "validate --lint"),
    (Check::Template, "cfn-lint", "template.yaml"),
    (Check::Template, "checkov", "--file template.yaml --framework cloudformation --skip-download --compact --quiet"),
    (Check::Document, "spectral", "lint --fail-severity hint functions/docs/assets/openapi.json"),
    (Check::Document, "redocly", "lint --config .redocly.yaml functions/docs/assets/openapi.json"),
];

/// Runs the checks; all of them if none is named.
pub(crate) async fn run(checks: &[Check]) -> Result<()> {
    for check in if checks.is_empty() { Check::value_variants() } else { checks } {
        if *check == Check::Migrations {
            migrations().await?;
        }
        for (_, name, arguments) in CHECKERS.iter().filter(|(of, ..)| of == check) {
            let mut command = match *name {
                "cargo" => cargo(),
                "cargo-deny" => Command::new(tools::program_or_own(name).await?),
                _ => Command::new(tools::program(name).await?),
            };
            // What npm installs runs on the Node.js beside it.
            let path = tools::path_with(&[command.as_std().get_program().as_ref()])?;
            offline(&mut command).env("PATH", path).args(arguments.split(' ')).current_dir(cli::checkout()?);
            run_checked(&mut command).await?;
        }
    }
    Ok(())
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
