//! The workspace's own programs, built by the cargo that runs this one.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use tokio::process::Command;

/// Cargo, in a clean environment.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    hide_settings(&mut command);
    command
}

/// Removes what this program was run with by cargo, and what the user has set for another database.
pub(crate) fn hide_settings(command: &mut Command) {
    const PREFIXES: [&str; 7] = ["DATABASE_", "JWT_", "MAIL_", "PAGE_URL", "PG", "CARGO_PKG_", "CARGO_MANIFEST_"];
    for (name, _) in std::env::vars_os() {
        if PREFIXES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// Builds every function and the tools. Returns the folder that cargo puts the programs in, which depends on its
/// configuration.
pub(crate) async fn build(root: &Path) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--message-format", "json-render-diagnostics"]).current_dir(root);
    let built = build.stdout(Stdio::piped()).spawn()?.wait_with_output().await.context("cannot run cargo")?;
    if !built.status.success() {
        bail!("the build failed; see the compiler's output above");
    }
    let messages = Message::parse_stream(&*built.stdout).map_while(Result::ok);
    let programs = messages.filter_map(|message| match message {
        Message::CompilerArtifact(artifact) => artifact.executable,
        _ => None,
    });
    let program = programs.last().context("the build made no program")?;
    Ok(program.parent().context("a program in no folder")?.into())
}
