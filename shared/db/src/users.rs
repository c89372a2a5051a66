//! The statements on `users`.

use domain::{Caller, Email, PasswordHash, TokenVersion, User, UserChanges, UserId};
use tokio_postgres::{Row, types::Type};

use crate::{
    Constraint, Database, Error,
    connection::Params,
    signin::{forget_addresses, sweep_failures},
};

impl Database {
    /// Creates an account. No failure to sign in to its address counts against it.
    ///
    /// # Errors
    /// [`Error::Violated`] with [`Constraint::EmailTaken`] when the address has one.
    pub async fn create_user(&self, id: UserId, email: &Email, hash: &PasswordHash) -> Result<User, Error> {
        // Whoever comes second waits for the first and inserts nothing: it finds no account of this id.
        let sql = concat!(
            "WITH created AS (
                INSERT INTO users (id, email, password_hash)
                SELECT $2, $3, $4 WHERE statement_timestamp() < $1
                ON CONFLICT DO NOTHING
                RETURNING id, email, created_at, updated_at
            ), forgotten AS (",
            forget_addresses!("created"),
            " RETURNING key
            ), swept AS (",
            sweep_failures!("forgotten"),
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
    /// [`Error::TokenDead`].
    pub async fn user(&self, caller: Caller) -> Result<User, Error> {
        let sql = "
            SELECT id, email, created_at, updated_at
            FROM users
            WHERE id = $1 AND token_version = $2";
        let rows =
            self.read(sql, &[(caller.user.as_uuid(), Type::UUID), (&caller.token_version.0, Type::INT4)]).await?;
        rows.first().map(user).transpose()?.flatten().ok_or(Error::TokenDead)
    }

    /// Changes the caller's account. A new password ends every token there is; with a new address, the failures to sign
    /// in to the old one and to the new one are forgotten.
    ///
    /// # Errors
    /// [`Error::TokenDead`]; [`Error::Violated`] with [`Constraint::EmailTaken`] when another account has the address.
    pub async fn update_user(&self, caller: Caller, changes: &UserChanges) -> Result<User, Error> {
        // A repeat finds the version already moved on, but under the hash this very request made.
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
            ), forgotten AS (",
            // Both, unless they are the same.
            forget_addresses!("addresses GROUP BY email HAVING count(*) = 1"),
            ")
            SELECT statement_timestamp() AS clock, account.*
            FROM (SELECT) AS attempt LEFT JOIN account ON true"
        );
        let TokenVersion(version) = caller.token_version;
        let next_version = if changes.password_hash.is_some() { version.wrapping_add(1) } else { version };
        let (row, _) = self
            .write(
                sql,
                &[
                    (caller.user.as_uuid(), Type::UUID),
                    (&version, Type::INT4),
                    (&changes.email.as_ref().map(Email::as_str), Type::TEXT),
                    (&changes.password_hash.as_ref().map(PasswordHash::as_str), Type::TEXT),
                    (&next_version, Type::INT4),
                ],
            )
            .await?;
        user(&row)?.ok_or(Error::TokenDead)
    }

    /// Deletes the caller's account, and with it, by `fk_tasks_user_id`, every task of theirs, and the failures to sign in
    /// to it.
    ///
    /// # Errors
    /// [`Error::TokenDead`].
    pub async fn delete_user(&self, caller: Caller) -> Result<(), Error> {
        // Locked first: whoever waits for another deletion knows afterwards that the account is gone.
        let sql = concat!(
            "WITH found AS (
                SELECT id, token_version FROM users WHERE id = $2 AND statement_timestamp() < $1 FOR UPDATE
            ), deleted AS (
                DELETE FROM users
                USING found
                WHERE users.id = found.id AND found.token_version = $3
                RETURNING users.id, users.email
            ), forgotten AS (",
            forget_addresses!("deleted"),
            ")
            SELECT statement_timestamp() AS clock,
                   found.id IS NOT NULL AS is_found, deleted.id IS NOT NULL AS is_deleted
            FROM (SELECT) AS attempt LEFT JOIN found ON true LEFT JOIN deleted ON true"
        );
        let (row, unsure) =
            self.write(sql, &[(caller.user.as_uuid(), Type::UUID), (&caller.token_version.0, Type::INT4)]).await?;
        // A repeat that finds no account has found what it wanted; one with another version is not to be deleted.
        if row.try_get("is_deleted")? || (unsure && !row.try_get::<_, bool>("is_found")?) {
            Ok(())
        } else {
            Err(Error::TokenDead)
        }
    }
}

/// The account in a row, unless the row says that there is none.
fn user(row: &Row) -> Result<Option<User>, Error> {
    let Some(id) = row.try_get::<_, Option<uuid::Uuid>>("id")? else { return Ok(None) };
    Ok(Some(User {
        id: id.into(),
        email: row.try_get("email")?,
        created_at: row.try_get::<_, chrono::NaiveDateTime>("created_at")?.into(),
        updated_at: row.try_get::<_, chrono::NaiveDateTime>("updated_at")?.into(),
    }))
}
