//! Applies the SQL files in `migrations/` to the database, each once and in order.
//!
//! It connects to PostgreSQL's direct endpoint over verified TLS. One process migrates at a time; the others wait for
//! it and find nothing left to apply. A migration runs in a transaction, unless its first line is `-- no-transaction`;
//! such a file holds a single statement, because PostgreSQL runs several sent together as one transaction. The server
//! refuses `BEGIN` and `COMMIT` in all others. A migration may set `lock_timeout`; a `statement_timeout` would take
//! effect only from the next one on.

mod apply;
mod database;
mod endpoint;
mod error;
mod history;
mod indexes;
mod lock;
mod migration;
mod role;
mod status;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::{database::Database, endpoint::Endpoint, role::functions_role};
use crate::{migration::Migration, status::Status};

/// The migrations of a folder.
#[derive(Debug)]
pub struct Migrations {
    folder: PathBuf,
    migrations: Vec<Migration>,
}

impl Migrations {
    /// Reads the folder.
    ///
    /// # Errors
    /// It cannot be read or has no migrations, or a file's name or number is invalid.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { folder: folder.to_owned(), migrations: migration::read(folder)? })
    }

    /// Applies what is pending and grants the functions' role its privileges on what is new. Waits up to `lock_timeout`
    /// for another migration to end.
    ///
    /// # Errors
    /// A migration failed, the folder and the database contradict each other, the lock was not free in time, or the
    /// database failed.
    pub async fn up(
        &self,
        database: &mut Database,
        lock_timeout: Duration,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        // Before the comparison: whoever held the lock may have applied some.
        database.lock(lock_timeout).await?;
        let result = self.apply_pending(database, out).await;
        database.unlock().await;
        result
    }

    async fn apply_pending(&self, database: &mut Database, out: &mut impl Write) -> anyhow::Result<()> {
        for migration in self.pending(database, out).await? {
            let took = database.apply(migration).await?;
            writeln!(out, "{} applied in {} ms", migration.name, took.as_millis())?;
        }
        database.update_privileges().await
    }

    /// Lists what [`Migrations::up`] would apply.
    ///
    /// # Errors
    /// As for [`Migrations::up`].
    pub async fn dry_run(&self, database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
        for migration in self.pending(database, out).await? {
            writeln!(out, "{} would be applied", migration.name)?;
        }
        report_lock(database, out).await
    }

    /// Lists all migrations with their status.
    ///
    /// # Errors
    /// The folder and the database contradict each other, or the database failed.
    pub async fn status(&self, database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
        let statuses = self.statuses(database).await?;
        status::write_table(&statuses, out)?;
        report_lock(database, out).await?;
        status::pending(&statuses, &self.folder).map(drop)
    }

    async fn statuses(&self, database: &Database) -> anyhow::Result<Vec<Status<'_>>> {
        Ok(status::compare(&self.migrations, database.history().await?))
    }

    async fn pending(&self, database: &Database, out: &mut impl Write) -> anyhow::Result<Vec<&Migration>> {
        database.ensure_writable().await?;
        let pending = status::pending(&self.statuses(database).await?, &self.folder)?;
        if pending.is_empty() {
            writeln!(out, "nothing to apply: the database has every migration in {}", self.folder.display())?;
        }
        Ok(pending)
    }
}

/// What was listed may be out of date soon.
async fn report_lock(database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
    if database.is_locked().await? {
        writeln!(out, "another migration is running now")?;
    }
    Ok(())
}
