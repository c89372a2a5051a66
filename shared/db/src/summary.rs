//! The statement of the summary.

use auth::Caller;
use domain::{Summary, TagCount, TaskCounts};
use tokio_postgres::types::Type;

use crate::{Database, Error, identity::Identity};

impl Database {
    /// How many tasks the caller has, by status and by tag.
    ///
    /// # Errors
    /// [`Error::SessionEnded`].
    pub async fn summary(&self, caller: Caller) -> Result<Summary, Error> {
        let caller = Identity::from(caller);
        let sql = format!(
            "WITH task AS MATERIALIZED (
                SELECT id, status, status <> 'completed' AS is_open, due_date FROM tasks WHERE user_id = $1
            ), counted AS (
                SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
                       count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
                       count(*) FILTER (WHERE status = 'completed') AS completed,
                       count(*) FILTER (WHERE is_open AND due_date < statement_timestamp() AT TIME ZONE 'UTC') AS overdue
                FROM task
            ), tag AS (
                SELECT name, count(*) FILTER (WHERE is_open) AS open, count(*) AS total
                FROM task
                JOIN task_tags ON task_id = task.id AND task_tags.user_id = $1
                JOIN tags ON tags.id = tag_id
                GROUP BY name
                ORDER BY total DESC, name COLLATE \"C\"
                LIMIT $3
            )
            SELECT counted.*, tag.name, tag.open, tag.total
            FROM ({}) AS caller
            CROSS JOIN counted
            LEFT JOIN tag ON true
            ORDER BY tag.total DESC, tag.name COLLATE \"C\"",
            caller.in_read()
        );
        let limit = i64::try_from(Summary::MAX_TAGS).unwrap_or(i64::MAX);
        let rows = self.read(&sql, &caller.params(&[(&limit, Type::INT8)])).await?;
        let first = rows.first().ok_or(Error::SessionEnded)?;
        let tasks = TaskCounts {
            pending: first.try_get("pending")?,
            in_progress: first.try_get("in_progress")?,
            completed: first.try_get("completed")?,
            overdue: first.try_get("overdue")?,
        };
        let mut tags = Vec::new();
        for row in &rows {
            // Null in the only row of an account without tags.
            if let Some(name) = row.try_get("name")? {
                tags.push(TagCount { name, open: row.try_get("open")?, total: row.try_get("total")? });
            }
        }
        Ok(Summary { tasks, tags })
    }
}
