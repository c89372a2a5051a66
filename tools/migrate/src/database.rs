use std::time::Duration;

use anyhow::bail;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use crate::{endpoint::Endpoint, error::database_error};

/// Values for a statement, with their types.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A session of PostgreSQL.
pub struct Database {
    pub(crate) client: Client,
    endpoint: Endpoint,
    /// For connecting.
    pub(crate) timeout: Duration,
}

impl Database {
    /// Connects within the timeout; transient errors are retried.
    ///
    /// # Errors
    /// The database does not answer, cannot be verified, or refuses the connection.
    pub async fn connect(endpoint: &Endpoint, timeout: Duration) -> anyhow::Result<Self> {
        let client = endpoint.connect(timeout).await?;
        Ok(Self { client, endpoint: endpoint.clone(), timeout })
    }

    pub(crate) async fn reconnect(&mut self) -> anyhow::Result<()> {
        self.client = self.endpoint.connect(self.timeout).await?;
        Ok(())
    }

    /// # Errors
    /// Nothing can be applied, and why.
    pub(crate) async fn ensure_writable(&self) -> anyhow::Result<()> {
        let obstacles = "
            SELECT 'it is a standby' WHERE pg_is_in_recovery()
            UNION ALL
            SELECT 'default_transaction_read_only is on' WHERE current_setting('transaction_read_only') = 'on'";
        if let Some(obstacle) = self.query_strings(obstacles, &[]).await?.first() {
            bail!("the database at {} is read-only: {obstacle}", self.endpoint.name);
        }
        Ok(())
    }

    /// Runs statements in a transaction.
    pub(crate) async fn transaction(&self, statements: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        self.batch_execute("BEGIN").await?;
        let result = statements.await;
        let ended = self.batch_execute(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
        result.and(ended)
    }

    /// The first column of every row.
    pub(crate) async fn query_strings(&self, sql: &str, params: Params<'_>) -> anyhow::Result<Vec<String>> {
        let rows = self.client.query_typed(sql, params).await.map_err(database_error)?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(database_error)
    }

    /// The value of a query that returns one boolean.
    pub(crate) async fn query_bool(&self, sql: &str, params: Params<'_>) -> anyhow::Result<bool> {
        let row = self.client.query_typed_one(sql, params).await;
        row.and_then(|row| row.try_get(0)).map_err(database_error)
    }

    pub(crate) async fn batch_execute(&self, sql: &str) -> anyhow::Result<()> {
        self.client.batch_execute(sql).await.map_err(database_error)
    }
}
