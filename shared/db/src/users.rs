//! The statements on `users`.

use auth::Caller;
use domain::{Email, PasswordHash, User, UserChanges, UserId};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use crate::{
    Constraint, Database, Error, Reauthenticated,
    database::{Params, has_id},
    identity::Identity,
    signin_failures::{delete_failures_of, sweep_failures},
};

impl Database {
    /// Creates an account, without failed sign-ins from before.
    ///
    /// # Errors
    /// [`Error::Violated`] with [`Constraint::EmailTaken`] when the address has an account.
    pub async fn create_user(&self, id: UserId, email: &Email, hash: &PasswordHash) -> Result<User, Error> {
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
            ")
            SELECT statement_timestamp() AS clock, created.*
            FROM (SELECT) AS attempt LEFT JOIN created ON true"
        );
        let params: Params<'_> =
            &[(id.as_uuid(), Type::UUID), (&email.as_str(), Type::TEXT), (&hash.as_str(), Type::TEXT)];
        let (row, may_have_run) = self.write(sql, params).await?;
        let created = match user(&row)? {
            // A retry may find that the first attempt has created it.
            None if may_have_run => self.account(id).await?,
            created => created,
        };
        created.ok_or(Error::Violated(Constraint::EmailTaken))
    }

    /// The caller's account.
    ///
    /// # Errors
    /// [`Error::SessionEnded`].
    pub async fn user(&self, caller: Caller) -> Result<User, Error> {
        let identity = Identity::from(caller);
        let sql = format!(
            "SELECT users.id, email, created_at, updated_at FROM users JOIN ({}) AS caller USING (id)",
            identity.in_read()
        );
        let rows = self.read(&sql, &identity.params(&[])).await?;
        rows.first().map(user).transpose()?.flatten().ok_or(Error::SessionEnded)
    }

    /// Changes the caller's account. A new password ends all other sessions, by a trigger; a new address starts without
    /// failed sign-ins.
    ///
    /// # Errors
    /// [`Error::SessionEnded`]; [`Error::Violated`] with [`Constraint::EmailTaken`] when another account has the address.
    pub async fn update_user(&self, proof: Reauthenticated, changes: &UserChanges) -> Result<User, Error> {
        let identity = Identity::from(proof.caller());
        // A token without a session ends with the old password. A retry may find the new one, which is this very request's.
        let or_retried = match identity.session() {
            Some(_) => "",
            None => " UNION SELECT id FROM users WHERE id = $2 AND password_hash = $6 AND statement_timestamp() < $1",
        };
        let and_cleared = match &changes.email {
            Some(email) if email != proof.email() => concat!(
                ", cleared AS (",
                delete_failures_of!("(SELECT unnest(ARRAY[$5, $8]) AS email FROM account) AS addresses"),
                ")"
            ),
            _ => "",
        };
        let sql = format!(
            "WITH caller AS (
                {caller}{or_retried}
            ), account AS (
                UPDATE users
                SET email = COALESCE($5, email), password_hash = COALESCE($6, password_hash)
                FROM caller
                WHERE users.id = caller.id AND password_hash IN ($4, $6)
                  AND set_config('task_api.kept_session', COALESCE($7::text, ''), true) IS NOT NULL
                RETURNING users.id, email, created_at, updated_at
            ){and_cleared}
            SELECT statement_timestamp() AS clock, account.*
            FROM (SELECT) AS attempt LEFT JOIN account ON true",
            caller = identity.in_write()
        );
        let params = [
            (&proof.password_hash().as_str() as &(dyn ToSql + Sync), Type::TEXT),
            (&changes.email.as_ref().map(Email::as_str), Type::TEXT),
            (&changes.password_hash.as_ref().map(PasswordHash::as_str), Type::TEXT),
            (&identity.session(), Type::UUID),
            (&proof.email().as_str(), Type::TEXT),
        ];
        let (row, _) = self.write(&sql, &identity.params(&params)).await?;
        user(&row)?.ok_or(Error::SessionEnded)
    }

    /// Deletes the caller's account with its failed sign-ins and, by their foreign keys, its tasks and sessions.
    ///
    /// # Errors
    /// [`Error::SessionEnded`].
    pub async fn delete_user(&self, caller: Caller) -> Result<(), Error> {
        let identity = Identity::from(caller);
        let sql = format!(
            "WITH deleted AS (
                DELETE FROM users
                USING ({caller}) AS caller
                WHERE users.id = caller.id
                RETURNING users.id, users.email
            ), cleared AS (
                {cleared}
            )
            SELECT statement_timestamp() AS clock, deleted.id FROM (SELECT) AS attempt LEFT JOIN deleted ON true",
            caller = identity.in_write(),
            cleared = delete_failures_of!("deleted")
        );
        let (row, may_have_run) = self.write(&sql, &identity.params(&[])).await?;
        // A retry that finds no account has succeeded before.
        if has_id(&row)? || (may_have_run && self.account(caller.user()).await?.is_none()) {
            Ok(())
        } else {
            Err(Error::SessionEnded)
        }
    }

    async fn account(&self, id: UserId) -> Result<Option<User>, Error> {
        let sql = "SELECT id, email, created_at, updated_at FROM users WHERE id = $1";
        let rows = self.read(sql, &[(id.as_uuid(), Type::UUID)]).await?;
        Ok(rows.first().map(user).transpose()?.flatten())
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
