//! The statements on `tasks`. Each starts from the caller's account, by the token's session: no account means that the
//! session has ended, and an account without a row that there is no such task.

use auth::Caller;
use domain::{
    Description, NewTask, Precondition, Priority, RequestHash, Status, StatusChange, Tags, Task, TaskChanges, TaskId,
    TaskValues, Timestamp, Title,
};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{Database, Error, identity::Identity};

/// The columns that a task is read from, beside its tags.
pub(crate) const TASK_COLUMNS: &str =
    "id, user_id, title, description, status, priority, due_date, created_at, updated_at";

/// The names of a task's tags, in no order.
macro_rules! task_tags {
    ($task:literal) => {
        concat!("ARRAY(SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = ", $task, ".id)")
    };
}
pub(crate) use task_tags;

/// The result of [`Database::create_task`].
pub enum Created {
    New(Task),
    /// The id was created before, by the same request.
    Found(Task),
}

impl Database {
    /// Creates a task, or finds the one that the same request has created before. An account of `limit` tasks is full; a
    /// few more may get in at once.
    ///
    /// # Errors
    /// [`Error::SessionEnded`]; [`Error::KeyReused`] when another request has created it; [`Error::AccountFull`].
    pub async fn create_task(&self, caller: Caller, new: &NewTask, limit: u32) -> Result<Created, Error> {
        let caller = Identity::from(caller);
        let sql = format!(
            "WITH caller AS (
                {account}
            ), room AS (
                SELECT id FROM caller WHERE NOT EXISTS (SELECT FROM tasks WHERE user_id = $2 OFFSET $13)
            ), created AS (
                INSERT INTO tasks (id, user_id, title, description, status, priority, due_date, request_hash)
                SELECT $4, id, $5, $6, $7, $8, $9, $10 FROM room
                ON CONFLICT (id) DO NOTHING
                RETURNING {TASK_COLUMNS}
            ), task AS (
                SELECT true AS is_new, true AS is_same, *,
                       CASE WHEN $11::uuid[] = '{{}}' THEN '{{}}' ELSE set_task_tags(id, user_id, $11, $12) END AS tags
                FROM created
                UNION ALL
                SELECT false, COALESCE(request_hash = $10, true), {TASK_COLUMNS}, {tags}
                FROM tasks WHERE id = $4 AND user_id = $2
            )
            SELECT statement_timestamp() AS clock, caller.id AS caller, room.id IS NULL AS is_full, task.*
            FROM (SELECT) AS attempt LEFT JOIN caller ON true LEFT JOIN room ON true LEFT JOIN task ON true",
            account = caller.in_write(),
            tags = task_tags!("tasks")
        );
        let TaskValues { title, description, status, priority, due_date, tags } = &new.values;
        let (tag_ids, tag_names) = ids_and_names(tags);
        // The insert waits for a concurrent one of the same id and then does nothing, but the statement's snapshot is too
        // old to see the other's row. Then it is sent again.
        for _ in 0..2 {
            let (row, _) = self
                .write(
                    &sql,
                    &caller.params(&[
                        (new.id.as_uuid(), Type::UUID),
                        (&title.as_str(), Type::TEXT),
                        (&description.as_ref().map(Description::as_str), Type::TEXT),
                        (&status.as_str(), Type::TEXT),
                        (&priority.map(Priority::get), Type::INT4),
                        (&due_date.as_ref().map(Timestamp::as_utc), Type::TIMESTAMP),
                        (&new.request_hash.as_ref().map(RequestHash::as_bytes), Type::BYTEA),
                        (&tag_ids, Type::UUID_ARRAY),
                        (&tag_names, Type::TEXT_ARRAY),
                        (&i64::from(limit.saturating_sub(1)), Type::INT8),
                    ]),
                )
                .await?;
            if let Some(task) = callers_task(&row)? {
                if !row.try_get("is_same")? {
                    return Err(Error::KeyReused);
                }
                return Ok(if row.try_get("is_new")? { Created::New(task) } else { Created::Found(task) });
            }
            if row.try_get("is_full")? {
                return Err(Error::AccountFull);
            }
        }
        Err(Error::Unavailable("a task of the same id was created and deleted meanwhile".to_owned()))
    }

    /// One of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::NoSuchTask`].
    pub async fn task(&self, caller: Caller, id: TaskId) -> Result<Task, Error> {
        let caller = Identity::from(caller);
        let sql = format!(
            "SELECT tasks.*, {tags} AS tags
            FROM ({account}) AS caller
            LEFT JOIN tasks ON tasks.id = $3 AND tasks.user_id = caller.id",
            tags = task_tags!("tasks"),
            account = caller.in_read()
        );
        let rows = self.read(&sql, &caller.params(&[(id.as_uuid(), Type::UUID)])).await?;
        task(rows.first().ok_or(Error::SessionEnded)?)?.ok_or(Error::NoSuchTask)
    }

    /// Changes one of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::NoSuchTask`], [`Error::PreconditionFailed`], in this order.
    pub async fn update_task(
        &self,
        caller: Caller,
        id: TaskId,
        precondition: &Precondition,
        changes: &TaskChanges,
    ) -> Result<Task, Error> {
        // Locked first, to tell a task that is gone from one of another version, and to read its tags as they are then.
        let caller = Identity::from(caller);
        let sql = format!(
            "WITH caller AS (
                {account}
            ), found AS (
                SELECT tasks.* FROM tasks JOIN caller ON tasks.user_id = caller.id WHERE tasks.id = $4
                FOR UPDATE OF tasks
            ), updated AS (
                UPDATE tasks
                SET title = COALESCE($6, tasks.title),
                    description = CASE WHEN $7 THEN $8 ELSE tasks.description END,
                    status = CASE WHEN $9 AND tasks.status = 'completed' THEN 'pending'
                                  ELSE COALESCE($10, tasks.status) END,
                    priority = CASE WHEN $11 THEN $12 ELSE tasks.priority END,
                    due_date = CASE WHEN $13 THEN $14 ELSE tasks.due_date END
                FROM found
                WHERE tasks.id = found.id AND ($5::timestamp[] IS NULL OR found.updated_at = ANY ($5))
                RETURNING tasks.*
            ), task AS (
                SELECT true AS is_updated, *, set_task_tags(id, user_id, $15, $16) AS tags FROM updated
                UNION ALL
                SELECT false, *, set_task_tags(id, user_id, NULL, NULL) FROM found WHERE NOT EXISTS (SELECT FROM updated)
            )
            SELECT statement_timestamp() AS clock, caller.id AS caller, task.*
            FROM (SELECT) AS attempt LEFT JOIN caller ON true LEFT JOIN task ON true",
            account = caller.in_write()
        );
        let TaskChanges { title, description, status, priority, due_date, tags } = changes;
        let new_status = match status {
            Some(StatusChange::To(status)) => Some(status.as_str()),
            Some(StatusChange::Reopen) | None => None,
        };
        let (tag_ids, tag_names) = tags.as_ref().map(ids_and_names).unzip();
        let (row, may_have_run) = self
            .write(
                &sql,
                &caller.params(&[
                    (id.as_uuid(), Type::UUID),
                    (&allowed_updated_at(precondition), Type::TIMESTAMP_ARRAY),
                    (&title.as_ref().map(Title::as_str), Type::TEXT),
                    (&description.is_some(), Type::BOOL),
                    (&description.as_ref().and_then(Option::as_ref).map(Description::as_str), Type::TEXT),
                    (&(*status == Some(StatusChange::Reopen)), Type::BOOL),
                    (&new_status, Type::TEXT),
                    (&priority.is_some(), Type::BOOL),
                    (&priority.flatten().map(Priority::get), Type::INT4),
                    (&due_date.is_some(), Type::BOOL),
                    (&due_date.flatten().as_ref().map(Timestamp::as_utc), Type::TIMESTAMP),
                    (&tag_ids, Type::UUID_ARRAY),
                    (&tag_names, Type::TEXT_ARRAY),
                ]),
            )
            .await?;
        let task = callers_task(&row)?.ok_or(Error::NoSuchTask)?;
        // A retry may find that the first attempt has made the changes.
        let is_done = row.try_get("is_updated")? || (may_have_run && changes.are_applied_to(&task));
        if is_done { Ok(task) } else { Err(Error::PreconditionFailed) }
    }

    /// Deletes one of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::NoSuchTask`], [`Error::PreconditionFailed`], in this order.
    pub async fn delete_task(&self, caller: Caller, id: TaskId, precondition: &Precondition) -> Result<(), Error> {
        let caller = Identity::from(caller);
        let sql = format!(
            "WITH caller AS (
                {account}
            ), found AS (
                SELECT tasks.* FROM tasks JOIN caller ON tasks.user_id = caller.id WHERE tasks.id = $4
                FOR UPDATE OF tasks
            ), deleted AS (
                DELETE FROM tasks
                USING found
                WHERE tasks.id = found.id AND ($5::timestamp[] IS NULL OR found.updated_at = ANY ($5))
                RETURNING tasks.id
            )
            SELECT statement_timestamp() AS clock, caller.id AS caller,
                   found.id IS NOT NULL AS is_found, deleted.id IS NOT NULL AS is_deleted
            FROM (SELECT) AS attempt LEFT JOIN caller ON true LEFT JOIN found ON true LEFT JOIN deleted ON true",
            account = caller.in_write()
        );
        let allowed = allowed_updated_at(precondition);
        let params = caller.params(&[(id.as_uuid(), Type::UUID), (&allowed, Type::TIMESTAMP_ARRAY)]);
        let (row, may_have_run) = self.write(&sql, &params).await?;
        check_caller(&row)?;
        match (row.try_get("is_found")?, row.try_get("is_deleted")?) {
            (_, true) => Ok(()),
            (true, false) => Err(Error::PreconditionFailed),
            (false, false) if may_have_run => Ok(()),
            (false, false) => Err(Error::NoSuchTask),
        }
    }
}

