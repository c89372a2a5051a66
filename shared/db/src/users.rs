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
                VALUES ($1, $2, $3)
                ON CONFLICT DO NOTHING
                RETURNING id, email, created_at, updated_at
            ), forgotten AS (",
            forget_addresses!("created"),
            " RETURNING key
            ), swept AS (",
            sweep_failures!("forgotten"),
            ")
            SELECT id, email, created_at, updated_at FROM created
            UNION ALL
            SELECT id, email, created_at, updated_at FROM users WHERE id = $1"
        );
        let params: Params<'_> =
            &[(id.as_uuid(), Type::UUID), (&email.as_str(), Type::TEXT), (&hash.as_str(), Type::TEXT)];
        let (mut rows, repeat) = self.query_told(sql, params).await?;
        // The first may have been an earlier attempt of this very request, which the repeat began too early to see.
        if rows.is_empty() && repeat {
            rows = self.query(sql, params).await?;
        }
        rows.first().map_or(Err(Error::Violated(Constraint::EmailTaken)), user)
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
            self.query(sql, &[(caller.user.as_uuid(), Type::UUID), (&caller.token_version.0, Type::INT4)]).await?;
        user(rows.first().ok_or(Error::TokenDead)?)
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
                WHERE id = $1 AND (token_version = $2 OR (token_version = $5 AND password_hash = $4))
                FOR UPDATE
            ), updated AS (
                UPDATE users
                SET email = COALESCE($3, users.email),
                    password_hash = COALESCE($4, password_hash),
                    token_version = $5
                FROM before
                WHERE users.id = before.id
                RETURNING users.id, users.email, created_at, updated_at
            ), changed AS (
                SELECT email FROM (SELECT email FROM before UNION ALL SELECT email FROM updated) AS addresses
                GROUP BY email HAVING count(*) = 1
            ), forgotten AS (",
            forget_addresses!("changed"),
            ")
            SELECT id, email, created_at, updated_at FROM updated"
        );
        let TokenVersion(version) = caller.token_version;
        let next_version = if changes.password_hash.is_some() { version.wrapping_add(1) } else { version };
        let rows = self
            .query(
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
        user(rows.first().ok_or(Error::TokenDead)?)
    }

    /// Deletes the caller's account, and with it, by `fk_tasks_user_id`, every task of theirs, and the failures to sign in
    /// to it.
    ///
    /// # Errors
    /// [`Error::TokenDead`].
    pub async fn delete_user(&self, caller: Caller) -> Result<(), Error> {
        let sql = concat!(
            "WITH deleted AS (
                DELETE FROM users WHERE id = $1 AND token_version = $2 RETURNING id, email
            ), forgotten AS (",
            forget_addresses!("deleted"),
            ")
            SELECT EXISTS (SELECT FROM deleted) AS done, EXISTS (SELECT FROM users WHERE id = $1) AS was_there"
        );
        let (rows, repeat) =
            self.query_told(sql, &[(caller.user.as_uuid(), Type::UUID), (&caller.token_version.0, Type::INT4)]).await?;
        let row = rows.first().ok_or_else(|| Error::Defect("none: no row".to_owned()))?;
        // A repeat that finds no account has found what it wanted; one with another version is not to be deleted.
        if row.try_get("done")? || (repeat && !row.try_get::<_, bool>("was_there")?) {
            Ok(())
        } else {
            Err(Error::TokenDead)
        }
    }
}

fn user(row: &Row) -> Result<User, Error> {
    Ok(User {
        id: row.try_get::<_, uuid::Uuid>("id")?.into(),
        email: row.try_get("email")?,
        created_at: row.try_get::<_, chrono::NaiveDateTime>("created_at")?.into(),
        updated_at: row.try_get::<_, chrono::NaiveDateTime>("updated_at")?.into(),
    })
}
