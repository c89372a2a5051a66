//! The statements that begin a session and go on with it.
//!
//! Who takes several locks takes them in this order, so that no two wait for each other: the account, its sessions, its
//! networks. What reads the rows of another part of a statement runs after it.

use std::time::Duration;

use auth::{Grant, Nonce, RefreshToken};
use domain::{SessionId, TokenVersion, UserAgent, UserId};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{
    ClientAddress, Database, Error,
    signin_failures::{Account, AttemptState, delete_failures, sha256},
};

/// The time, as the columns hold it.
macro_rules! utc_now {
    () => {
        "CURRENT_TIMESTAMP AT TIME ZONE 'UTC'"
    };
}
pub(crate) use utc_now;

/// The key of an account's network.
macro_rules! network_hash {
    ($user:literal, $client:literal) => {
        sha256!(concat!($user, "::text || ' ' || ", $client))
    };
}
pub(crate) use network_hash;

/// Records that an account is used from a network.
macro_rules! record_network {
    ($client:literal, $from:literal) => {
        concat!(
            "INSERT INTO session_networks (network_hash, user_id, used_at)
            SELECT ",
            network_hash!("user_id", $client),
            ", user_id, ",
            utc_now!(),
            " FROM ",
            $from,
            "
            ON CONFLICT (network_hash) DO UPDATE SET used_at = excluded.used_at"
        )
    };
}

/// How long a session holds without a refresh.
const IDLE_DAYS: i32 = 14;

/// How long a session holds at most.
const MAX_DAYS: i32 = 90;

/// How long the token before the current one gives the current one again.
const GRACE_SECONDS: i32 = 60;

/// A session that has just begun or been refreshed.
pub struct OpenSession {
    /// What to issue a token for.
    pub grant: Grant,
    pub refresh_token: RefreshToken,
}

