//! The only way to check a password: with throttling, and in the same time whether or not there is an account.

use auth::Caller;
use domain::{Email, PasswordAttempt, PasswordHash, UserAgent};

use crate::{
    ClientAddress, Database, Error,
    open_session::OpenSession,
    signin_failures::{Account, AttemptState},
};

/// A caller who has just given the current password: the proof that [`Database::update_user`] requires.
#[derive(Debug)]
pub struct Reauthenticated {
    caller: Caller,
    email: Email,
    password_hash: PasswordHash,
}

impl Reauthenticated {
    /// The account's address.
    pub fn email(&self) -> &Email {
        &self.email
    }

    pub(crate) fn caller(&self) -> Caller {
        self.caller
    }

    /// The hash of the password that was given.
    pub(crate) fn password_hash(&self) -> &PasswordHash {
        &self.password_hash
    }
}

impl Database {
    /// Checks an address and a password, and begins a session.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::WrongCredentials`].
    pub async fn sign_in(
        &self,
        email: &Email,
        password: PasswordAttempt,
        client: &ClientAddress,
        user_agent: Option<&UserAgent>,
    ) -> Result<OpenSession, Error> {
        let attempt = self.signin_state(email, client).await?;
        let user = attempt.account.as_ref().map(|account| account.id);
        let account = self.check_password(&attempt, password).await?.ok_or(Error::WrongCredentials(user))?;
        self.begin_session(account, &attempt, client, user_agent).await
    }

    /// Checks the caller's current password.
    ///
    /// # Errors
    /// [`Error::SessionEnded`], [`Error::Throttled`], [`Error::WrongCurrentPassword`].
    pub async fn reauthenticate(&self, caller: Caller, password: PasswordAttempt) -> Result<Reauthenticated, Error> {
        let attempt = self.reauthentication_state(caller).await?;
        let account = self.check_password(&attempt, password).await?.ok_or(Error::WrongCurrentPassword)?;
        self.delete_signin_failures(&attempt).await?;
        Ok(Reauthenticated { caller, email: attempt.email.clone(), password_hash: account.password_hash.clone() })
    }

    /// The account, if the password is its own. An attempt that is not throttled takes exactly one bcrypt verification; a
    /// failure is counted.
    async fn check_password<'a>(
        &self,
        attempt: &'a AttemptState,
        password: PasswordAttempt,
    ) -> Result<Option<&'a Account>, Error> {
        if let Some(wait) = attempt.throttled_for {
            return Err(Error::Throttled(wait));
        }
        let hash = attempt.account.as_ref().map(|account| account.password_hash.clone());
        let matches = auth::verify_password(password, hash).await;
        let account = attempt.account.as_ref().filter(|_| matches);
        if account.is_none() {
            self.count_signin_failure(attempt).await?;
        }
        Ok(account)
    }
}
