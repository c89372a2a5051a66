//! The statements on `tasks`. Each starts from the caller's account, by the token's session: no account means that the
//! session has ended, and an account without a row that there is no such task.
//!
//! Statements are unnamed, so PostgreSQL plans each anew, which takes longer than to run it. What only concurrent requests
//! and retries can meet has statements of its own, which are rarely sent.

use auth::Caller;
use chrono::NaiveDateTime;
use domain::{
    Description, NewTask, Precondition, Priority, RequestHash, Status, StatusChange, Tags, Task, TaskChanges, TaskId,
    TaskValues, Timestamp, Title,
};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{Database, Error, database::has_id, identity::Identity};

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
            ), task AS (
                INSERT INTO tasks (id, user_id, title, description, status, priority, due_date, request_hash)
                SELECT $4, id, $5, $6, $7, $8, $9, $10 FROM room
                ON CONFLICT (id) DO NOTHING
                RETURNING {TASK_COLUMNS},
                          CASE WHEN $11::uuid[] = '{{}}' THEN '{{}}' ELSE set_task_tags(id, user_id, $11, $12) END AS tags
            )
            SELECT statement_timestamp() AS clock, (SELECT id FROM caller) AS caller,
                   NOT EXISTS (SELECT FROM room) AS is_full, task.*
            FROM (SELECT) AS attempt LEFT JOIN task ON true",
            account = caller.in_write()
        );
        let TaskValues { title, description, status, priority, due_date, tags } = &new.values;
        let (tag_ids, tag_names) = ids_and_names(tags);
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
            check_caller(&row)?;
            if let Some(task) = task(&row)? {
                return Ok(Created::New(task));
            }
            // Its id may be taken: by an earlier attempt, an earlier request, or one that the insert has waited for.
            if let Some(task) = self.task_of_request(&caller, new).await? {
                return Ok(Created::Found(task));
            }
            if row.try_get("is_full")? {
                return Err(Error::AccountFull);
            }
        }
        Err(Error::Unavailable("a task of the same id was created and deleted meanwhile".to_owned()))
    }

    /// The task that the same request has created before.
    async fn task_of_request(&self, caller: &Identity, new: &NewTask) -> Result<Option<Task>, Error> {
        let row = self.row_of_task(caller, new.id).await?;
        let stored: Option<Vec<u8>> = row.try_get("request_hash")?;
        let is_other = |hash: &RequestHash| stored.is_some_and(|stored| stored != hash.as_bytes());
        if new.request_hash.as_ref().is_some_and(is_other) { Err(Error::KeyReused) } else { task(&row) }
    }

    /// One of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::NoSuchTask`].
    pub async fn task(&self, caller: Caller, id: TaskId) -> Result<Task, Error> {
        task(&self.row_of_task(&caller.into(), id).await?)?.ok_or(Error::NoSuchTask)
    }

    /// The row of a task; its columns are null when the caller has none with this id.
    async fn row_of_task(&self, caller: &Identity, id: TaskId) -> Result<Row, Error> {
        let sql = format!(
            "SELECT tasks.*, {tags} AS tags
            FROM ({account}) AS caller
            LEFT JOIN tasks ON tasks.id = $3 AND tasks.user_id = caller.id",
            tags = task_tags!("tasks"),
            account = caller.in_read()
        );
        let rows = self.read(&sql, &caller.params(&[(id.as_uuid(), Type::UUID)])).await?;
        rows.into_iter().next().ok_or(Error::SessionEnded)
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
        let caller = Identity::from(caller);
        let sql = format!(
            "WITH caller AS (
                {account}
            ), task AS (
                UPDATE tasks
                SET title = COALESCE($6, title),
                    description = CASE WHEN $7 THEN $8 ELSE description END,
                    status = CASE WHEN $9 AND status = 'completed' THEN 'pending' ELSE COALESCE($10, status) END,
                    priority = CASE WHEN $11 THEN $12 ELSE priority END,
                    due_date = CASE WHEN $13 THEN $14 ELSE due_date END
                FROM caller
                WHERE tasks.id = $4 AND user_id = caller.id AND ($5::timestamp[] IS NULL OR updated_at = ANY ($5))
                RETURNING tasks.*, set_task_tags(tasks.id, user_id, $15, $16) AS tags
            )
            SELECT statement_timestamp() AS clock, {before}, task.*
            FROM (SELECT) AS attempt LEFT JOIN task ON true",
            account = caller.in_write(),
            before = before(precondition)
        );
        let TaskChanges { title, description, status, priority, due_date, tags } = changes;
        let new_status = match status {
            Some(StatusChange::To(status)) => Some(status.as_str()),
            Some(StatusChange::Reopen) | None => None,
        };
        let (tag_ids, tag_names) = tags.as_ref().map(ids_and_names).unzip();
        let allowed = allowed_updated_at(precondition);
        let (row, may_have_run) = self
            .write(
                &sql,
                &caller.params(&[
                    (id.as_uuid(), Type::UUID),
                    (&allowed, Type::TIMESTAMP_ARRAY),
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
        if let Some(task) = task(&row)? {
            return Ok(task);
        }
        let task = self.unchanged_task(&row, &caller, id, allowed.as_deref(), may_have_run).await?;
        // A retry may find that the first attempt has made the changes.
        if may_have_run && changes.are_applied_to(&task) { Ok(task) } else { Err(Error::PreconditionFailed) }
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
            ), deleted AS (
                DELETE FROM tasks
                USING caller
                WHERE tasks.id = $4 AND user_id = caller.id AND ($5::timestamp[] IS NULL OR updated_at = ANY ($5))
                RETURNING tasks.id
            )
            SELECT statement_timestamp() AS clock, {before}, deleted.id
            FROM (SELECT) AS attempt LEFT JOIN deleted ON true",
            account = caller.in_write(),
            before = before(precondition)
        );
        let allowed = allowed_updated_at(precondition);
        let params = caller.params(&[(id.as_uuid(), Type::UUID), (&allowed, Type::TIMESTAMP_ARRAY)]);
        let (row, may_have_run) = self.write(&sql, &params).await?;
        if has_id(&row)? {
            return Ok(());
        }
        match self.unchanged_task(&row, &caller, id, allowed.as_deref(), may_have_run).await {
            // A retry may find that the first attempt has deleted it.
            Err(Error::NoSuchTask) if may_have_run => Ok(()),
            found => Err(found.err().unwrap_or(Error::PreconditionFailed)),
        }
    }

    /// The task that a write has not changed because of its precondition.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::NoSuchTask`], [`Error::PreconditionFailed`].
    async fn unchanged_task(
        &self,
        row: &Row,
        caller: &Identity,
        id: TaskId,
        allowed: Option<&[NaiveDateTime]>,
        may_have_run: bool,
    ) -> Result<Task, Error> {
        check_caller(row)?;
        let before: NaiveDateTime = row.try_get::<_, Option<_>>("updated_before")?.ok_or(Error::NoSuchTask)?;
        if allowed.is_some_and(|allowed| !allowed.contains(&before)) && !may_have_run {
            return Err(Error::PreconditionFailed);
        }
        // The write has waited for another one, or is the repetition of one.
        task(&self.row_of_task(caller, id).await?)?.ok_or(Error::NoSuchTask)
    }
}

