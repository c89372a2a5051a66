//! The way from the schema of release 0.1.0 to that of 0.2.0, a migration at a time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::database::{TestDatabase, migrations};

/// Gives the last task its status.
pub const FILLED: &str = "0012_fill_status.sql";

/// The last migration before the contraction. From here on the functions of 0.2.0 can run.
pub const EXPANDED: &str = "0022_create_password_resets.sql";

/// The first migration that takes away what 0.1.0 needs.
pub const CONTRACTION: &str = "0020_drop_completed.sql";

/// The last one.
pub const CONTRACTED: &str = "0023_drop_token_version.sql";

/// A database whose migrations are applied one by one.
#[derive(Debug)]
pub struct Steps {
    pub database: TestDatabase,
    folder: TempDir,
    /// The files to come, the last one first.
    files: Vec<PathBuf>,
}

/// A migration that was applied.
#[derive(Debug)]
pub struct Step {
    /// Its file.
    pub name: String,
    /// What `migrate` printed.
    pub printed: String,
}

impl Steps {
    /// From an empty database on.
    pub async fn new() -> Result<Self> {
        Self::of(TestDatabase::create().await?)
    }

    pub fn of(database: TestDatabase) -> Result<Self> {
        let mut files = Vec::new();
        for file in fs::read_dir(migrations())? {
            let path = file?.path();
            files.push((fs::read_to_string(&path)?.starts_with("-- contracting"), path));
        }
        files.sort();
        let files = files.into_iter().rev().map(|(_, path)| path).collect();
        Ok(Self { database, folder: tempfile::tempdir()?, files })
    }

    /// Leaves out those that another checkout has in this folder, and has applied.
    pub fn skip(&mut self, applied: &Path) -> Result<()> {
        while self.files.last().is_some_and(|file| file.file_name().is_some_and(|name| applied.join(name).exists())) {
            self.take()?;
        }
        Ok(())
    }

    /// The name of the next one; none at the end.
    pub fn coming(&self) -> Option<String> {
        Some(self.files.last()?.file_name()?.to_string_lossy().into_owned())
    }

    /// Applies the next one; none at the end.
    pub async fn next(&mut self) -> Result<Option<Step>> {
        let Some(name) = self.take()? else { return Ok(None) };
        let printed = self.database.migrate(self.folder.path(), &["up", "--contract"]).await?.success();
        ensure!(printed.contains(&format!("{name} applied in ")), "{printed}");
        Ok(Some(Step { name, printed }))
    }

    /// Applies them up to this one.
    pub async fn until(&mut self, last: &str) -> Result<()> {
        while let Some(Step { name, .. }) = self.next().await? {
            if name == last {
                return Ok(());
            }
        }
        bail!("there is no {last}")
    }

    /// Copies the next file to those that `migrate` finds.
    fn take(&mut self) -> Result<Option<String>> {
        let Some(file) = self.files.pop() else { return Ok(None) };
        let name = file.file_name().context("no name")?.to_string_lossy().into_owned();
        fs::copy(&file, self.folder.path().join(&name))?;
        Ok(Some(name))
    }
}
