//! The statements that come before and after a password is verified: the account, and how often it has been tried in
//! vain.
//!
//! Failures are counted twice, under the hash of the address: together with the client's network address, and
//! alone. From the 10th of the one or the 100th of the other on, nobody signs in for a while: 1 s, doubled with
//! every further failure up to 15 minutes. A day without a failure clears the count, as a success does. All of it
//! is the same for an address without an account.
//!
//! Each count also holds the hash of the address alone, so that all of an address's can be found: they go when its
//! account goes, and an account starts with none. What is a day old is swept by whoever tries to sign in, signs up or
//! gives the current password, whomever it belongs to. Nothing runs by itself here: until somebody does one of these, it
//! stays in the table, and counts for nothing.
//!
//! Once an address has a failure, an attempt counts as one more *before* its password is verified, in the statement
//! that looks the account up: attempts that run side by side cannot slip past the limit together. Of an address
//! without a failure nothing is written until there is one, so the ordinary sign-in is one round trip.
//!
//! The same counts hold for the current password that is asked for before an account changes: whoever has got hold of a
//! token shall not guess the password with it.
//!
//! These are the only statements that do more when they are repeated: a failure counted twice errs on the safe side.

use std::time::Duration;

use domain::{Caller, Email, PasswordHash, TokenVersion, UserId};
use tokio_postgres::{Row, types::Type};

use crate::{Database, Error, connection::Params};

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
    /// The account, if there is one.
    pub account: Option<Account>,
    /// How long nobody signs in to the address from here, if so.
    pub blocked_for: Option<Duration>,
    /// What is tried, and from where.
    email: String,
    client: ClientAddress,
    /// Whether the attempt has been counted as a failure: to be forgotten, should it succeed.
    counted: bool,
}

/// The two counts an attempt belongs to, by the e-mail address and the client's, and the failures each allows.
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

/// Counts a failure: the head and the tail of an insert. Rows are locked in the order of their keys, as everywhere
/// here, so that attempts side by side do not lock each other out.
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

/// Forgets all failures of the addresses that a query finds.
macro_rules! forget_addresses {
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
pub(crate) use forget_addresses;

/// Sweeps away counts that are a day old, the oldest first, but for those that the statement itself has changed: at
/// most 1,000, which take some milliseconds, and more than any statement adds. Locks are taken after all others of the
/// statement, and none is waited for, so that two that sweep do not lock each other out.
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

/// Finds the account, counts the attempt at it if there were failures before, and sweeps. Counts of another day are
/// locked, too: the statement may be about to count in them.
macro_rules! state {
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
    /// The account of an address, and whether it may be tried now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn signin_state(&self, email: &Email, client: &ClientAddress) -> Result<SigninState, Error> {
        let sql = state!("email = $2", "$2", "$3");
        let (row, _) = self.write(sql, &[(&email.as_str(), Type::TEXT), (&client.0, Type::TEXT)]).await?;
        state(&row, email.as_str(), client)
    }

    /// The caller's account, and whether its password may be tried now.
    ///
    /// # Errors
    /// [`Error::TokenDead`].
    pub async fn reauthentication_state(&self, caller: Caller, client: &ClientAddress) -> Result<SigninState, Error> {
        let sql = state!("id = $2 AND token_version = $3", "(SELECT email FROM account)", "$4");
        let params: Params<'_> =
            &[(caller.user.as_uuid(), Type::UUID), (&caller.token_version.0, Type::INT4), (&client.0, Type::TEXT)];
        let (row, _) = self.write(sql, params).await?;
        let email = row.try_get::<_, Option<String>>("email")?.ok_or(Error::TokenDead)?;
        state(&row, &email, client)
    }

    /// Counts the failure, unless it has been counted before.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_signin_failure(&self, state: &SigninState) -> Result<(), Error> {
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
        self.write(sql, &[(&state.email, Type::TEXT), (&state.client.0, Type::TEXT)]).await.map(drop)
    }

    /// Forgets the failures of the address from this client and from anywhere, if there were any.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn forget_signin_failures(&self, state: &SigninState) -> Result<(), Error> {
        if !state.counted {
            return Ok(());
        }
        let sql = concat!(
            "WITH ",
            counts!("$2", "$3"),
            ", forgotten AS (
                DELETE FROM signin_failures
                WHERE key IN (
                    SELECT key FROM signin_failures JOIN counts USING (key)
                    WHERE statement_timestamp() < $1
                    ORDER BY key
                    FOR UPDATE OF signin_failures
                )
            ) SELECT statement_timestamp() AS clock"
        );
        self.write(sql, &[(&state.email, Type::TEXT), (&state.client.0, Type::TEXT)]).await.map(drop)
    }
}

fn state(row: &Row, email: &str, client: &ClientAddress) -> Result<SigninState, Error> {
    let account = match row.try_get::<_, Option<uuid::Uuid>>("id")? {
        Some(id) => Some(Account {
            id: id.into(),
            password_hash: PasswordHash::new(row.try_get("password_hash")?),
            token_version: TokenVersion(row.try_get("token_version")?),
        }),
        None => None,
    };
    let wait: Option<f64> = row.try_get("wait")?;
    let blocked_for = wait.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
    let counted = row.try_get("has_failures")? && blocked_for.is_none();
    Ok(SigninState { account, blocked_for, email: email.to_owned(), client: client.clone(), counted })
}