/// The columns that tell why a write has changed nothing: the caller's account and, if there is a precondition, the
/// task's version as it was before.
fn before(precondition: &Precondition) -> &'static str {
    match precondition {
        Precondition::Any => "(SELECT id FROM caller) AS caller, NULL::timestamp AS updated_before",
        Precondition::OneOf(_) => {
            "(SELECT id FROM caller) AS caller,
             (SELECT updated_at FROM tasks WHERE id = $4 AND user_id = $2) AS updated_before"
        }
    }
}

/// The tags' ids and names, as parameters.
fn ids_and_names(tags: &Tags) -> (Vec<Uuid>, Vec<&str>) {
    tags.iter().map(|tag| (tag.id(), tag.as_str())).unzip()
}

/// The values of `updated_at` that meet the precondition; null for any.
fn allowed_updated_at(precondition: &Precondition) -> Option<Vec<NaiveDateTime>> {
    match precondition {
        Precondition::Any => None,
        Precondition::OneOf(versions) => Some(versions.iter().map(|version| *version.changed_at().as_utc()).collect()),
    }
}

/// [`Error::SessionEnded`] when a write's row has no caller.
pub(crate) fn check_caller(row: &Row) -> Result<(), Error> {
    row.try_get::<_, Option<Uuid>>("caller")?.map(drop).ok_or(Error::SessionEnded)
}

/// The task in a row; `None` when its columns are null.
pub(crate) fn task(row: &Row) -> Result<Option<Task>, Error> {
    let Some(id) = row.try_get::<_, Option<Uuid>>("id")? else { return Ok(None) };
    let status = Status::parse(row.try_get("status")?).map_err(|_| Error::unexpected("status"))?;
    let updated_at: Timestamp = row.try_get::<_, NaiveDateTime>("updated_at")?.into();
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
        due_date: row.try_get::<_, Option<NaiveDateTime>>("due_date")?.map(Timestamp::from),
        tags,
        created_at: row.try_get::<_, NaiveDateTime>("created_at")?.into(),
        updated_at,
        version: updated_at.into(),
    }))
}
