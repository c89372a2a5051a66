use anyhow::{Context, ensure};
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::columns;
use crate::{
    address::Address,
    database::{CONNECT_TIMEOUT, config, connect},
};

/// One state of the database, which cannot be changed. The question to the operator may stay open for long.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL idle_in_transaction_session_timeout = 0";

/// An account, as a list of one row. Its version is beyond any that was counted up: tokens of release 0.1.0 stay revoked.
const ACCOUNT: &str = "
    SELECT jsonb_build_array(
        to_jsonb(users) || jsonb_build_object('token_version', extract(epoch FROM now())::integer)
    )::text
    FROM users WHERE id = $1";

/// Tasks, with both `status` and `completed`: each is derived from the other where migrations have not added it yet, have
/// not filled it yet, or have dropped it.
const TASKS: &str = "
    SELECT jsonb_agg(task || jsonb_build_object(
        'user_id', $2, 'status', status, 'completed', status = 'completed'
    ))::text
    FROM (SELECT to_jsonb(tasks) AS task FROM tasks WHERE id = ANY ($1)) AS past,
    LATERAL (SELECT COALESCE(
        task ->> 'status', CASE WHEN (task -> 'completed')::boolean THEN 'completed' ELSE 'pending' END
    )) AS derived (status)";

/// The columns that rows from here have in any case.
pub(super) const DERIVED: [&str; 3] = ["token_version", "status", "completed"];

const TAGS: &str = "
    SELECT jsonb_agg(jsonb_build_object(
        'task_id', task_id, 'tag_id', tag_id, 'user_id', $2, 'name', name, 'created_at', task_tags.created_at
    ))::text
    FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = ANY ($1)";

/// The database as it was at some moment.
pub(super) struct Past {
    pub(super) client: Client,
    pub(super) has_tags: bool,
}

impl Past {
    /// # Errors
    /// It cannot be read, or it is the database at `present`.
    pub(super) async fn open(from: &str, present: &str) -> anyhow::Result<Self> {
        let address = Address::parse(from)?.direct()?;
        let is_present = Address::parse(present)?.direct()?.is_same_database(&address);
        ensure!(!is_present, "it is the database to restore to, not its past");
        let client = connect(&config(address.as_str())?, CONNECT_TIMEOUT).await?;
        client.batch_execute(BEGIN).await.map_err(migrate::database_error)?;
        for table in ["users", "tasks"] {
            ensure!(!columns(&client, table).await?.is_empty(), "it has no table {table}");
        }
        let has_tags = !columns(&client, "task_tags").await?.is_empty();
        Ok(Self { client, has_tags })
    }

    pub(super) async fn account(&self, id: Uuid) -> anyhow::Result<String> {
        let row = self.client.query_typed_opt(ACCOUNT, &[(&id, Type::UUID)]).await.map_err(migrate::database_error)?;
        Ok(row.with_context(|| format!("it has no account {id}: look at another moment"))?.try_get(0)?)
    }

    /// Tasks as those of an account.
    pub(super) async fn tasks(&self, ids: &[Uuid], owner: Uuid) -> anyhow::Result<String> {
        self.list(TASKS, ids, owner).await
    }

    /// The tags of tasks of an account.
    pub(super) async fn tags(&self, tasks: &[Uuid], owner: Uuid) -> anyhow::Result<String> {
        self.list(TAGS, tasks, owner).await
    }

    /// Rows as a JSON array.
    async fn list(&self, sql: &str, ids: &[Uuid], owner: Uuid) -> anyhow::Result<String> {
        let params: [(&(dyn ToSql + Sync), Type); 2] = [(&ids, Type::UUID_ARRAY), (&owner, Type::UUID)];
        let row = self.client.query_typed_one(sql, &params).await;
        let list: Option<_> = row.map_err(migrate::database_error)?.try_get(0)?;
        Ok(list.unwrap_or_else(|| "[]".to_owned()))
    }
}
