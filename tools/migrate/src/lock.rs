//! The advisory lock that lets one process migrate at a time. It ends with the session at the latest.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;

use crate::database::{Database, Params};

/// Advisory locks belong to a database, so one number serves all databases.
const LOCK: Params<'static> = &[(&i64::from_be_bytes(*b"migrate\0"), Type::INT8)];

const POLL_INTERVAL: Duration = Duration::from_millis(150);

impl Database {
    /// Takes the lock.
    ///
    /// The lock is polled: a statement that waits for it holds a snapshot, for which a `CREATE INDEX CONCURRENTLY` of
    /// the lock's holder waits in turn. That is a deadlock.
    pub(crate) async fn lock(&self, timeout: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + timeout;
        while !self.query_bool("SELECT pg_try_advisory_lock($1)", LOCK).await? {
            ensure!(
                Instant::now() < deadline,
                "another migration is still running after {} s: wait for it to end, or raise `migrate up --lock-timeout`",
                timeout.as_secs()
            );
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Releases the lock. Without this the server releases it when it notices that the session is gone, which may be
    /// after this process has exited.
    pub(crate) async fn unlock(&self) {
        // A broken session has lost the lock already.
        let _ = self.query_bool("SELECT pg_advisory_unlock($1)", LOCK).await;
    }

    /// Whether another session holds the lock.
    pub(crate) async fn is_locked(&self) -> anyhow::Result<bool> {
        let locked = "
            SELECT EXISTS (
                SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
                WHERE locktype = 'advisory' AND datname = current_database() AND objsubid = 1
                    AND (classid::bigint << 32) + objid::bigint = $1 AND granted AND pid <> pg_backend_pid()
            )";
        self.query_bool(locked, LOCK).await
    }
}
