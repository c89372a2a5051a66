//! The statements on `tasks`. Each starts from the caller's account at the token's version: no account means that the token
//! was revoked, and an account without a row that there is no such task.

use auth::Caller;
use domain::{
    Description, NewTask, Page, PageRequest, Position, Precondition, RequestHash, Task, TaskChanges, TaskId, Title,
    TokenVersion,
};
use tokio_postgres::{Row, types::Type};

use crate::{Database, Error};

/// The result of [`Database::create_task`].
pub enum Created {
    New(Task),
    /// The id was created before, by the same request.
    Found(Task),
}

impl Database {
    /// The caller's tasks, newest first.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`].
    pub async fn list_tasks(&self, caller: Caller, request: PageRequest) -> Result<Page, Error> {
        // One more than the page holds is read, to know whether there is a next page.
        let sql = "
            SELECT task.*
            FROM users
            LEFT JOIN LATERAL (
                SELECT *
                FROM tasks
                WHERE user_id = users.id
                  AND ($3::boolean IS NULL OR completed = $3)
                  AND ($4::timestamp IS NULL OR (created_at, id) < ($4, $5::uuid))
                ORDER BY created_at DESC, id DESC
                LIMIT $6
            ) AS task ON true
            WHERE users.id = $1 AND users.token_version = $2
            ORDER BY task.created_at DESC, task.id DESC";
        let (user, TokenVersion(version)) = (caller.user(), caller.token_version());
        let size = usize::from(request.size.get());
        let rows = self
            .read(
                sql,
                &[
                    (user.as_uuid(), Type::UUID),
                    (&version, Type::INT4),
                    (&request.completed, Type::BOOL),
                    (&request.after.map(|after| *after.created_at.as_utc()), Type::TIMESTAMP),
                    (&request.after.map(|after| *after.id.as_uuid()), Type::UUID),
                    (&(i64::from(request.size.get()) + 1), Type::INT8),
                ],
            )
            .await?;
        if rows.is_empty() {
            return Err(Error::TokenRevoked);
        }
        let mut tasks = rows.iter().filter_map(|row| task(row).transpose()).collect::<Result<Vec<_>, _>>()?;
        let more = tasks.len() > size;
        tasks.truncate(size);
        let next = tasks.last().filter(|_| more).map(|last| Position { created_at: last.created_at, id: last.id });
        Ok(Page { tasks, next })
    }

    /// Creates a task, or finds the one that the same request has created before.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`]; [`Error::KeyReused`] when another request has created it.
    pub async fn create_task(&self, caller: Caller, new: &NewTask) -> Result<Created, Error> {
        let sql = "
            WITH caller AS (
                SELECT id FROM users WHERE id = $2 AND token_version = $3 AND statement_timestamp() < $1
            ), created AS (
                INSERT INTO tasks (id, user_id, title, description, request_hash)
                SELECT $4, id, $5, $6, $7 FROM caller
                ON CONFLICT (id) DO NOTHING
                RETURNING *
            ), task AS (
                SELECT true AS is_new, true AS is_same, * FROM created
                UNION ALL
                SELECT false, coalesce(request_hash = $7, true), * FROM tasks WHERE id = $4 AND user_id = $2
            )
            SELECT statement_timestamp() AS clock, caller.id AS caller, task.*
            FROM (SELECT) AS attempt LEFT JOIN caller ON true LEFT JOIN task ON true";
        let (user, TokenVersion(version)) = (caller.user(), caller.token_version());
        // The insert waits for a concurrent one of the same id and then does nothing, but the statement's snapshot is too
        // old to see the other's row. Then it is sent again.
        for _ in 0..2 {
            let (row, _) = self
                .write(
                    sql,
                    &[
                        (user.as_uuid(), Type::UUID),
                        (&version, Type::INT4),
                        (new.id.as_uuid(), Type::UUID),
                        (&new.title.as_str(), Type::TEXT),
                        (&new.description.as_ref().map(Description::as_str), Type::TEXT),
                        (&new.request_hash.as_ref().map(RequestHash::as_bytes), Type::BYTEA),
                    ],
                )
                .await?;
            if let Some(task) = callers_task(&row)? {
                if !row.try_get("is_same")? {
                    return Err(Error::KeyReused);
                }
                return Ok(if row.try_get("is_new")? { Created::New(task) } else { Created::Found(task) });
            }
        }
        Err(Error::Unavailable("a task of the same id was created and deleted meanwhile".to_owned()))
    }

    /// One of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`], [`Error::NoSuchTask`].
    pub async fn task(&self, caller: Caller, id: TaskId) -> Result<Task, Error> {
        let sql = "
            SELECT tasks.*
            FROM users
            LEFT JOIN tasks ON tasks.id = $3 AND tasks.user_id = users.id
            WHERE users.id = $1 AND users.token_version = $2";
        let (user, TokenVersion(version)) = (caller.user(), caller.token_version());
        let rows =
            self.read(sql, &[(user.as_uuid(), Type::UUID), (&version, Type::INT4), (id.as_uuid(), Type::UUID)]).await?;
        task(rows.first().ok_or(Error::TokenRevoked)?)?.ok_or(Error::NoSuchTask)
    }

