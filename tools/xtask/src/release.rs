//! A release build of every function, and its size.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Error, Result};
use fs_err as fs;
use tokio::process::Command;

use crate::{cargo::hide_settings, process::run_checked, tools};

/// Builds into `.local/lambda` and prints a table of sizes: raw is loaded into memory, zipped is uploaded.
pub(crate) async fn build(arguments: &[OsString]) -> Result<()> {
    let root = cli::checkout()?;
    let packages = root.join(".local/lambda");
    let cargo_lambda = tools::cargo_lambda_with_zig().await?;
    // The second run only packs what the first one built.
    for format in ["binary", "zip"] {
        let mut build = Command::new(&cargo_lambda);
        hide_settings(&mut build);
        build
            .args(["lambda", "build", "--release", "--output-format", format, "--lambda-dir"])
            .arg(&packages)
            .args(arguments);
        run_checked(build.env("PATH", tools::path_with(&[&cargo_lambda])?).current_dir(&root)).await?;
    }
    println!("\n  {:<14} {:>9} {:>9}", "function", "raw", "zipped");
    for name in functions(&root)? {
        let size = |file| Ok::<_, Error>(u32::try_from(fs::metadata(packages.join(&name).join(file))?.len())?);
        let (raw, zipped) = (f64::from(size("bootstrap")?) / 1e6, f64::from(size("bootstrap.zip")?) / 1e6);
        println!("  {name:<14} {raw:>6.2} MB {zipped:>6.2} MB");
    }
    Ok(())
}

/// The names of all functions.
pub(crate) fn functions(root: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(root.join("functions"))?;
    let mut names = entries.map(|entry| Ok(entry?.file_name().display().to_string())).collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
