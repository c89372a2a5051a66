//! The statements around the verification of a password: they find the account, and count failed attempts.
//!
//! A failed sign-in is counted twice: for the address together with the client's network, and for the address alone. From
//! the 10th failure of the one or the 100th of the other on, attempts are throttled: for 1 s, doubled with every further
//! failure up to 15 minutes. A network that the account has been used from within 30 days is counted by the first alone, so
//! that strangers cannot lock the owner out. A success clears what its failures were counted by, and so does a day without a
//! failure. An address without an account is treated the same.
//!
//! A current password, which is required before an account changes, is counted by session and by nothing else: a stolen
//! token must not help to guess the password, and whoever fails to sign in must not keep the owner from changing it.
//!
//! All rows hold the hash of the address, so that an account's rows are found when it is created or deleted: it starts with
//! no failures, and leaves none. Rows that are a day old are ignored, and swept by any sign-in, sign-up or check of a
//! current password; no background job does it.
//!
//! Once there is a failure, an attempt is counted *before* its password is verified, by the statement that finds the
//! account, so that concurrent attempts cannot exceed the limit together. Without failures nothing is written.
//!
//! These statements are the only ones that are not idempotent: a failure counted twice errs on the safe side.

use std::time::Duration;

use auth::Caller;
use domain::{Email, PasswordHash, UserId};
use tokio_postgres::{Row, types::Type};

use crate::{
    ClientAddress, Database, Error,
    identity::Identity,
    open_session::{network_hash, utc_now},
};

/// An account whose password is to be verified.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: UserId,
    pub(crate) password_hash: PasswordHash,
}

/// The state of an attempt before its password is verified.
pub(crate) struct AttemptState {
    pub(crate) account: Option<Account>,
    /// The time to wait before the next attempt.
    pub(crate) throttled_for: Option<Duration>,
    pub(crate) email: Email,
    /// What its failure is counted by.
    keys: Vec<Vec<u8>>,
    /// Whether the attempt has been counted as a failure already.
    counted: bool,
}

impl AttemptState {
    /// The counts that a success clears.
    pub(crate) fn counted_keys(&self) -> &[Vec<u8>] {
        if self.counted { &self.keys } else { &[] }
    }
}

macro_rules! sha256 {
    ($text:expr) => {
        concat!("sha256(convert_to(", $text, ", 'UTF8'))")
    };
}
pub(crate) use sha256;

/// Counts a failure. Rows are locked in the order of their keys, here and below, so that concurrent attempts do not
/// deadlock.
macro_rules! count_failure {
    ($email:literal, $from:literal) => {
        concat!(
            "INSERT INTO signin_failures AS known (key, email_hash, failures, failed_at)
            SELECT key, ",
            sha256!($email),
            ", 1, ",
            utc_now!(),
            " FROM ",
            $from,
            " ORDER BY key
            ON CONFLICT (key) DO UPDATE
            SET email_hash = excluded.email_hash,
                failed_at = excluded.failed_at,
                failures = CASE
                    WHEN known.failed_at > excluded.failed_at - interval '1 day' THEN known.failures + 1
                    ELSE 1
                END"
        )
    };
}

