//! Other programs.

use std::{
    ffi::OsStr,
    fmt::Debug,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

/// Runs `sam` with its output on the terminal.
pub(crate) fn sam<S: AsRef<OsStr> + Debug>(arguments: Vec<S>) -> anyhow::Result<()> {
    let mut sam = Command::new("sam");
    let status = sam.args(&arguments).status().context("cannot run sam")?;
    let words: Vec<_> = sam.get_args().map(|word| word.display().to_string()).collect();
    ensure!(status.success(), "`sam {}` failed: see its output above", words.join(" "));
    Ok(())
}

/// The standard output of a program.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| name.clone())?;
    ensure!(output.status.success(), "{name} failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
