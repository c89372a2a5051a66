//! Runs other programs. What is still running when a command is cancelled, the supervisor ends.

use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use tokio::process::Command;

/// Runs a command in the foreground.
pub(crate) async fn run(command: &mut Command) -> Result<ExitStatus> {
    command.status().await.with_context(|| format!("cannot start `{}`", line(command)))
}

/// Runs a command in the foreground, and fails when it does.
pub(crate) async fn run_checked(command: &mut Command) -> Result<()> {
    let status = run(command).await?;
    if !status.success() {
        bail!("`{}` failed ({status}); see its output above", line(command));
    }
    Ok(())
}

/// Runs a command whose output only matters when it fails.
pub(crate) async fn run_quietly(command: &mut Command, log: &Path) -> Result<()> {
    let file = fs::File::create(log)?.into_file();
    let status = run(command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file)).await?;
    if !status.success() {
        bail!("`{}` failed ({status}); the last lines of {}:{}", line(command), log.display(), tail(log));
    }
    Ok(())
}

/// What a command prints, without the white space around it, if it can be run and succeeds.
pub(crate) async fn stdout_of(command: &mut Command) -> Option<String> {
    let Output { status, stdout, .. } = command.stdin(Stdio::null()).output().await.ok()?;
    status.success().then(|| String::from_utf8_lossy(&stdout).trim().to_owned())
}

/// The exit code to pass on: 1 when a signal ended the command.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The last lines of a log, indented, to be shown below an error.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].iter().map(|line| format!("\n    {line}")).collect()
}

/// The program and its arguments.
fn line(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