    /// Changes one of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`], [`Error::NoSuchTask`], [`Error::PreconditionFailed`], in this order.
    pub async fn update_task(
        &self,
        caller: Caller,
        id: TaskId,
        precondition: &Precondition,
        changes: &TaskChanges,
    ) -> Result<Task, Error> {
        // Locked first, to tell a task that is gone from one of another version.
        let sql = "
            WITH caller AS (
                SELECT id FROM users WHERE id = $2 AND token_version = $3 AND statement_timestamp() < $1
            ), found AS (
                SELECT tasks.* FROM tasks JOIN caller ON tasks.user_id = caller.id WHERE tasks.id = $4
                FOR UPDATE OF tasks
            ), updated AS (
                UPDATE tasks
                SET title = COALESCE($6, tasks.title),
                    description = CASE WHEN $7 THEN $8 ELSE tasks.description END,
                    completed = COALESCE($9, tasks.completed)
                FROM found
                WHERE tasks.id = found.id AND ($5::timestamp[] IS NULL OR found.updated_at = ANY ($5))
                RETURNING tasks.*
            ), task AS (
                SELECT true AS is_updated, * FROM updated
                UNION ALL
                SELECT false, * FROM found WHERE NOT EXISTS (SELECT FROM updated)
            )
            SELECT statement_timestamp() AS clock, caller.id AS caller, task.*
            FROM (SELECT) AS attempt LEFT JOIN caller ON true LEFT JOIN task ON true";
        let (user, TokenVersion(version)) = (caller.user(), caller.token_version());
        let (row, may_have_run) = self
            .write(
                sql,
                &[
                    (user.as_uuid(), Type::UUID),
                    (&version, Type::INT4),
                    (id.as_uuid(), Type::UUID),
                    (&allowed_updated_at(precondition), Type::TIMESTAMP_ARRAY),
                    (&changes.title.as_ref().map(Title::as_str), Type::TEXT),
                    (&changes.description.is_some(), Type::BOOL),
                    (&changes.description.as_ref().and_then(Option::as_ref).map(Description::as_str), Type::TEXT),
                    (&changes.completed, Type::BOOL),
                ],
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
    /// [`Error::TokenRevoked`], [`Error::NoSuchTask`], [`Error::PreconditionFailed`], in this order.
    pub async fn delete_task(&self, caller: Caller, id: TaskId, precondition: &Precondition) -> Result<(), Error> {
        let sql = "
            WITH caller AS (
                SELECT id FROM users WHERE id = $2 AND token_version = $3 AND statement_timestamp() < $1
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
            FROM (SELECT) AS attempt LEFT JOIN caller ON true LEFT JOIN found ON true LEFT JOIN deleted ON true";
        let (user, TokenVersion(version)) = (caller.user(), caller.token_version());
        let (row, may_have_run) = self
            .write(
                sql,
                &[
                    (user.as_uuid(), Type::UUID),
                    (&version, Type::INT4),
                    (id.as_uuid(), Type::UUID),
                    (&allowed_updated_at(precondition), Type::TIMESTAMP_ARRAY),
                ],
            )
            .await?;
        check_caller(&row)?;
        match (row.try_get("is_found")?, row.try_get("is_deleted")?) {
            (_, true) => Ok(()),
            (true, false) => Err(Error::PreconditionFailed),
            (false, false) if may_have_run => Ok(()),
            (false, false) => Err(Error::NoSuchTask),
        }
    }
}

/// The values of `updated_at` that meet the precondition; null for any.
fn allowed_updated_at(precondition: &Precondition) -> Option<Vec<chrono::NaiveDateTime>> {
    match precondition {
        Precondition::Any => None,
        Precondition::OneOf(versions) => Some(versions.iter().map(|version| *version.changed_at().as_utc()).collect()),
    }
}

/// [`Error::TokenRevoked`] when a write's row has no caller.
fn check_caller(row: &Row) -> Result<(), Error> {
    row.try_get::<_, Option<uuid::Uuid>>("caller")?.map(drop).ok_or(Error::TokenRevoked)
}

/// The task in a write's row.
fn callers_task(row: &Row) -> Result<Option<Task>, Error> {
    check_caller(row)?;
    task(row)
}

/// The task in a row; `None` when its columns are null.
fn task(row: &Row) -> Result<Option<Task>, Error> {
    let Some(id) = row.try_get::<_, Option<uuid::Uuid>>("id")? else { return Ok(None) };
    Ok(Some(Task {
        id: id.into(),
        user_id: row.try_get::<_, uuid::Uuid>("user_id")?.into(),
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        completed: row.try_get("completed")?,
        created_at: row.try_get::<_, chrono::NaiveDateTime>("created_at")?.into(),
        updated_at: row.try_get::<_, chrono::NaiveDateTime>("updated_at")?.into(),
    }))
}
