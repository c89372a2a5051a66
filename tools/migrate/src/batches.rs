//! Batched migrations: one statement, for one range of a table's blocks after the other, each in a transaction of its own.
//!
//! The statement is bounded by `ctid >= $1 AND ctid < $2`, so that PostgreSQL reads these blocks and no others, without
//! an index (a TID range scan, since PostgreSQL 14), and every page is written once. Rows move meanwhile: an updated row
//! is stored in another block. So the table is read again until a pass finds nothing to change.

use std::{io::Write, time::Duration};

use anyhow::{anyhow, bail, ensure};
use tokio::{
    time::{Instant, sleep},
    try_join,
};
use tokio_postgres::Error;

use crate::{
    database::Database,
    error::{database_error, describe},
    migration::Migration,
    progress::{CREATE_TABLE, Progress},
    retry::{Retry, is_lock_failure},
};

/// A request that wants one of a batch's rows waits for the batch to end: about as long as this.
const BATCH_TIME: Duration = Duration::from_millis(100);

/// Begins a batch. What it fills in is no change of a row (see `update_updated_at_column`); it waits only shortly for a
/// row that a request has locked, as it holds others itself; and it reads its blocks whatever the statistics say.
const BEGIN: &str = "
    BEGIN;
    SET LOCAL task_api.keep_updated_at = 'on';
    SET LOCAL lock_timeout = '200ms';
    SET LOCAL enable_seqscan = off;
    SET LOCAL plan_cache_mode = force_custom_plan";

const FIRST_BATCH: i64 = 16;
const MAX_BATCH: i64 = 1 << 20;

/// Passes of one run: a statement that goes on finding rows would never end.
const MAX_PASSES: i32 = 20;

const REPORT_INTERVAL: Duration = Duration::from_secs(5);

impl Database {
    /// Applies a batched migration, or what is left of it. Returns how long it took.
    pub(crate) async fn apply_batches(
        &self,
        migration: &Migration,
        table: &str,
        retry_time: Duration,
        out: &mut impl Write,
    ) -> anyhow::Result<Duration> {
        self.batch_execute(CREATE_TABLE).await?;
        self.prepare(migration, table).await?;
        let mut progress = self.progress(migration, table).await?;
        let (started, first_pass) = (Instant::now(), progress.pass);
        let mut report = Report { at: started, changed: progress.changed };
        let mut retry = Retry::new(retry_time);
        let mut size = FIRST_BATCH;
        while !progress.is_complete(&self.file(table).await.map_err(database_error)?) {
            ensure!(
                progress.pass < first_pass + MAX_PASSES,
                "{} still finds rows to change after {MAX_PASSES} passes: it must not match the rows that it has changed",
                migration.name
            );
            match self.apply_batch(table, &mut progress, size).await {
                Ok(took) => {
                    retry = Retry::new(retry_time);
                    size = resize(size, took);
                    report.print(&migration.name, &progress, out)?;
                    // As long for the requests alone as beside the batch.
                    sleep(took).await;
                }
                Err(error) => {
                    // A lost connection has rolled it back already.
                    let _ = self.batch_execute("ROLLBACK").await;
                    size = (size / 2).max(1);
                    if !is_lock_failure(&error) || !retry.pause(&migration.name, &error, out).await? {
                        let (name, reason) = (&migration.name, describe(&error));
                        bail!("{name} stopped at {progress}: {reason}; the next run continues there");
                    }
                }
            }
        }
        let took = started.elapsed();
        let record = async {
            self.record(migration, took).await.map_err(database_error)?;
            self.forget_progress(migration).await.map_err(database_error)?;
            Ok(())
        };
        self.transaction(record).await?;
        Ok(took)
    }

