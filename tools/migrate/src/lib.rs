//! Applies the SQL files in `migrations/` to the database, each once and in order.
//!
//! It connects to PostgreSQL's direct endpoint over verified TLS. One process migrates at a time; the others wait for
//! it and find nothing left to apply. The first line of a file says of which kind it is:
//!
//! | first line | how it is applied |
//! |---|---|
//! | any other | in a transaction; the server refuses `BEGIN` and `COMMIT` |
//! | `-- no-transaction` | outside a transaction: a single statement, as PostgreSQL runs several sent together as one transaction |
//! | `-- batched TABLE` | a single statement, for one range of the table's blocks after the other, each in a transaction |
//! | `-- contracting: RELEASE` | in a transaction, after all others, and only when asked for or due: it takes away what releases before RELEASE need |
//!
//! A migration may set `lock_timeout`, and is tried again when it has run out; a `statement_timeout` would take effect
//! only from the next one on.

mod apply;
mod batches;
mod database;
mod endpoint;
mod error;
mod history;
mod indexes;
mod kind;
mod lock;
mod migration;
mod progress;
mod releases;
mod retry;
mod role;
mod status;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::ensure;

pub use crate::{
    database::Database,
    endpoint::Endpoint,
    error::database_error,
    releases::{GRACE_PERIOD, RELEASE},
    role::functions_role,
};
use crate::{
    kind::Kind,
    migration::Migration,
    releases::{Waiting, own_release},
    status::{Found, Status, Unapplied},
};

/// The migrations of a folder.
#[derive(Debug)]
pub struct Migrations {
    folder: PathBuf,
    migrations: Vec<Migration>,
}

/// Which contracting migrations to apply, after all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    Nothing,
    /// Those whose release, or a later one, has been live for the [`GRACE_PERIOD`].
    Due,
    /// All, although a release that needs what they take away may still run or come back.
    Now,
}

/// How long [`Migrations::up`] tries.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long to wait for another migration to end.
    pub lock_timeout: Duration,
    /// How long to try again when a migration does not get a lock on a table in its own `lock_timeout`.
    pub retry_time: Duration,
}

impl Migrations {
    /// Reads the folder.
    ///
    /// # Errors
    /// It cannot be read or has no migrations, or a file's name, number or first line is invalid.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { folder: folder.to_owned(), migrations: migration::read(folder)? })
    }

    /// Applies what is pending, then the contracting migrations that `contract` says, and grants the functions' role its
    /// privileges on what is new.
    ///
    /// # Errors
    /// A migration failed, the folder and the database contradict each other, the lock was not free in time, or the
    /// database failed.
    pub async fn up(
        &self,
        database: &mut Database,
        contract: Contract,
        patience: Patience,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        // Before the comparison: whoever held the lock may have applied some.
        database.lock(patience.lock_timeout).await?;
        let result = self.apply_unapplied(database, contract, patience.retry_time, out).await;
        database.unlock().await;
        result
    }

    async fn apply_unapplied(
        &self,
        database: &mut Database,
        contract: Contract,
        retry_time: Duration,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let Unapplied { pending, waiting } = self.planned(database, contract, out).await?;
        for migration in pending {
            let took = database.apply(migration, retry_time, out).await?;
            writeln!(out, "{} applied in {} ms", migration.name, took.as_millis())?;
        }
        write_waiting(&waiting, out)?;
        database.update_privileges().await
    }

    /// Lists what [`Migrations::up`] would apply.
    ///
    /// # Errors
    /// As for [`Migrations::up`].
    pub async fn dry_run(&self, database: &Database, contract: Contract, out: &mut impl Write) -> anyhow::Result<()> {
        let Unapplied { pending, waiting } = self.planned(database, contract, out).await?;
        for migration in pending {
            writeln!(out, "{} would be applied", migration.name)?;
        }
        write_waiting(&waiting, out)?;
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
        let pending = status::unapplied(&statuses, &self.folder)?.pending.len();
        if pending > 0 {
            writeln!(out, "the database is behind this checkout, whose code may need what is pending ({pending})")?;
        }
        Ok(())
    }

    async fn statuses(&self, database: &Database) -> anyhow::Result<Vec<Status<'_>>> {
        let found = Found {
            history: database.history().await?,
            progress: database.all_progress().await?,
            releases: database.releases().await?,
        };
        status::compare(&self.migrations, found)
    }

    /// What is to be applied, and what goes on waiting.
    async fn planned(
        &self,
        database: &Database,
        contract: Contract,
        out: &mut impl Write,
    ) -> anyhow::Result<Unapplied<'_>> {
        database.ensure_writable().await?;
        let Unapplied { mut pending, mut waiting } = status::unapplied(&self.statuses(database).await?, &self.folder)?;
        let count = match contract {
            Contract::Nothing => 0,
            Contract::Now => waiting.len(),
            // In order: one that is not due holds up those after it.
            Contract::Due => waiting.iter().take_while(|(_, waiting)| matches!(waiting, Waiting::Due(_))).count(),
        };
        for (migration, _) in waiting.drain(..count) {
            ensure_own_release_can_do_without(migration)?;
            pending.push(migration);
        }
        if pending.is_empty() {
            let all = if waiting.is_empty() { "every migration" } else { "every migration that need not wait" };
            writeln!(out, "nothing to apply: the database has {all} in {}", self.folder.display())?;
        }
        Ok(Unapplied { pending, waiting })
    }
}

fn ensure_own_release_can_do_without(migration: &Migration) -> anyhow::Result<()> {
    if let Kind::Contracting { release } = &migration.kind {
        ensure!(
            own_release()? >= *release,
            "{} takes away what releases before {release} need, and this checkout is {RELEASE}",
            migration.name
        );
    }
    Ok(())
}

fn write_waiting(waiting: &[(&Migration, Waiting)], out: &mut impl Write) -> io::Result<()> {
    for (migration, waiting) in waiting {
        writeln!(out, "{} is {waiting}", migration.name)?;
    }
    Ok(())
}

/// What was listed may be out of date soon.
async fn report_lock(database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
    if database.is_locked().await? {
        writeln!(out, "another migration is running now")?;
    }
    Ok(())
}
