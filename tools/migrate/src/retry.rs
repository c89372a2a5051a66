//! Trying again for a lock on a table.
//!
//! A migration gives up waiting soon (`lock_timeout`), because requests wait behind it. It left nothing, so it can be
//! tried again, and between the attempts the requests go on.

use std::{io::Write, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_postgres::{Error, error::SqlState};

use crate::{database::Database, error::describe};

/// The first and the longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

pub(crate) struct Retry {
    deadline: Instant,
    pause: Duration,
}

impl Retry {
    /// Attempts begin within this time.
    pub(crate) fn new(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, pause: PAUSES.0 }
    }

    /// Waits before the next attempt and says so. False if there is no time left for another one.
    pub(crate) async fn pause(&mut self, name: &str, error: &Error, out: &mut impl Write) -> anyhow::Result<bool> {
        let pause = self.pause;
        if Instant::now() + pause > self.deadline {
            return Ok(false);
        }
        writeln!(out, "{name} was rolled back: {}; the next attempt is in {} s", describe(error), pause.as_secs())?;
        out.flush()?;
        sleep(pause).await;
        self.pause = (2 * pause).min(PAUSES.1);
        Ok(true)
    }
}

/// The tables that are being vacuumed, analyzed or changed. `pg_stat_activity` tells only superusers by whom.
const VACUUMED: &str = "
    SELECT DISTINCT format('%I.%I', nspname, relname) AS name
    FROM pg_locks
    JOIN pg_class ON pg_class.oid = relation
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE locktype = 'relation' AND mode = 'ShareUpdateExclusiveLock' AND granted AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND relkind = 'r' AND pg_has_role(relowner, 'USAGE')";

impl Database {
    /// Makes autovacuum give way to this transaction. PostgreSQL cancels it for a session that has waited for it for
    /// `deadlock_timeout` (1 s), longer than a migration waits. This lock can wait longer, as no request conflicts with it.
    pub(crate) async fn end_autovacuum(&self) -> Result<(), Error> {
        for row in self.client.query_typed(VACUUMED, &[]).await? {
            let table: String = row.try_get("name")?;
            let lock = format!(
                "SET LOCAL lock_timeout = '3s'; LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE; \
                 SET LOCAL lock_timeout TO DEFAULT"
            );
            self.client.batch_execute(&lock).await?;
        }
        Ok(())
    }
}

/// Whether a statement did not get a lock in time, or was chosen to end a deadlock.
pub(crate) fn is_lock_failure(error: &Error) -> bool {
    [&SqlState::LOCK_NOT_AVAILABLE, &SqlState::T_R_DEADLOCK_DETECTED].iter().any(|&code| error.code() == Some(code))
}
