//! Other programs.

use std::{
    ffi::OsStr,
    fmt::Debug,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

/// Runs `sam` with its output on the terminal.
pub(crate) fn sam<S: AsRef<OsStr> + Debug>(arguments: Vec<S>) -> anyhow::Result<()> {
    run("sam", arguments)
}

/// Runs `cargo lambda` with its output on the terminal.
pub(crate) fn cargo_lambda(arguments: Vec<&str>) -> anyhow::Result<()> {
    run("cargo-lambda", [vec!["lambda"], arguments].concat())
}

fn run<S: AsRef<OsStr> + Debug>(name: &str, arguments: Vec<S>) -> anyhow::Result<()> {
    let mut program = Command::new(name);
    let status = program.args(&arguments).status().with_context(|| format!("cannot run {name}"))?;
    let words: Vec<_> = program.get_args().map(|word| word.display().to_string()).collect();
    ensure!(status.success(), "`{name} {}` failed: see its output above", words.join(" "));
    Ok(())
}

/// The standard output of a program.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| name.clone())?;
    ensure!(output.status.success(), "{name} failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