/// The tags' ids and names, as parameters.
fn ids_and_names(tags: &Tags) -> (Vec<Uuid>, Vec<&str>) {
    tags.iter().map(|tag| (tag.id(), tag.as_str())).unzip()
}

/// The values of `updated_at` that meet the precondition; null for any.
fn allowed_updated_at(precondition: &Precondition) -> Option<Vec<chrono::NaiveDateTime>> {
    match precondition {
        Precondition::Any => None,
        Precondition::OneOf(versions) => Some(versions.iter().map(|version| *version.changed_at().as_utc()).collect()),
    }
}

/// [`Error::SessionEnded`] when a write's row has no caller.
pub(crate) fn check_caller(row: &Row) -> Result<(), Error> {
    row.try_get::<_, Option<Uuid>>("caller")?.map(drop).ok_or(Error::SessionEnded)
}

/// The task in a write's row.
fn callers_task(row: &Row) -> Result<Option<Task>, Error> {
    check_caller(row)?;
    task(row)
}

/// The task in a row; `None` when its columns are null.
pub(crate) fn task(row: &Row) -> Result<Option<Task>, Error> {
    let Some(id) = row.try_get::<_, Option<Uuid>>("id")? else { return Ok(None) };
    let status = Status::parse(row.try_get("status")?).map_err(|_| Error::unexpected("status"))?;
    let updated_at: Timestamp = row.try_get::<_, chrono::NaiveDateTime>("updated_at")?.into();
    let mut tags: Vec<String> = row.try_get("tags")?;
    // By code point: UTF-8 keeps their order.
    tags.sort_unstable();
    Ok(Some(Task {
        id: id.into(),
        user_id: row.try_get::<_, Uuid>("user_id")?.into(),
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        status,
        completed: status.is_completed(),
        priority: row.try_get("priority")?,
        due_date: row.try_get::<_, Option<chrono::NaiveDateTime>>("due_date")?.map(Timestamp::from),
        tags,
        created_at: row.try_get::<_, chrono::NaiveDateTime>("created_at")?.into(),
        updated_at,
        version: updated_at.into(),
    }))
}
