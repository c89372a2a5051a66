//! A release build of every function, and its size.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::{cargo::hide_settings, process::run_checked, tools::cargo_lambda_with_zig};

/// Builds and prints a table of sizes: raw is loaded into memory, zipped is uploaded.
pub(crate) async fn build(arguments: &[OsString]) -> Result<()> {
    let root = cli::checkout()?;
    let packages = packages(&root)?;
    let cargo_lambda = cargo_lambda_with_zig().await?;
    // The second run only packs what the first one built.
    for format in ["binary", "zip"] {
        let mut build = cargo_lambda.command();
        hide_settings(&mut build);
        build.args(["build", "--release", "--output-format", format, "--lambda-dir"]).arg(&packages).args(arguments);
        run_checked(build.env("PATH", cargo_lambda.path()?).current_dir(&root)).await?;
    }
    println!("\n  {:<14} {:>9} {:>9}", "function", "raw", "zipped");
    let functions = root.join("functions");
    let entries = fs::read_dir(&functions).with_context(|| format!("cannot read {}", functions.display()))?;
    let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name().display().to_string())).collect();
    names.sort();
    for name in names {
        let folder = packages.join(&name);
        let (raw, zipped) = (size(&folder.join("bootstrap"))?, size(&folder.join("bootstrap.zip"))?);
        println!("  {name:<14} {raw:>6.2} MB {zipped:>6.2} MB");
    }
    Ok(())
}

/// In cargo's target folder, wherever its configuration or `CARGO_TARGET_DIR` puts that.
fn packages(root: &Path) -> Result<PathBuf> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec().context("cargo metadata")?;
    Ok(metadata.target_directory.join("lambda").into())
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn size(file: &Path) -> Result<f64> {
    let meta = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(meta.len() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_where_cargo_has_its_target_folder() {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("Cargo.toml", "[package]\nname = \"x\"\nedition = \"2024\"\n"),
            ("src/lib.rs", ""),
            (".cargo/config.toml", "[build]\ntarget-dir = \"elsewhere\"\n"),
        ] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        // Relative to the folder that cargo is run in, as the configuration's is; an absolute one stays as it is.
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "elsewhere".into());
        let root = root.path().canonicalize().unwrap();
        assert_eq!(packages(&root).unwrap(), root.join(target).join("lambda"));
    }
}
