//! Release 0.1.0, built from the repository's own history.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tests::{
    database::ca_file,
    workspace::{root, routes_in},
};

pub(crate) const VERSION: &str = "0.1.0";

/// What the release's tag names.
const COMMIT: &str = "fa709affcf204073779706a27ed268a8e4809211";

/// Its checkout, a git worktree that is kept for the next run, with a `target` of its own.
#[derive(Debug)]
pub(crate) struct FirstRelease {
    pub(crate) checkout: PathBuf,
}

impl FirstRelease {
    /// Builds it, unless that was done before.
    ///
    /// # Errors
    /// The history is not there, or the build failed.
    pub(crate) fn build() -> Result<Self> {
        let checkout = root().join(".local/upgrade").join(VERSION);
        let is_known = git(root()).args(["cat-file", "-e", &format!("{COMMIT}^{{commit}}")]).output()?.status.success();
        ensure!(
            is_known,
            "release {VERSION}, commit {COMMIT}, is not in this repository: if it is a shallow clone, run `git fetch --unshallow`"
        );
        if !is_at_release(&checkout) {
            let mut add = git(root());
            // Git may remember a worktree whose folder was removed.
            add.args(["worktree", "add", "--force", "--detach"]).arg(&checkout).arg(COMMIT);
            run(&mut add).with_context(|| format!("{} is not what it should be: remove it", checkout.display()))?;
        }
        println!("building release {VERSION} in {} (some minutes, the first time)", checkout.display());
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--locked", "--bin", "migrate"]).current_dir(&checkout);
        for function in routes_in(&checkout).into_iter().map(|route| route.function).collect::<BTreeSet<_>>() {
            build.args(["--bin", &function]);
        }
        run(build.env("CARGO_TARGET_DIR", checkout.join("target")))?;
        Ok(Self { checkout })
    }

    pub(crate) fn migrations(&self) -> PathBuf {
        self.checkout.join("migrations")
    }

    /// Brings an empty database to its schema, with its own `migrate`.
    pub(crate) fn migrate(&self, url: &str) -> Result<()> {
        let mut migrate = Command::new(self.checkout.join("target/debug/migrate"));
        migrate.arg("up").current_dir(&self.checkout);
        run(migrate.env("DATABASE_URL_UNPOOLED", url).env("DATABASE_CA_FILE", ca_file()))
    }
}

/// Whether the folder is a worktree of the release, without changes.
fn is_at_release(folder: &Path) -> bool {
    let prints = |arguments: &[&str], expected: &str| {
        let output = git(folder).args(arguments).output();
        output.is_ok_and(|output| output.status.success() && output.stdout.trim_ascii() == expected.as_bytes())
    };
    folder.exists() && prints(&["rev-parse", "HEAD"], COMMIT) && prints(&["status", "--porcelain"], "")
}

fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder);
    git
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| program.clone())?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}
