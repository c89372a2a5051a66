//! Applying one migration.

use std::{io::Write, time::Duration};

use anyhow::{Context, anyhow, bail, ensure};
use tokio::time::Instant;
use tokio_postgres::{
    Error,
    error::{ErrorPosition, Severity, SqlState},
    types::Type,
};

use crate::{
    database::Database,
    endpoint::DISABLE_TIMEOUTS,
    error::{database_error, describe},
    history::CREATE_TABLE,
    indexes::{InvalidIndex, advice, invalid_indexes},
    kind::Kind,
    migration::Migration,
    retry::{Retry, is_lock_failure},
};

/// Undoes what a migration has set for the session, before the next one and our own statements.
const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// Runs the migration in the setting. From within a function the server refuses to end the transaction, so a migration
/// that fails leaves nothing.
const EXECUTE: &str = "DO $$ BEGIN EXECUTE current_setting('migrate.sql'); END $$";

impl Database {
    /// Applies a migration, and returns how long it took. One that does not get a lock is tried again within
    /// `retry_time`.
    pub(crate) async fn apply(
        &mut self,
        migration: &Migration,
        retry_time: Duration,
        out: &mut impl Write,
    ) -> anyhow::Result<Duration> {
        self.batch_execute(CREATE_TABLE).await?;
        if let Kind::Batched { table } = &migration.kind {
            return self.apply_batches(migration, table, retry_time, out).await;
        }
        let before = invalid_indexes(&self.client).await.map_err(database_error)?;
        let mut retry = Retry::new(retry_time);
        loop {
            let started = Instant::now();
            match self.try_apply(migration, &before, started).await {
                Ok(left) if left.is_empty() => {}
                Ok(left) => {
                    self.rollback(migration).await?;
                    let state = if migration.is_outside() { "ran, but is not applied" } else { "was rolled back" };
                    bail!("{} {state}: {}", migration.name, advice(&left));
                }
                Err(error) if self.is_session_lost(&error) => self.ensure_applied(migration, &error, &before).await?,
                Err(error) => {
                    self.rollback(migration).await?;
                    // Outside a transaction it may have left an invalid index.
                    let is_repeatable = is_lock_failure(&error) && !migration.is_outside();
                    if is_repeatable && retry.pause(&migration.name, &error, out).await? {
                        continue;
                    }
                    return Err(self.explain(migration, &error, &before).await);
                }
            }
            return Ok(started.elapsed());
        }
    }

    /// Returns the indexes that the migration left invalid; then it is not recorded.
    async fn try_apply(
        &self,
        migration: &Migration,
        before: &[InvalidIndex],
        started: Instant,
    ) -> Result<Vec<InvalidIndex>, Error> {
        if migration.is_outside() {
            // The extended protocol takes a single statement: the server would run several as one transaction.
            self.client.execute_typed(&migration.sql, &[]).await?;
        } else {
            self.client.batch_execute("BEGIN").await?;
            self.end_autovacuum().await?;
            let set = "SELECT set_config('migrate.sql', $1, true)";
            self.client.query_typed(set, &[(&migration.sql, Type::TEXT)]).await?;
            // The name is shown in pg_stat_activity.
            self.client.batch_execute(&format!("/* {} */ {EXECUTE}", migration.name)).await?;
        }
        self.client.batch_execute(RESET).await?;
        self.client.batch_execute(DISABLE_TIMEOUTS).await?;
        let left = self.left_invalid(migration, before).await?;
        if !left.is_empty() {
            return Ok(left);
        }
        self.record(migration, started.elapsed()).await?;
        if !migration.is_outside() {
            self.client.batch_execute("COMMIT").await?;
        }
        Ok(left)
    }

    /// Whether the session ended with this error, so that the outcome is unknown.
    fn is_session_lost(&self, error: &Error) -> bool {
        let severity = error.as_db_error().and_then(|error| error.parsed_severity());
        self.client.is_closed() || severity != Some(Severity::Error)
    }

