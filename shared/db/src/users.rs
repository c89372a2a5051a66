//! The statements on `users`.

use auth::Caller;
use domain::{Email, PasswordHash, TokenVersion, User, UserChanges, UserId};
use tokio_postgres::{Row, types::Type};

use crate::{
    Constraint, Database, Error, Reauthenticated,
    database::Params,
    signin_failures::{delete_failures_of, sweep_failures},
};

impl Database {
    /// Creates an account, without failed sign-ins from before.
    ///
    /// # Errors
    /// [`Error::Violated`] with [`Constraint::EmailTaken`] when the address has an account.
    pub async fn create_user(&self, id: UserId, email: &Email, hash: &PasswordHash) -> Result<User, Error> {
        // Of two concurrent inserts of one address the second waits, inserts nothing, and finds no account of its id.
        let sql = concat!(
            "WITH created AS (
                INSERT INTO users (id, email, password_hash)
                SELECT $2, $3, $4 WHERE statement_timestamp() < $1
                ON CONFLICT DO NOTHING
                RETURNING id, email, created_at, updated_at
            ), cleared AS (",
            delete_failures_of!("created"),
            " RETURNING key
            ), swept AS (",
            sweep_failures!("cleared"),
            "), account AS (
                SELECT * FROM created
                UNION ALL
                SELECT id, email, created_at, updated_at FROM users WHERE id = $2
            )
            SELECT statement_timestamp() AS clock, account.*
            FROM (SELECT) AS attempt LEFT JOIN account ON true"
        );
        let params: Params<'_> =
            &[(id.as_uuid(), Type::UUID), (&email.as_str(), Type::TEXT), (&hash.as_str(), Type::TEXT)];
        let (row, _) = self.write(sql, params).await?;
        user(&row)?.ok_or(Error::Violated(Constraint::EmailTaken))
    }

    /// The caller's account.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`].
    pub async fn user(&self, caller: Caller) -> Result<User, Error> {
        let sql = "
            SELECT id, email, created_at, updated_at
            FROM users
            WHERE id = $1 AND token_version = $2";
        let (user_id, TokenVersion(version)) = (caller.user(), caller.token_version());
        let rows = self.read(sql, &[(user_id.as_uuid(), Type::UUID), (&version, Type::INT4)]).await?;
        rows.first().map(user).transpose()?.flatten().ok_or(Error::TokenRevoked)
    }

    /// Changes the caller's account. A new password revokes every token; a new address starts without failed sign-ins.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`]; [`Error::Violated`] with [`Constraint::EmailTaken`] when another account has the address.
    pub async fn update_user(&self, proof: Reauthenticated, changes: &UserChanges) -> Result<User, Error> {
        // A retry may find the next version already, with the hash of this very request.
        let sql = concat!(
            "WITH before AS (
                SELECT id, email
                FROM users
                WHERE id = $2 AND (token_version = $3 OR (token_version = $6 AND password_hash = $5))
                  AND statement_timestamp() < $1
                FOR UPDATE
            ), account AS (
                UPDATE users
                SET email = COALESCE($4, users.email),
                    password_hash = COALESCE($5, password_hash),
                    token_version = $6
                FROM before
                WHERE users.id = before.id
                RETURNING users.id, users.email, created_at, updated_at
            ), addresses AS (
                SELECT email FROM before UNION ALL SELECT email FROM account
            ), cleared AS (",
            // The old and the new one, if they differ.
            delete_failures_of!("addresses GROUP BY email HAVING count(*) = 1"),
            ")
            SELECT statement_timestamp() AS clock, account.*
            FROM (SELECT) AS attempt LEFT JOIN account ON true"
        );
        let (user_id, TokenVersion(version)) = (proof.caller().user(), proof.caller().token_version());
        let next_version = if changes.password_hash.is_some() { version.wrapping_add(1) } else { version };
        let (row, _) = self
            .write(
                sql,
                &[
                    (user_id.as_uuid(), Type::UUID),
                    (&version, Type::INT4),
                    (&changes.email.as_ref().map(Email::as_str), Type::TEXT),
                    (&changes.password_hash.as_ref().map(PasswordHash::as_str), Type::TEXT),
                    (&next_version, Type::INT4),
                ],
            )
            .await?;
        user(&row)?.ok_or(Error::TokenRevoked)
    }

    /// Deletes the caller's account with its failed sign-ins and, by `fk_tasks_user_id`, its tasks.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`].
    pub async fn delete_user(&self, caller: Caller) -> Result<(), Error> {
        // Locked first, to see a concurrent deletion that was waited for.
        let sql = concat!(
            "WITH found AS (
                SELECT id, token_version FROM users WHERE id = $2 AND statement_timestamp() < $1 FOR UPDATE
            ), deleted AS (
                DELETE FROM users
                USING found
                WHERE users.id = found.id AND found.token_version = $3
                RETURNING users.id, users.email
            ), cleared AS (",
            delete_failures_of!("deleted"),
            ")
            SELECT statement_timestamp() AS clock,
                   found.id IS NOT NULL AS is_found, deleted.id IS NOT NULL AS is_deleted
            FROM (SELECT) AS attempt LEFT JOIN found ON true LEFT JOIN deleted ON true"
        );
        let (user_id, TokenVersion(version)) = (caller.user(), caller.token_version());
        let (row, may_have_run) = self.write(sql, &[(user_id.as_uuid(), Type::UUID), (&version, Type::INT4)]).await?;
        // A retry that finds no account has succeeded before.
        if row.try_get("is_deleted")? || (may_have_run && !row.try_get::<_, bool>("is_found")?) {
            Ok(())
        } else {
            Err(Error::TokenRevoked)
        }
    }
}

/// The account in a row; `None` when its columns are null.
fn user(row: &Row) -> Result<Option<User>, Error> {
    let Some(id) = row.try_get::<_, Option<uuid::Uuid>>("id")? else { return Ok(None) };
    Ok(Some(User {
        id: id.into(),
        email: row.try_get("email")?,
        created_at: row.try_get::<_, chrono::NaiveDateTime>("created_at")?.into(),
        updated_at: row.try_get::<_, chrono::NaiveDateTime>("updated_at")?.into(),
    }))
}
