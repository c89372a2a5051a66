//! The statements of signing in: the account, and how often it has been tried in vain.
//!
//! Failures are counted twice, under the hash of the address: together with the client's network address, and
//! alone. From the 10th of the one or the 100th of the other on, nobody signs in for a while: 1 s, doubled with
//! every further failure up to 15 minutes. A day without a failure clears the count, as a success does. All of it
//! is the same for an address without an account.

use std::time::Duration;

use domain::{Email, PasswordHash, TokenVersion, UserId};
use tokio_postgres::types::Type;

use crate::{Database, Error};

/// The network address the gateway saw the request come from.
#[derive(Clone, Debug)]
pub struct ClientAddress(pub String);

/// An account someone signs in to.
pub struct Account {
    /// Whose it is.
    pub id: UserId,
    /// What the password is verified against.
    pub password_hash: PasswordHash,
    /// What its tokens are issued under.
    pub token_version: TokenVersion,
}

/// What there is to know before a password is verified.
pub struct SigninState {
    /// The account of the address, if it has one.
    pub account: Option<Account>,
    /// Whether there are failures to forget, should this one succeed.
    pub has_failures: bool,
    /// How long nobody signs in to the address from here, if so.
    pub blocked_for: Option<Duration>,
}

impl Database {
    /// The account of an address, and whether it may be tried now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn signin_state(&self, email: &Email, client: &ClientAddress) -> Result<SigninState, Error> {
        let sql = "
            WITH failed AS (
                SELECT failed_at, failures - allowed AS excess
                FROM signin_failures
                JOIN (VALUES (sha256(convert_to($1 || ' ' || $2, 'UTF8')), 10),
                             (sha256(convert_to($1, 'UTF8')), 100)) AS counted (key, allowed) USING (key)
                WHERE failed_at > CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - interval '1 day'
            ), state AS (
                SELECT count(*) > 0 AS has_failures,
                       max(extract(epoch FROM failed_at - CURRENT_TIMESTAMP AT TIME ZONE 'UTC')
                           + least(900, power(2, least(excess, 10)))) FILTER (WHERE excess >= 0) AS blocked_for
                FROM failed
            )
            SELECT users.id, users.password_hash, users.token_version,
                   state.has_failures, state.blocked_for::float8 AS blocked_for
            FROM state
            LEFT JOIN users ON users.email = $1";
        let rows = self.query(sql, &[(&email.as_str(), Type::TEXT), (&client.0, Type::TEXT)]).await?;
        let row = rows.first().ok_or_else(|| Error::Defect("none: no row of state".to_owned()))?;
        let account = match row.try_get::<_, Option<uuid::Uuid>>("id")? {
            Some(id) => Some(Account {
                id: id.into(),
                password_hash: PasswordHash::new(row.try_get("password_hash")?),
                token_version: TokenVersion(row.try_get("token_version")?),
            }),
            None => None,
        };
        let blocked_for: Option<f64> = row.try_get("blocked_for")?;
        Ok(SigninState {
            account,
            has_failures: row.try_get("has_failures")?,
            blocked_for: blocked_for.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64),
        })
    }

    /// Counts a failure, and sweeps away a few counts that are over a day old.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_signin_failure(&self, email: &Email, client: &ClientAddress) -> Result<(), Error> {
        // Both rows are locked in the order of their keys, as every failure does it: no deadlock.
        let sql = "
            WITH failed (key) AS (
                VALUES (sha256(convert_to($1 || ' ' || $2, 'UTF8'))), (sha256(convert_to($1, 'UTF8')))
            ), swept AS (
                DELETE FROM signin_failures
                WHERE key IN (
                    SELECT key FROM signin_failures
                    WHERE failed_at < CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - interval '1 day'
                      AND key NOT IN (SELECT key FROM failed)
                    LIMIT 10
                    FOR UPDATE SKIP LOCKED
                )
            )
            INSERT INTO signin_failures AS known (key, failures, failed_at)
            SELECT key, 1, CURRENT_TIMESTAMP AT TIME ZONE 'UTC' FROM failed ORDER BY key
            ON CONFLICT (key) DO UPDATE
            SET failed_at = excluded.failed_at,
                failures = CASE
                    WHEN known.failed_at > excluded.failed_at - interval '1 day' THEN known.failures + 1
                    ELSE 1
                END";
        self.query(sql, &[(&email.as_str(), Type::TEXT), (&client.0, Type::TEXT)]).await.map(drop)
    }

    /// Forgets the failures of an address from this client and from anywhere.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn forget_signin_failures(&self, email: &Email, client: &ClientAddress) -> Result<(), Error> {
        let sql = "
            DELETE FROM signin_failures
            WHERE key IN (sha256(convert_to($1 || ' ' || $2, 'UTF8')), sha256(convert_to($1, 'UTF8')))";
        self.query(sql, &[(&email.as_str(), Type::TEXT), (&client.0, Type::TEXT)]).await.map(drop)
    }
}