/// Deletes all failures of the addresses that a query finds.
macro_rules! delete_failures_of {
    ($emails:literal) => {
        concat!(
            "DELETE FROM signin_failures
            WHERE key IN (
                SELECT key FROM signin_failures
                WHERE email_hash IN (SELECT sha256(convert_to(email, 'UTF8')) FROM ",
            $emails,
            ")
                ORDER BY key
                FOR UPDATE
            )"
        )
    };
}
pub(crate) use delete_failures_of;

/// Deletes the failures under the keys of a parameter.
macro_rules! delete_failures {
    ($keys:literal, $condition:literal) => {
        concat!(
            "DELETE FROM signin_failures
            WHERE key IN (
                SELECT key FROM signin_failures
                WHERE key = ANY (",
            $keys,
            ") AND ",
            $condition,
            "
                ORDER BY key
                FOR UPDATE
            )"
        )
    };
}
pub(crate) use delete_failures;

/// Deletes failures that are a day old, the oldest first, except those that the statement itself has changed. At most
/// 1,000: some milliseconds of work, and more than a statement adds. The locks are taken after all others of the
/// statement and never waited for, so that concurrent sweeps do not deadlock.
macro_rules! sweep_failures {
    ($changed:literal) => {
        concat!(
            "DELETE FROM signin_failures
            WHERE key IN (
                SELECT key FROM signin_failures
                WHERE failed_at <= CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - interval '1 day'
                  AND statement_timestamp() < $1
                  AND key NOT IN (SELECT key FROM ",
            $changed,
            ")
                ORDER BY failed_at
                LIMIT 1000
                FOR UPDATE SKIP LOCKED
            )"
        )
    };
}
pub(crate) use sweep_failures;

/// Finds the account, counts the attempt if there were failures before, and sweeps. `counts` are the keys of its counts, and
/// the failures that each allows. Counts that are a day old are locked, too, because the statement may update them.
macro_rules! attempt {
    ($account:expr, $email:literal, $counts:expr) => {
        format!(
            "WITH account AS (
                {account}
            ), counts (key, allowed) AS (
                {counts}
            ), failed AS (
                SELECT failed_at, failures - allowed AS excess
                FROM signin_failures
                JOIN counts USING (key)
                ORDER BY key
                FOR UPDATE OF signin_failures
            ), state AS (
                SELECT count(*) > 0 AS has_failures,
                       max(extract(epoch FROM failed_at - {now}) + least(900, power(2, least(excess, 10))))
                           FILTER (WHERE excess >= 0) AS wait
                FROM failed
                WHERE failed_at > {now} - interval '1 day'
            ), counted AS (
                {counted}
                RETURNING key
            ), swept AS (
                {swept}
            )
            SELECT statement_timestamp() AS clock, account.*, has_failures, wait::float8 AS wait,
                   ARRAY(SELECT key FROM counts) AS keys
            FROM state
            LEFT JOIN account ON true",
            account = $account,
            counts = $counts,
            now = utc_now!(),
            counted = count_failure!(
                $email,
                "counts, state WHERE has_failures AND coalesce(wait, 0) <= 0 AND statement_timestamp() < $1"
            ),
            swept = sweep_failures!("counted")
        )
    };
}

impl Database {
    /// Finds the account of an address. Counts the attempt unless it is the first.
    pub(crate) async fn signin_state(&self, email: &Email, client: &ClientAddress) -> Result<AttemptState, Error> {
        let sql = attempt!(
            "SELECT id, password_hash FROM users WHERE email = $2",
            "$2",
            concat!(
                "SELECT ",
                sha256!("$2 || ' ' || $3"),
                ", 10
                UNION ALL
                SELECT ",
                sha256!("$2"),
                ", 100
                WHERE NOT EXISTS (
                    SELECT FROM session_networks JOIN account ON user_id = account.id
                    WHERE network_hash = ",
                network_hash!("account.id", "$3"),
                " AND used_at > ",
                utc_now!(),
                " - interval '30 days'
                )"
            )
        );
        let (row, _) = self.write(&sql, &[(&email.as_str(), Type::TEXT), (&client.as_str(), Type::TEXT)]).await?;
        attempt_state(&row, email.clone())
    }

    /// Finds the caller's account. Counts the attempt unless it is the first.
    ///
    /// # Errors
    /// [`Error::SessionEnded`].
    pub(crate) async fn reauthentication_state(&self, caller: Caller) -> Result<AttemptState, Error> {
        let identity = Identity::from(caller);
        let account = format!(
            "SELECT users.id, email, password_hash FROM users JOIN ({}) AS caller USING (id)",
            identity.in_write()
        );
        let sql = attempt!(account, "(SELECT email FROM account)", concat!("SELECT ", sha256!("$4"), ", 10"));
        // Without a session, for the account: such a token ends within the hour.
        let key = caller.session().map_or_else(|| format!("user {}", caller.user()), |id| format!("session {id}"));
        let (row, _) = self.write(&sql, &identity.params(&[(&key, Type::TEXT)])).await?;
        let email = row.try_get::<_, Option<String>>("email")?.ok_or(Error::SessionEnded)?;
        attempt_state(&row, Email::parse(&email).map_err(|_| Error::unexpected("address"))?)
    }

    /// Counts the failure, unless it was counted before.
    pub(crate) async fn count_signin_failure(&self, state: &AttemptState) -> Result<(), Error> {
        if state.counted {
            return Ok(());
        }
        let sql = concat!(
            "WITH counted AS (",
            count_failure!("$2", "unnest($3) AS key WHERE statement_timestamp() < $1"),
            ") SELECT statement_timestamp() AS clock"
        );
        self.write(sql, &[(&state.email.as_str(), Type::TEXT), (&state.keys, Type::BYTEA_ARRAY)]).await.map(drop)
    }

    /// Deletes what the attempt was counted by, if there were failures.
    pub(crate) async fn delete_signin_failures(&self, state: &AttemptState) -> Result<(), Error> {
        if !state.counted {
            return Ok(());
        }
        let sql = concat!(
            "WITH deleted AS (",
            delete_failures!("$2", "statement_timestamp() < $1"),
            ") SELECT statement_timestamp() AS clock"
        );
        self.write(sql, &[(&state.keys, Type::BYTEA_ARRAY)]).await.map(drop)
    }
}

fn attempt_state(row: &Row, email: Email) -> Result<AttemptState, Error> {
    let account = match row.try_get::<_, Option<uuid::Uuid>>("id")? {
        Some(id) => Some(Account { id: id.into(), password_hash: PasswordHash::new(row.try_get("password_hash")?) }),
        None => None,
    };
    let wait: Option<f64> = row.try_get("wait")?;
    let throttled_for = wait.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
    let counted = row.try_get("has_failures")? && throttled_for.is_none();
    Ok(AttemptState { account, throttled_for, email, keys: row.try_get("keys")?, counted })
}
