//! The workspace's own programs, built by the cargo that runs this one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use fs_err as fs;
use tokio::process::Command;
use toml::{Table, Value};

use crate::process::stdout_of;
use crate::profile::{Kind, Profile};

/// What to build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Programs {
    All,
    /// For `dev`, all but the functions.
    WithoutFunctions,
}

/// Cargo, in a clean environment.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    hide_settings(&mut command);
    command
}

/// Removes what this program was run with by cargo and by make, and what the user has set for another database.
pub(crate) fn hide_settings(command: &mut Command) {
    // A make that finds the level of another one prints the folder that it enters.
    const PREFIXES: [&str; 10] = [
        "DATABASE_",
        "JWT_",
        "MAIL_",
        "PAGE_URL",
        "PG",
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
    ];
    for (name, _) in std::env::vars_os() {
        if PREFIXES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// Builds every function and the tools; for `dev`, only what it runs, and without what only the cloud needs. Returns the
/// folder that cargo puts the programs in, which depends on its configuration.
pub(crate) async fn build(profile: &Profile, programs: Programs) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--message-format", "json-render-diagnostics"]).current_dir(&profile.root);
    if profile.kind == Kind::Dev {
        // `--bin`, not `-p`: with the features of the whole build, which then compiles little a second time.
        build.args(features().await).args(["--bin", "migrate", "--bin", "gateway"]);
        if programs == Programs::All {
            let functions = routed(&fs::read_to_string(profile.root.join("Cargo.toml"))?)?;
            build.args(functions.iter().flat_map(|function| ["--bin", function]));
        }
    }
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

/// Options of cargo that leave out what only the cloud needs. They take minutes off the first build.
pub(crate) async fn features() -> Vec<&'static str> {
    let mut system = Command::new("pkg-config");
    let has_openssl = stdout_of(system.args(["--atleast-version=3", "openssl"])).await.is_some();
    let own = (!has_openssl).then_some(["--features", "db/vendored"]);
    ["--no-default-features"].into_iter().chain(own.into_iter().flatten()).collect()
}

/// The functions that `cargo lambda watch` has routes to, by the workspace's manifest.
fn routed(manifest: &str) -> Result<BTreeSet<String>> {
    let manifest: Table = manifest.parse()?;
    let router = ["metadata", "lambda", "watch", "router"]
        .iter()
        .try_fold(&manifest["workspace"], |value, name| value.get(name));
    let router = router.and_then(Value::as_table).context("Cargo.toml has no routes")?;
    let routes = router.values().filter_map(Value::as_array).flatten();
    Ok(routes.filter_map(|route| route.get("function")?.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_builds_the_functions_with_a_route() {
        let functions = routed(include_str!("../../../Cargo.toml")).unwrap();
        assert!(functions.contains("tasks-list") && !functions.contains("pre-traffic"), "{functions:?}");
        assert!(routed("[workspace]\nmembers = []").is_err());
    }
}
