//! The statements that list sessions and end them.

use auth::Caller;
use domain::{Session, SessionId, UserAgent};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{Database, Error, identity::Identity, open_session::utc_now, tasks::check_caller};

impl Database {
    /// The caller's sessions, the last used first.
    ///
    /// # Errors
    /// [`Error::SessionEnded`].
    pub async fn sessions(&self, caller: Caller) -> Result<Vec<Session>, Error> {
        let identity = Identity::from(caller);
        let sql = format!(
            "SELECT sessions.*
            FROM ({}) AS caller
            LEFT JOIN sessions ON user_id = caller.id AND expires_at > {}
            ORDER BY refreshed_at DESC, sessions.id",
            identity.in_read(),
            utc_now!()
        );
        let rows = self.read(&sql, &identity.params(&[])).await?;
        if rows.is_empty() {
            return Err(Error::SessionEnded);
        }
        rows.iter().filter_map(|row| session(row, caller).transpose()).collect()
    }

    /// Ends one of the caller's sessions.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::NoSuchSession`].
    pub async fn end_session(&self, caller: Caller, id: SessionId) -> Result<(), Error> {
        let identity = Identity::from(caller);
        let sql = format!(
            "WITH caller AS (
                {}
            ), ended AS (
                DELETE FROM sessions
                USING caller
                WHERE sessions.id = $4 AND sessions.user_id = caller.id
                RETURNING sessions.id
            )
            SELECT statement_timestamp() AS clock, caller.id AS caller, ended.id IS NOT NULL AS is_ended
            FROM (SELECT) AS attempt LEFT JOIN caller ON true LEFT JOIN ended ON true",
            identity.in_write()
        );
        let (row, may_have_run) = self.write(&sql, &identity.params(&[(id.as_uuid(), Type::UUID)])).await?;
        let is_own = caller.session() == Some(id);
        if row.try_get("is_ended")? || (may_have_run && is_own) {
            return Ok(());
        }
        check_caller(&row)?;
        if may_have_run { Ok(()) } else { Err(Error::NoSuchSession) }
    }

    /// Ends all of the caller's sessions, this one too.
    ///
    /// # Errors
    /// [`Error::SessionEnded`].
    pub async fn end_all_sessions(&self, caller: Caller) -> Result<(), Error> {
        let identity = Identity::from(caller);
        let sql = format!(
            "WITH caller AS (
                {}
            )
            SELECT statement_timestamp() AS clock, caller.id AS caller, end_sessions(caller.id)
            FROM (SELECT) AS attempt LEFT JOIN caller ON true",
            identity.in_write()
        );
        let (row, may_have_run) = self.write(&sql, &identity.params(&[])).await?;
        // A retry that finds no session has succeeded before.
        if may_have_run { Ok(()) } else { check_caller(&row) }
    }
}

/// The session in a row; `None` when its columns are null.
fn session(row: &Row, caller: Caller) -> Result<Option<Session>, Error> {
    let Some(id) = row.try_get::<_, Option<Uuid>>("id")?.map(SessionId::from) else { return Ok(None) };
    let time = |column| row.try_get::<_, chrono::NaiveDateTime>(column).map(Into::into);
    Ok(Some(Session {
        id,
        created_at: time("created_at")?,
        refreshed_at: time("refreshed_at")?,
        expires_at: time("expires_at")?,
        user_agent: row.try_get::<_, Option<&str>>("user_agent")?.and_then(UserAgent::new),
        current: caller.session() == Some(id),
    }))
}
