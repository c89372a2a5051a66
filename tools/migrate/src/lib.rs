//! Applies the SQL files in `migrations/` to the database, forward only, each of them once.
//!
//! It speaks to PostgreSQL's direct endpoint over verified TLS, one process at a time: the others wait their turn and
//! find the work done. A file is applied in a transaction, unless its first line is `-- no-transaction`; such a file
//! holds a single statement, because PostgreSQL runs several sent together as one transaction. A file in a transaction
//! has none of its own: the server refuses its `BEGIN` or `COMMIT`. It may set `lock_timeout`; `statement_timeout` would
//! count from the beginning of the next file.

mod database;
mod files;
mod plan;
mod role;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::{
    database::{Database, Endpoint},
    role::functions_role,
};
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

    /// Applies what is pending, and says what it does; gives the functions' role its rights to what is new. Waits up to
    /// `patience` for another migration to end.
    ///
    /// # Errors
    /// A file failed, or what was applied is not what the folder holds, or another migration took too long, or the
    /// database failed.
    pub async fn up(&self, database: &mut Database, patience: Duration, out: &mut impl Write) -> anyhow::Result<()> {
        // The plan is made under the lock: whoever held it before may have applied some.
        database.lock(patience).await?;
        let done = self.apply_pending(database, out).await;
        database.unlock().await;
        done
    }

    async fn apply_pending(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<()> {
        for file in self.pending(database, out).await? {
            let took = database.apply(file).await?;
            writeln!(out, "{} applied in {} ms", file.name, took.as_millis())?;
        }
        database.renew_rights().await
    }

    /// Says what [`Migrations::up`] would apply.
    ///
    /// # Errors
    /// As for [`Migrations::up`].
    pub async fn dry_run(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<()> {
        for file in self.pending(database, out).await? {
            writeln!(out, "{} would be applied", file.name)?;
        }
        say_if_locked(database, out).await
    }

    /// Says what is applied, pending, changed or missing.
    ///
    /// # Errors
    /// What was applied is not what the folder holds, or the database failed.
    pub async fn status(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<()> {
        let plan = self.plan(database).await?;
        plan::write_table(&plan, out)?;
        say_if_locked(database, out).await?;
        plan::pending(&plan, &self.folder).map(drop)
    }

    async fn plan(&self, database: &mut Database) -> anyhow::Result<Vec<Step<'_>>> {
        Ok(plan::compare(&self.files, database.applied().await?))
    }

    async fn pending(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<Vec<&File>> {
        database.ensure_writable().await?;
        let pending = plan::pending(&self.plan(database).await?, &self.folder)?;
        if pending.is_empty() {
            writeln!(out, "nothing to apply: the database has every file in {}", self.folder.display())?;
        }
        Ok(pending)
    }
}

/// What was said holds for a moment only, when another process is at work.
async fn say_if_locked(database: &mut Database, out: &mut impl Write) -> anyhow::Result<()> {
    if database.is_locked().await? {
        writeln!(out, "another migration is running now")?;
    }
    Ok(())
}
