use anyhow::Context;
use uuid::Uuid;

use crate::{
    address::Address,
    database::{CONNECT_TIMEOUT, config, connect},
};

/// A new database, to be dropped again.
pub(super) struct Scratch {
    server: Address,
    name: String,
}

impl Scratch {
    /// On the server of another database, as its role.
    pub(super) async fn create(server: &Address) -> anyhow::Result<Self> {
        let name = format!("backup_check_{}", Uuid::new_v4().simple());
        let scratch = Self { server: server.clone(), name };
        scratch.execute(&format!("CREATE DATABASE {} TEMPLATE template0", scratch.name)).await.with_context(|| {
            format!(
                "{} cannot create a database to check the backup in: set SCRATCH to an address that can",
                server.user()
            )
        })?;
        Ok(scratch)
    }

    pub(super) fn address(&self) -> Address {
        self.server.with_database(&self.name)
    }

    /// Drops it.
    pub(super) async fn drop(self) -> anyhow::Result<()> {
        let dropped = self.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        dropped.with_context(|| format!("the database {} was not dropped: drop it", self.name))
    }

    async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let client = connect(&config(self.server.as_str())?, CONNECT_TIMEOUT).await?;
        client.batch_execute(sql).await.map_err(migrate::database_error)
    }
}
