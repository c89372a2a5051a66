//! The only way to check a password: with throttling, and in the same time whether or not there is an account.

use auth::Caller;
use domain::{Email, PasswordAttempt, TokenVersion, UserId};

use crate::{ClientAddress, Database, Error, signin_failures::AttemptState};

/// An account whose password was just given.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn {
    user: UserId,
    token_version: TokenVersion,
}

impl SignedIn {
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The version to issue a token under.
    pub fn token_version(&self) -> TokenVersion {
        self.token_version
    }
}

/// A caller who has just given the current password: the proof that [`Database::update_user`] requires.
#[derive(Debug)]
pub struct Reauthenticated {
    caller: Caller,
    email: String,
}

impl Reauthenticated {
    pub(crate) fn caller(&self) -> Caller {
        self.caller
    }

    /// The account's address.
    pub fn email(&self) -> &str {
        &self.email
    }
}

impl Database {
    /// Checks an address and a password.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::WrongCredentials`].
    pub async fn sign_in(
        &self,
        email: &Email,
        password: PasswordAttempt,
        client: &ClientAddress,
    ) -> Result<SignedIn, Error> {
        let state = self.signin_state(email, client).await?;
        let user = state.account.as_ref().map(|account| account.id);
        self.check_password(state, password).await?.ok_or(Error::WrongCredentials(user))
    }

    /// Checks the caller's current password.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`], [`Error::Throttled`], [`Error::WrongCurrentPassword`].
    pub async fn reauthenticate(
        &self,
        caller: Caller,
        password: PasswordAttempt,
        client: &ClientAddress,
    ) -> Result<Reauthenticated, Error> {
        let state = self.reauthentication_state(caller, client).await?;
        let email = state.email.clone();
        self.check_password(state, password).await?.ok_or(Error::WrongCurrentPassword)?;
        Ok(Reauthenticated { caller, email })
    }

    /// The account, if the password is its own. An attempt that is not throttled takes exactly one bcrypt verification; a
    /// failure is counted, a success clears the counts.
    async fn check_password(&self, state: AttemptState, password: PasswordAttempt) -> Result<Option<SignedIn>, Error> {
        if let Some(wait) = state.throttled_for {
            return Err(Error::Throttled(wait));
        }
        let hash = state.account.as_ref().map(|account| account.password_hash.clone());
        let matches = auth::verify_password(password, hash).await;
        let Some(account) = state.account.as_ref().filter(|_| matches) else {
            self.count_signin_failure(&state).await?;
            return Ok(None);
        };
        self.delete_signin_failures(&state).await?;
        Ok(Some(SignedIn { user: account.id, token_version: account.token_version }))
    }
}