    /// Applies the next batch of this many blocks, or begins the next pass, and stores the position in the same
    /// transaction. Returns how long the batch took at the server.
    async fn apply_batch(&self, table: &str, progress: &mut Progress, size: i64) -> Result<Duration, Error> {
        self.client.batch_execute(BEGIN).await?;
        let (after, took) = if progress.is_end_of_pass() {
            (progress.next_pass(&self.file(table).await?), Duration::ZERO)
        } else {
            let end = progress.end_of_batch(size);
            let batch = execute(progress.next_block, end);
            // Sent at once, as the batch holds locks. The file is looked at after the statement has locked the table: from
            // then on its rows stay in this file.
            let (changed, file) = try_join!(biased; self.client.execute_typed(&batch, &[]), self.file(table))?;
            (progress.after_batch(end, changed.cast_signed(), &file), file.elapsed)
        };
        try_join!(biased; self.store(&after), self.client.batch_execute("COMMIT"))?;
        *progress = after;
        Ok(took)
    }

    /// Prepares the statement for the session. `PREPARE` takes a single `SELECT`, `INSERT`, `UPDATE`, `DELETE` or `MERGE`.
    ///
    /// # Errors
    /// It is invalid, or would read more than its range.
    async fn prepare(&self, migration: &Migration, table: &str) -> anyhow::Result<()> {
        let Migration { name, sql, .. } = migration;
        self.batch_execute(&format!("DEALLOCATE ALL; {BEGIN}")).await?;
        let prepare = format!("PREPARE batch (tid, tid) AS {sql}");
        let prepared = self.client.execute_typed(&prepare, &[]).await;
        prepared.map_err(|error| anyhow!("{name} failed, and nothing was changed: {}", describe(&error)))?;
        let plan = self.query_strings(&format!("EXPLAIN {}", execute(0, 1)), &[]).await?;
        self.batch_execute("ROLLBACK").await?;
        let reads_range = |line: &String| {
            let scanned = line.split_once("Tid Range Scan on ").map(|(_, scanned)| scanned);
            scanned.and_then(|scanned| scanned.split_ascii_whitespace().next()) == Some(table)
        };
        ensure!(
            plan.iter().any(reads_range),
            "{name} would read more of {table} than its batch: write `ctid >= $1 AND ctid < $2` in its WHERE (and use \
             PostgreSQL 14 or newer)"
        );
        Ok(())
    }
}

/// Executes the prepared statement for the blocks from `start` to before `end`.
fn execute(start: i64, end: i64) -> String {
    format!("EXECUTE batch ('({start},0)', '({end},0)')")
}

/// The size of the next batch, after one of this size took this long.
fn resize(size: i64, took: Duration) -> i64 {
    let next = if took < BATCH_TIME / 2 {
        size * 2
    } else if took > BATCH_TIME * 2 {
        size / 2
    } else {
        let per_block = took.as_micros() / u128::try_from(size).unwrap_or(1);
        i64::try_from(BATCH_TIME.as_micros() / per_block.max(1)).unwrap_or(MAX_BATCH)
    };
    next.clamp(1, MAX_BATCH)
}

/// What was printed last.
struct Report {
    at: Instant,
    changed: i64,
}

impl Report {
    /// Prints the progress, unless it was printed shortly before.
    fn print(&mut self, name: &str, progress: &Progress, out: &mut impl Write) -> anyhow::Result<()> {
        let since = self.at.elapsed();
        if since < REPORT_INTERVAL {
            return Ok(());
        }
        let rate = u128::from((progress.changed - self.changed).unsigned_abs()) * 1000 / since.as_millis();
        writeln!(out, "{name}: {progress}, {rate} rows a second")?;
        out.flush()?;
        *self = Self { at: Instant::now(), changed: progress.changed };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_approach_the_time_they_should_take() {
        // A block takes 0.4 ms, then 5 ms.
        for (per_block, fitting) in [(400, 250), (5000, 20)] {
            let mut size = FIRST_BATCH;
            for _ in 0..10 {
                size = resize(size, Duration::from_micros(per_block * u64::try_from(size).unwrap()));
            }
            assert_eq!(size, fitting);
        }
        assert_eq!(resize(1, Duration::from_secs(9)), 1);
        assert_eq!(resize(MAX_BATCH, Duration::ZERO), MAX_BATCH);
    }
}
