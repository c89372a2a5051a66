use auth::{Signer, Verifier};
use db::Database;
use domain::{Caller, TaskId, UserId};

use crate::{Error, Problem, Request, config};

/// What a function holds from its start on. Each kind reads the settings it needs, and no others.
pub trait State: Send + Sync + Sized + 'static {
    /// Reads the settings and opens the connection.
    fn start() -> impl Future<Output = Result<Self, Error>> + Send;
}

/// For a route without a token.
pub struct Open {
    /// The database.
    pub db: Database,
}

impl State for Open {
    async fn start() -> Result<Self, Error> {
        Ok(Self { db: Database::open(config::database()?).await })
    }
}

/// For the one route that mints tokens.
pub struct Issuer {
    /// The database.
    pub db: Database,
    /// Mints tokens with the private key.
    pub signer: Signer,
}

impl State for Issuer {
    async fn start() -> Result<Self, Error> {
        let key = config::required("JWT_SIGNING_KEY")?;
        let signer = Signer::new(&key, config::token_policy()?)
            .map_err(|reason| Error::Invalid("JWT_SIGNING_KEY", format!("cannot be used: {reason}")))?;
        Ok(Self { db: Database::open(config::database()?).await, signer })
    }
}

/// For a route that asks for a token.
pub struct App {
    /// The database.
    pub db: Database,
    verifier: Verifier,
}

impl State for App {
    async fn start() -> Result<Self, Error> {
        let keys = config::required("JWT_PUBLIC_KEYS")?;
        let verifier = Verifier::new(&keys, &config::token_policy()?)
            .map_err(|reason| Error::Invalid("JWT_PUBLIC_KEYS", format!("cannot be used: {reason}")))?;
        Ok(Self { db: Database::open(config::database()?).await, verifier })
    }
}

impl App {
    /// Who is calling, on a path that names a user: the first three checks of the contract, in its order. Whether
    /// the token still holds is left to the statement that serves the request.
    ///
    /// # Errors
    /// 401 without a good token, 400 when the path holds no id, 403 when it holds another user's.
    pub fn caller(&self, request: &Request) -> Result<Caller, Problem> {
        let caller = self.verified(request)?;
        Self::in_own_place(caller, request.path_id("user_id", UserId::parse)?)
    }

    /// As [`App::caller`], on a path that names a task as well.
    ///
    /// # Errors
    /// As [`App::caller`]: a path id that is no UUID comes before another user's id.
    pub fn caller_of_task(&self, request: &Request) -> Result<(Caller, TaskId), Problem> {
        let caller = self.verified(request)?;
        let user = request.path_id("user_id", UserId::parse)?;
        let task = request.path_id("task_id", TaskId::parse)?;
        Ok((Self::in_own_place(caller, user)?, task))
    }

    fn verified(&self, request: &Request) -> Result<Caller, Problem> {
        let token = request.bearer_token().ok_or(Problem::TokenMissing)?;
        let caller = self.verifier.verify(token).map_err(|_| Problem::TokenInvalid)?;
        request.note_user(caller.user);
        Ok(caller)
    }

    fn in_own_place(caller: Caller, user: UserId) -> Result<Caller, Problem> {
        if caller.user == user { Ok(caller) } else { Err(Problem::NotTheCaller) }
    }
}
