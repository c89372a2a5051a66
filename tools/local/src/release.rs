//! A release build of every function, and its size.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::functions::hide_settings;
use crate::process::run;
use crate::profile::root;
use crate::tools::cargo_lambda_with_zig;

/// Builds and shows a table: raw is what is loaded into memory, zipped is what is uploaded.
pub(crate) fn build(arguments: &[OsString]) -> Result<()> {
    let cargo_lambda = cargo_lambda_with_zig()?;
    // The second run only packs what the first one built.
    for format in ["binary", "zip"] {
        let mut build = cargo_lambda.command();
        hide_settings(&mut build);
        build.args(["build", "--release", "--output-format", format]).args(arguments);
        let status = run(build.env("PATH", cargo_lambda.path()?).current_dir(root()))?;
        if !status.success() {
            bail!("the build failed; the compiler's words are above");
        }
    }
    println!("\n  {:<14} {:>9} {:>9}", "function", "raw", "zipped");
    let functions = root().join("functions");
    let mut names: Vec<_> = fs::read_dir(&functions)
        .with_context(|| format!("cannot read {}", functions.display()))?
        .filter_map(|entry| Some(entry.ok()?.file_name().display().to_string()))
        .collect();
    names.sort();
    for name in names {
        let folder = root().join("target/lambda").join(&name);
        let (raw, zipped) = (size(&folder.join("bootstrap"))?, size(&folder.join("bootstrap.zip"))?);
        println!("  {name:<14} {raw:>6.2} MB {zipped:>6.2} MB");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn size(file: &Path) -> Result<f64> {
    let meta = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(meta.len() as f64 / 1e6)
}
