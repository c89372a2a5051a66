//! Applies the SQL files in `migrations/` to the database, forward only, each of them once.
//!
//! It speaks to PostgreSQL's direct endpoint over verified TLS, one process at a time: the others wait their turn and
//! find the work done. A file is applied in a transaction, unless its first line is `-- no-transaction`; such a file
//! holds a single statement, because PostgreSQL runs several sent together as one transaction.

mod database;
mod files;
mod plan;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::database::{Database, Endpoint};
use crate::{files::File, plan::Step};

/// The files of one folder, checked.
#[derive(Debug)]
pub struct Migrations {
    folder: PathBuf,
    files: Vec<File>,
}

impl Migrations {
    /// Reads the folder.
    ///
    /// # Errors
    /// It cannot be read, holds no migration, or a file's name or number cannot be used.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { folder: folder.to_owned(), files: files::read(folder)? })
    }

    /// Applies what is pending, and says what it does. Waits up to `patience` for another migration to end.
    ///
    /// # Errors
    /// A file failed, or what was applied is not what the folder holds, or the lock or the database was not to be had.
    pub async fn up(&self, database: &mut Database, patience: Duration, out: &mut impl Write) -> anyhow::Result<()> {
        // The plan is made under the lock: whoever held it before may have applied some.
        database.lock(patience).await?;
        for file in self.pending(database, out).await? {
            let took = database.apply(file).await?;
            writeln!(out, "{} applied in {} ms", file.name, took.as_millis())?;
        }
        Ok(())
    }

    /// Says what [`Migrations::up`] would apply.
    ///
    /// # Errors
    /// As for [`Migrations::up`].
    pub async fn dry_run(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<()> {
        for file in self.pending(database, out).await? {
            writeln!(out, "{} would be applied", file.name)?;
        }
        Ok(())
    }

    /// Says what is applied, pending, changed or missing.
    ///
    /// # Errors
    /// Something is changed or missing, or the database is not to be had.
    pub async fn status(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<()> {
        let plan = self.plan(database).await?;
        plan::write_table(&plan, out)?;
        plan::pending(&plan, &self.folder).map(drop)
    }

    async fn plan(&self, database: &mut Database) -> anyhow::Result<Vec<Step<'_>>> {
        Ok(plan::compare(&self.files, database.applied().await?))
    }

    async fn pending(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<Vec<&File>> {
        let pending = plan::pending(&self.plan(database).await?, &self.folder)?;
        if pending.is_empty() {
            writeln!(out, "nothing to apply: the database has every file in {}", self.folder.display())?;
        }
        Ok(pending)
    }
}