    /// Reconnects after the session was lost.
    ///
    /// # Errors
    /// The migration was not applied, or it remains unknown whether it was.
    async fn ensure_applied(
        &mut self,
        migration: &Migration,
        error: &Error,
        before: &[InvalidIndex],
    ) -> anyhow::Result<()> {
        let (name, reason) = (&migration.name, describe(error));
        let unknown =
            || format!("the connection was lost during {name} ({reason}): see `migrate status` for the outcome");
        self.reconnect().await.with_context(unknown)?;
        // Once we hold the lock, the old session has ended.
        self.lock(self.timeout).await.with_context(unknown)?;
        let history = self.history().await.with_context(unknown)?;
        if history.iter().any(|row| row.version == migration.version && migration.matches(&row.checksum)) {
            return Ok(());
        }
        ensure!(migration.is_outside(), "{name} was interrupted and rolled back: {reason}");
        let left = self.left_invalid(migration, before).await.map_err(database_error).with_context(unknown)?;
        bail!("{name} was interrupted and is not recorded as applied: {reason}; {}", advice(&left));
    }

    async fn rollback(&self, migration: &Migration) -> anyhow::Result<()> {
        if migration.is_outside() {
            return Ok(());
        }
        let failed = |error| anyhow!("{} failed, and so did its rollback: {}", migration.name, describe(&error));
        self.client.batch_execute("ROLLBACK").await.map_err(failed)
    }

    /// Where and why the migration failed, and what it left.
    async fn explain(&self, migration: &Migration, error: &Error, before: &[InvalidIndex]) -> anyhow::Error {
        let Migration { name, sql, .. } = migration;
        let line = line_of(error, sql).map(|line| format!(", line {line}")).unwrap_or_default();
        let (reason, hint) = (describe(error), hint(error, migration.is_outside()));
        if !migration.is_outside() {
            return anyhow!("{name}{line} failed and was rolled back: {reason}{hint}");
        }
        let left = self.left_invalid(migration, before).await;
        let left = left.map_or_else(|error| describe(&error), |left| advice(&left));
        anyhow!("{name}{line} failed: {reason}{hint}; {left}")
    }

    /// The invalid indexes that are new since `before`, or that the migration names (`IF NOT EXISTS` skips them).
    async fn left_invalid(&self, migration: &Migration, before: &[InvalidIndex]) -> Result<Vec<InvalidIndex>, Error> {
        let mut left = invalid_indexes(&self.client).await?;
        left.retain(|index| !before.contains(index) || index.is_named_in(&migration.sql));
        Ok(left)
    }
}

/// What to change in the file, where the server's message does not say.
fn hint(error: &Error, no_transaction: bool) -> &'static str {
    let Some(error) = error.as_db_error() else { return "" };
    // The text of the message depends on the server's language; the name of its function does not.
    match (error.code(), error.routine()) {
        (code, Some("exec_stmt_dynexecute")) if *code == SqlState::FEATURE_NOT_SUPPORTED && !no_transaction => {
            "; a migration runs in one transaction, which it cannot begin or end itself; nor can it use SELECT INTO"
        }
        (code, _) if *code == SqlState::ACTIVE_SQL_TRANSACTION && !no_transaction => {
            "; put this statement alone in a file whose first line is `-- no-transaction`"
        }
        (code, _) if *code == SqlState::LOCK_NOT_AVAILABLE && !no_transaction => {
            "; find who holds the lock (pg_locks), or raise `migrate up --retry-time`"
        }
        (code, Some("exec_parse_message")) if *code == SqlState::SYNTAX_ERROR && no_transaction => {
            "; a `-- no-transaction` migration must be a single statement"
        }
        _ => "",
    }
}

/// The line of the migration that the error points to.
fn line_of(error: &Error, sql: &str) -> Option<usize> {
    let position = match error.as_db_error()?.position()? {
        ErrorPosition::Original(position) => position,
        ErrorPosition::Internal { position, query } if query == sql => position,
        ErrorPosition::Internal { .. } => return None,
    };
    let before = usize::try_from(*position).ok()?.saturating_sub(1);
    Some(1 + sql.chars().take(before).filter(|&character| character == '\n').count())
}
