use std::fmt::{self, Display};

use anyhow::{anyhow, ensure};
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

use super::{columns, ids, past::Past, plan::Plan};
use crate::database::{CONNECT_TIMEOUT, config, connect};

/// Tasks of one statement.
const BATCH: usize = 500;

/// An account with the address of another one's row.
const HOLDER: &str = "SELECT id FROM users WHERE email = $1::jsonb -> 0 ->> 'email'";

/// Gives tasks their tags, by name. A tag that has the name already, whatever its id, is locked, so that no sweep deletes
/// it.
const GIVE_TAGS: &str = "
    WITH given AS (
        SELECT * FROM jsonb_to_recordset($1::jsonb)
        AS given (task_id UUID, tag_id UUID, user_id UUID, name TEXT, created_at TIMESTAMP)
    ), named AS (
        INSERT INTO tags (id, name)
        SELECT DISTINCT ON (tag_id) tag_id, name FROM given ORDER BY tag_id
        ON CONFLICT (name) DO UPDATE SET name = excluded.name
        RETURNING id, name
    )
    INSERT INTO task_tags (task_id, tag_id, user_id, created_at)
    SELECT task_id, named.id, user_id, given.created_at FROM given JOIN named USING (name)";

/// The database to restore to.
pub(super) struct Present {
    pub(super) client: Client,
    pub(super) has_tags: bool,
}

/// What was brought back.
pub(super) struct Restored {
    account: bool,
    tasks: usize,
    tags: u64,
}

impl Present {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let client = connect(&config(url)?, CONNECT_TIMEOUT).await?;
        let has_tags = !columns(&client, "task_tags").await?.is_empty();
        Ok(Self { client, has_tags })
    }

    pub(super) async fn has_account(&self, id: Uuid) -> anyhow::Result<bool> {
        Ok(!ids(&self.client, "SELECT id FROM users WHERE id = ANY ($1)", &[id]).await?.is_empty())
    }

    /// # Errors
    /// Another account has the e-mail address of this one.
    pub(super) async fn ensure_address_is_free(&self, account: &str, id: Uuid) -> anyhow::Result<()> {
        let holder = self.client.query_typed_opt(HOLDER, &[(&account, Type::TEXT)]).await;
        let holder = holder.map_err(migrate::database_error)?.map(|row| row.try_get::<_, Uuid>(0)).transpose()?;
        let Some(holder) = holder else { return Ok(()) };
        Err(anyhow!(
            "the address of {id} was registered again, by {holder}: give that account the tasks, with TASKS=all INTO={holder}"
        ))
    }

    /// Inserts what the plan says and is still missing, in one transaction: an error leaves the connection, and so the
    /// transaction, to be dropped.
    pub(super) async fn restore(self, past: &Past, plan: &Plan) -> anyhow::Result<Restored> {
        self.client.batch_execute("BEGIN").await.map_err(migrate::database_error)?;
        if let Some(account) = &plan.account {
            let accounts = self.insert("users", &plan.account_columns, account).await?;
            ensure!(!accounts.is_empty(), "the account, or its address, came back meanwhile: repeat this");
        }
        let mut tasks = Vec::new();
        for batch in plan.tasks.chunks(BATCH) {
            let rows = past.tasks(batch, plan.owner).await?;
            tasks.extend(self.insert("tasks", &plan.task_columns, &rows).await?);
        }
        let mut tags = 0;
        if past.has_tags && self.has_tags {
            // All in one statement, which locks them in one order, as requests do.
            let rows = past.tags(&tasks, plan.owner).await?;
            let given = self.client.execute_typed(GIVE_TAGS, &[(&rows, Type::TEXT)]).await;
            tags = given.map_err(migrate::database_error)?;
        }
        self.client.batch_execute("COMMIT").await.map_err(migrate::database_error)?;
        Ok(Restored { account: plan.account.is_some(), tasks: tasks.len(), tags })
    }

    /// Inserts rows, as a JSON array, with these columns. Returns the ids of those that were not there.
    async fn insert(&self, table: &str, columns: &[String], rows: &str) -> anyhow::Result<Vec<Uuid>> {
        let columns = columns.join(", ");
        let sql = format!(
            "INSERT INTO {table} ({columns})
            SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb)
            ON CONFLICT DO NOTHING RETURNING id"
        );
        let rows = self.client.query_typed(&sql, &[(&rows, Type::TEXT)]).await.map_err(migrate::database_error)?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

impl Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = if self.account { "the account and " } else { "" };
        write!(f, "brought back: {account}{} tasks with {} tags", self.tasks, self.tags)
    }
}
