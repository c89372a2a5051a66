//! The statements on the tokens of mails that lead to a new password, and on the counts that limit mails.
//!
//! A token is stored as a hash until it is used, is void or has expired. It is void, and deleted by a trigger, as soon as
//! the account's address or password changes; the use of another token is such a change.
//!
//! Mails are counted under hashes, within the last hour: those to choose a new password for the account, for its address
//! (so that nobody gets around the limit by deleting an account and signing up anew) and for the network that asks;
//! notices to an old address for that address alone. The counts are strict, also for concurrent requests. Expired tokens
//! and counts are swept by the requests for new ones.

use domain::{Email, PasswordHash, ResetToken, UserId};
use tokio_postgres::types::Type;

use crate::{ClientAddress, Database, Error, database::Params, signin_failures::delete_failures_of};

/// What became of a request for a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetRequest {
    /// The token is stored, for this account.
    Granted(UserId),
    /// There were too many mails, for this account or from this network.
    Throttled(UserId),
    UnknownAddress,
}

impl ResetRequest {
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::Granted(user) | Self::Throttled(user) => Some(user),
            Self::UnknownAddress => None,
        }
    }
}

/// A token that was valid a moment ago, and its account.
#[derive(Debug)]
pub struct PasswordReset {
    user: UserId,
    email: Email,
    token_hash: [u8; 32],
}

impl PasswordReset {
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The account's address.
    pub fn email(&self) -> &Email {
        &self.email
    }
}

/// [`ResetToken::LIFETIME`] in seconds, for `… * interval '1 second'`.
const LIFETIME_SECONDS: f64 = ResetToken::LIFETIME.as_secs() as f64;

impl Database {
    /// Stores a token for the account of an address, unless there were too many mails: 3 an hour for the account, 3 for the
    /// address, 10 for the network. Sweeps.
    pub async fn create_password_reset(
        &self,
        email: &Email,
        token: &ResetToken,
        client: &ClientAddress,
    ) -> Result<ResetRequest, Error> {
        // The account is locked, so that its address cannot change before the token is stored: then the trigger would not
        // find it. A repeat finds the token, and does not count it again.
        let sql = "
            WITH account AS (
                SELECT id FROM users WHERE email = $2 AND statement_timestamp() < $1 FOR NO KEY UPDATE
            ), reset AS (
                SELECT id, create_password_reset(
                    $3, id,
                    ARRAY[
                        sha256(convert_to('password reset of account ' || id, 'UTF8')),
                        sha256(convert_to('password reset of address ' || $2, 'UTF8')),
                        sha256(convert_to('password reset from network ' || $4, 'UTF8'))
                    ],
                    ARRAY[3, 3, 10]
                ) AS is_granted
                FROM account
            ), swept_tokens AS (
                DELETE FROM password_resets
                WHERE token_hash IN (
                    SELECT token_hash FROM password_resets
                    WHERE created_at <= CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - $5 * interval '1 second'
                      AND statement_timestamp() < $1
                    ORDER BY created_at
                    LIMIT 1000
                    FOR UPDATE SKIP LOCKED
                )
            ), swept_counts AS (
                DELETE FROM mail_counts
                WHERE key IN (
                    SELECT key FROM mail_counts
                    WHERE counted_at <= CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - interval '1 hour'
                      AND statement_timestamp() < $1
                    ORDER BY counted_at
                    LIMIT 1000
                    FOR UPDATE SKIP LOCKED
                )
            )
            SELECT statement_timestamp() AS clock, id, is_granted
            FROM (SELECT) AS attempt LEFT JOIN reset ON true";
        let params: Params<'_> = &[
            (&email.as_str(), Type::TEXT),
            (&&token.hash()[..], Type::BYTEA),
            (&client.as_str(), Type::TEXT),
            (&LIFETIME_SECONDS, Type::FLOAT8),
        ];
        let (row, _) = self.write(sql, params).await?;
        let Some(user) = row.try_get::<_, Option<uuid::Uuid>>("id")? else { return Ok(ResetRequest::UnknownAddress) };
        Ok(match row.try_get("is_granted")? {
            true => ResetRequest::Granted(user.into()),
            false => ResetRequest::Throttled(user.into()),
        })
    }

    /// Finds the account of a token.
    ///
    /// # Errors
    /// [`Error::ResetTokenInvalid`].
    pub async fn find_password_reset(&self, token: &ResetToken) -> Result<PasswordReset, Error> {
        let sql = "
            SELECT users.id, email
            FROM password_resets JOIN users ON users.id = user_id
            WHERE token_hash = $1
              AND password_resets.created_at > CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - $2 * interval '1 second'";
        let token_hash = token.hash();
        let rows = self.read(sql, &[(&&token_hash[..], Type::BYTEA), (&LIFETIME_SECONDS, Type::FLOAT8)]).await?;
        let row = rows.first().ok_or(Error::ResetTokenInvalid)?;
        let email = Email::parse(row.try_get("email")?).map_err(|_| Error::unexpected("address"))?;
        Ok(PasswordReset { user: row.try_get::<_, uuid::Uuid>("id")?.into(), email, token_hash })
    }

    /// Sets the password of the token's account, and clears its failed sign-ins. Of concurrent uses one succeeds.
    ///
    /// # Errors
    /// [`Error::ResetTokenInvalid`].
    pub async fn reset_password(&self, reset: PasswordReset, hash: &PasswordHash) -> Result<(), Error> {
        // The account is locked before its tokens, as by the trigger. A repeat finds no token, but the hash of this very
        // request.
        let sql = concat!(
            "WITH account AS (
                SELECT id, password_hash FROM users WHERE id = $2 AND statement_timestamp() < $1 FOR NO KEY UPDATE
            ), used AS (
                DELETE FROM password_resets USING account
                WHERE token_hash = $3 AND user_id = account.id
                  AND created_at > CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - $5 * interval '1 second'
                RETURNING user_id
            ), changed AS (
                UPDATE users SET password_hash = $4 FROM used WHERE users.id = user_id RETURNING email
            ), cleared AS (",
            delete_failures_of!("changed"),
            ")
            SELECT statement_timestamp() AS clock,
                   EXISTS (SELECT FROM changed) OR EXISTS (SELECT FROM account WHERE password_hash = $4) AS is_changed"
        );
        let params: Params<'_> = &[
            (reset.user.as_uuid(), Type::UUID),
            (&&reset.token_hash[..], Type::BYTEA),
            (&hash.as_str(), Type::TEXT),
            (&LIFETIME_SECONDS, Type::FLOAT8),
        ];
        let (row, _) = self.write(sql, params).await?;
        if row.try_get("is_changed")? { Ok(()) } else { Err(Error::ResetTokenInvalid) }
    }

    /// Counts a notice to an old address; false if there were 3 within an hour.
    pub async fn count_notice(&self, email: &Email) -> Result<bool, Error> {
        // A repeat may count it twice, which errs on the side of fewer mails.
        let sql = "
            SELECT statement_timestamp() AS clock,
                   CASE WHEN statement_timestamp() < $1
                       THEN count_mail(ARRAY[sha256(convert_to('notice to address ' || $2, 'UTF8'))], ARRAY[3])
                   END AS is_counted";
        let (row, _) = self.write(sql, &[(&email.as_str(), Type::TEXT)]).await?;
        Ok(row.try_get("is_counted")?)
    }
}
