use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::task::AbortHandle;
use tokio_postgres::Client;

use crate::{Config, ConnectError, clock::Clock};

/// An open connection. Dropping it aborts the driver, which owns the socket: by itself the driver would wait for
/// outstanding answers, possibly forever.
pub(crate) struct Connection {
    pub(crate) client: Client,
    driver: AbortHandle,
    clock: Mutex<Clock>,
}

impl Connection {
    pub(crate) async fn open(config: &Config) -> Result<Self, ConnectError> {
        let (client, driver) = config.connect().await?;
        let driver = tokio::spawn(async move {
            // The statements that wait for an answer report the error.
            let _ = driver.await;
        });
        // From here on the driver is aborted on drop, also when the query below fails or is cancelled.
        let connection =
            Self { client, driver: driver.abort_handle(), clock: Mutex::new(Clock::read(SystemTime::UNIX_EPOCH)) };
        let sql = "SELECT statement_timestamp() AS clock, current_setting('statement_timeout') = '0' AS is_unlimited";
        for row in connection.client.query_typed(sql, &[]).await? {
            *connection.clock() = Clock::read(row.try_get("clock")?);
            if row.try_get("is_unlimited")? {
                tracing::warn!(
                    "the role in DATABASE_URL has no statement_timeout: an abandoned write may still take effect later"
                );
            }
        }
        Ok(connection)
    }

    /// The server's clock. The lock must not be held across an await.
    pub(crate) fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the socket, for all users of the connection: what is in flight must not arrive.
    pub(crate) fn close(&self) {
        self.driver.abort();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}
