//! The statements around the verification of a password: they find the account, and count failed attempts.
//!
//! A failure is counted twice, under the hash of the e-mail address: once together with the client's network address, and
//! once alone. From the 10th failure of the one or the 100th of the other on, attempts are throttled: for 1 s, doubled
//! with every further failure up to 15 minutes. A success clears the counts, and so does a day without a failure. An
//! address without an account is treated the same.
//!
//! Both rows also hold the hash of the address alone, so that an account's rows are found when it is created or deleted:
//! it starts with no failures, and leaves none. Rows that are a day old are ignored, and swept by any sign-in, sign-up or
//! check of a current password; no background job does it.
//!
//! Once an address has a failure, an attempt is counted *before* its password is verified, by the statement that finds the
//! account, so that concurrent attempts cannot exceed the limit together. For an address without failures nothing is
//! written, so an ordinary sign-in is one round trip.
//!
//! The same counts apply to the current password that is required before an account changes: a stolen token must not help
//! to guess the password.
//!
//! These statements are the only ones that are not idempotent: a failure counted twice errs on the safe side.

use std::time::Duration;

use auth::Caller;
use domain::{Email, PasswordHash, TokenVersion, UserId};
use tokio_postgres::{Row, types::Type};

use crate::{ClientAddress, Database, Error, database::Params};

/// An account to be signed in to.
pub(crate) struct Account {
    pub(crate) id: UserId,
    pub(crate) password_hash: PasswordHash,
    pub(crate) token_version: TokenVersion,
}

/// The state of an attempt before its password is verified.
pub(crate) struct AttemptState {
    pub(crate) account: Option<Account>,
    /// The time to wait before the next attempt.
    pub(crate) throttled_for: Option<Duration>,
    pub(crate) email: String,
    client: ClientAddress,
    /// Whether the attempt has been counted as a failure already.
    counted: bool,
}

/// The keys of the two counts of an attempt, and the failures each allows.
macro_rules! counts {
    ($email:literal, $client:literal) => {
        concat!(
            "address (email_hash) AS (
                SELECT sha256(convert_to(",
            $email,
            ", 'UTF8'))
            ), counts (key, email_hash, allowed) AS (
                SELECT sha256(convert_to(",
            $email,
            " || ' ' || ",
            $client,
            ", 'UTF8')), email_hash, 10 FROM address
                UNION ALL
                SELECT email_hash, email_hash, 100 FROM address
            )"
        )
    };
}

/// Counts a failure. Rows are locked in the order of their keys, here and below, so that concurrent attempts do not
/// deadlock.
macro_rules! count_failure {
    ($from:literal) => {
        concat!(
            "INSERT INTO signin_failures AS known (key, email_hash, failures, failed_at)
            SELECT key, email_hash, 1, CURRENT_TIMESTAMP AT TIME ZONE 'UTC' FROM ",
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

/// Finds the account, counts the attempt if there were failures before, and sweeps. Counts that are a day old are locked,
/// too, because the statement may update them.
macro_rules! attempt_state {
    ($account:literal, $email:literal, $client:literal) => {
        concat!(
            "WITH account AS (
                SELECT id, email, password_hash, token_version FROM users WHERE ",
            $account,
            "), ",
            counts!($email, $client),
            ", failed AS (
                SELECT failed_at, failures - allowed AS excess
                FROM signin_failures
                JOIN counts USING (key)
                ORDER BY key
                FOR UPDATE OF signin_failures
            ), state AS (
                SELECT count(*) > 0 AS has_failures,
                       max(extract(epoch FROM failed_at - CURRENT_TIMESTAMP AT TIME ZONE 'UTC')
                           + least(900, power(2, least(excess, 10)))) FILTER (WHERE excess >= 0) AS wait
                FROM failed
                WHERE failed_at > CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - interval '1 day'
            ), counted AS (",
            count_failure!(
                "counts, state WHERE has_failures AND coalesce(wait, 0) <= 0 AND statement_timestamp() < $1"
            ),
            " RETURNING key
            ), swept AS (",
            sweep_failures!("counted"),
            ")
            SELECT statement_timestamp() AS clock, account.*, has_failures, wait::float8 AS wait
            FROM state
            LEFT JOIN account ON true"
        )
    };
}

impl Database {
    /// Finds the account of an address. Counts the attempt unless it is the first.
    pub(crate) async fn signin_state(&self, email: &Email, client: &ClientAddress) -> Result<AttemptState, Error> {
        let sql = attempt_state!("email = $2", "$2", "$3");
        let (row, _) = self.write(sql, &[(&email.as_str(), Type::TEXT), (&client.as_str(), Type::TEXT)]).await?;
        attempt_state(&row, email.as_str(), client)
    }

    /// Finds the caller's account. Counts the attempt unless it is the first.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`].
    pub(crate) async fn reauthentication_state(
        &self,
        caller: Caller,
        client: &ClientAddress,
    ) -> Result<AttemptState, Error> {
        let sql = attempt_state!("id = $2 AND token_version = $3", "(SELECT email FROM account)", "$4");
        let (user, TokenVersion(version)) = (caller.user(), caller.token_version());
        let params: Params<'_> =
            &[(user.as_uuid(), Type::UUID), (&version, Type::INT4), (&client.as_str(), Type::TEXT)];
        let (row, _) = self.write(sql, params).await?;
        let email = row.try_get::<_, Option<String>>("email")?.ok_or(Error::TokenRevoked)?;
        attempt_state(&row, &email, client)
    }

    /// Counts the failure, unless it was counted before.
    pub(crate) async fn count_signin_failure(&self, state: &AttemptState) -> Result<(), Error> {
        if state.counted {
            return Ok(());
        }
        let sql = concat!(
            "WITH ",
            counts!("$2", "$3"),
            ", counted AS (",
            count_failure!("counts WHERE statement_timestamp() < $1"),
            ") SELECT statement_timestamp() AS clock"
        );
        self.write(sql, &[(&state.email, Type::TEXT), (&state.client.as_str(), Type::TEXT)]).await.map(drop)
    }

    /// Deletes the address's failures from this client and from anywhere, if there were any.
    pub(crate) async fn delete_signin_failures(&self, state: &AttemptState) -> Result<(), Error> {
        if !state.counted {
            return Ok(());
        }
        let sql = concat!(
            "WITH ",
            counts!("$2", "$3"),
            ", deleted AS (
                DELETE FROM signin_failures
                WHERE key IN (
                    SELECT key FROM signin_failures JOIN counts USING (key)
                    WHERE statement_timestamp() < $1
                    ORDER BY key
                    FOR UPDATE OF signin_failures
                )
            ) SELECT statement_timestamp() AS clock"
        );
        self.write(sql, &[(&state.email, Type::TEXT), (&state.client.as_str(), Type::TEXT)]).await.map(drop)
    }
}

fn attempt_state(row: &Row, email: &str, client: &ClientAddress) -> Result<AttemptState, Error> {
    let account = match row.try_get::<_, Option<uuid::Uuid>>("id")? {
        Some(id) => Some(Account {
            id: id.into(),
            password_hash: PasswordHash::new(row.try_get("password_hash")?),
            token_version: TokenVersion(row.try_get("token_version")?),
        }),
        None => None,
    };
    let wait: Option<f64> = row.try_get("wait")?;
    let throttled_for = wait.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
    let counted = row.try_get("has_failures")? && throttled_for.is_none();
    Ok(AttemptState { account, throttled_for, email: email.to_owned(), client: client.clone(), counted })
}