impl Database {
    /// Begins a session for an account whose password was verified, and clears the failures of the attempt. Sweeps sessions
    /// of others that have expired, at most 100.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] when the password has changed meanwhile.
    pub(crate) async fn begin_session(
        &self,
        account: &Account,
        attempt: &AttemptState,
        client: &ClientAddress,
        user_agent: Option<&UserAgent>,
    ) -> Result<OpenSession, Error> {
        let refresh_token = RefreshToken::first(SessionId::random());
        let and_cleared = match attempt.counted_keys() {
            [] => "",
            _ => concat!(", cleared AS (", delete_failures!("$10", "EXISTS (SELECT FROM account)"), ")"),
        };
        let sql = format!(
            "WITH account AS (
                SELECT id AS user_id, {TOKEN_VERSION}
                FROM users
                WHERE id = $2 AND password_hash = $3 AND statement_timestamp() < $1
                FOR NO KEY UPDATE
            ), session AS (
                INSERT INTO sessions
                    (id, user_id, family_hash, token_hash, user_agent, created_at, refreshed_at, expires_at)
                SELECT $4, user_id, $5, $6, $7, {now}, {now}, {now} + make_interval(days => $8) FROM account
                ON CONFLICT (id) DO NOTHING
                RETURNING user_id
            ), network AS (
                {network}
            ){and_cleared}, swept AS (
                DELETE FROM sessions
                WHERE id IN (
                    SELECT id FROM sessions
                    WHERE expires_at <= {now} AND user_id <> $2 AND statement_timestamp() < $1
                    ORDER BY expires_at
                    LIMIT 100
                    FOR UPDATE SKIP LOCKED
                )
            ), swept_networks AS (
                DELETE FROM session_networks
                WHERE network_hash IN (
                    SELECT network_hash FROM session_networks
                    WHERE used_at <= {now} - interval '30 days' AND user_id <> $2 AND statement_timestamp() < $1
                    ORDER BY used_at
                    LIMIT 100
                    FOR UPDATE SKIP LOCKED
                )
            )
            SELECT statement_timestamp() AS clock, account.*
            FROM (SELECT) AS attempt LEFT JOIN account ON true",
            now = utc_now!(),
            network = record_network!("$9", "session"),
        );
        let (row, _) = self
            .write(
                &sql,
                &[
                    (account.id.as_uuid(), Type::UUID),
                    (&account.password_hash.as_str(), Type::TEXT),
                    (refresh_token.session().as_uuid(), Type::UUID),
                    (&refresh_token.family_hash(), Type::BYTEA),
                    (&refresh_token.hash(), Type::BYTEA),
                    (&user_agent.map(UserAgent::as_str), Type::TEXT),
                    (&IDLE_DAYS, Type::INT4),
                    (&client.as_str(), Type::TEXT),
                    (&attempt.counted_keys(), Type::BYTEA_ARRAY),
                ],
            )
            .await?;
        let (user, token_version) = owner(&row)?.ok_or(Error::WrongCredentials(Some(account.id)))?;
        let session_ends_in = Duration::from_secs(86_400) * IDLE_DAYS.unsigned_abs();
        let grant = Grant { user, session: refresh_token.session(), token_version, session_ends_in };
        Ok(OpenSession { grant, refresh_token })
    }

    /// Refreshes a session: its current refresh token gives the next one, and the one before it, for a minute, the current
    /// one again. Any older one gives nothing; after that minute it, or the one before, is taken for stolen and ends the
    /// session.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::RefreshTokenReused`].
    pub async fn refresh_session(
        &self,
        token: &RefreshToken,
        client: &ClientAddress,
        user_agent: Option<&UserAgent>,
    ) -> Result<OpenSession, Error> {
        let nonce = Nonce::random();
        // The account is locked first: to record a new network locks it, too.
        let sql = format!(
            "WITH owner AS (
                SELECT id, {TOKEN_VERSION}
                FROM users
                WHERE id = (SELECT user_id FROM sessions WHERE id = $2 AND family_hash = $3)
                  AND statement_timestamp() < $1
                FOR KEY SHARE
            ), found AS (
                SELECT sessions.*, token_version
                FROM sessions JOIN owner ON user_id = owner.id
                WHERE sessions.id = $2 AND family_hash = $3
                FOR UPDATE OF sessions
            ), presented AS (
                SELECT found.*, CASE WHEN expires_at <= {now} THEN 'expired'
                                     WHEN token_hash = $4 THEN 'current'
                                     WHEN refreshed_at <= {now} - make_interval(secs => $5) THEN 'stolen'
                                     WHEN previous_hash = $4 THEN 'previous'
                                     ELSE 'older' END AS kind
                FROM found
            ), rotated AS (
                UPDATE sessions
                SET previous_hash = sessions.token_hash,
                    token_hash = $6,
                    nonce = $7,
                    user_agent = COALESCE($8, sessions.user_agent),
                    refreshed_at = {now},
                    expires_at = LEAST({now} + make_interval(days => $9),
                                       sessions.created_at + make_interval(days => $10))
                FROM presented
                WHERE sessions.id = presented.id AND kind = 'current'
                RETURNING sessions.user_id, sessions.nonce, sessions.expires_at
            ), ended AS (
                DELETE FROM sessions
                USING presented
                WHERE sessions.id = presented.id AND kind IN ('expired', 'stolen')
            ), network AS (
                {network}
            )
            SELECT statement_timestamp() AS clock, presented.user_id, token_version, kind,
                   COALESCE(rotated.nonce, presented.nonce) AS nonce,
                   extract(epoch FROM COALESCE(rotated.expires_at, presented.expires_at) - {now})::float8 AS ends_in
            FROM (SELECT) AS attempt LEFT JOIN presented ON true LEFT JOIN rotated ON true",
            now = utc_now!(),
            network = record_network!("$11", "rotated"),
        );
        let (row, _) = self
            .write(
                &sql,
                &[
                    (token.session().as_uuid(), Type::UUID),
                    (&token.family_hash(), Type::BYTEA),
                    (&token.hash(), Type::BYTEA),
                    (&f64::from(GRACE_SECONDS), Type::FLOAT8),
                    (&token.successor(&nonce).hash(), Type::BYTEA),
                    (&nonce.as_bytes(), Type::BYTEA),
                    (&user_agent.map(UserAgent::as_str), Type::TEXT),
                    (&IDLE_DAYS, Type::INT4),
                    (&MAX_DAYS, Type::INT4),
                    (&client.as_str(), Type::TEXT),
                ],
            )
            .await?;
        let (user, token_version) = owner(&row)?.ok_or(Error::SessionEnded)?;
        match row.try_get("kind")? {
            "current" | "previous" => {}
            "stolen" => return Err(Error::RefreshTokenReused(user)),
            _ => return Err(Error::SessionEnded),
        }
        let session_ends_in = Duration::try_from_secs_f64(row.try_get("ends_in")?).unwrap_or_default();
        let refresh_token = token.successor(&row.try_get::<_, Vec<u8>>("nonce")?.into());
        Ok(OpenSession {
            grant: Grant { user, session: token.session(), token_version, session_ends_in },
            refresh_token,
        })
    }
}

/// Null once the column is gone.
const TOKEN_VERSION: &str = "(to_jsonb(users) ->> 'token_version')::integer AS token_version";

/// Whose session a row is; `None` when its columns are null.
fn owner(row: &Row) -> Result<Option<(UserId, Option<TokenVersion>)>, Error> {
    let Some(user) = row.try_get::<_, Option<Uuid>>("user_id")? else { return Ok(None) };
    Ok(Some((user.into(), row.try_get::<_, Option<i32>>("token_version")?.map(TokenVersion))))
}
