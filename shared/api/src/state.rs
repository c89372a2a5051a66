use auth::{PublicKeys, Signer, Verifier};
use db::Database;
use domain::{Caller, TaskId, UserId};

use crate::{
    Error, Problem, Request,
    config::{database, parse, token_policy, unusable},
    secrets,
};

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
        let [url] = secrets::read(["DATABASE_URL"]).await?;
        Ok(Self { db: database(&url).await? })
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
        let [url, key] = secrets::read(["DATABASE_URL", "JWT_SIGNING_KEY"]).await?;
        let signer = Signer::new(&parse("JWT_SIGNING_KEY", &key)?, token_policy()?)
            .map_err(|reason| unusable("JWT_SIGNING_KEY", reason))?;
        Ok(Self { db: database(&url).await?, signer })
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
        let [url, keys] = secrets::read(["DATABASE_URL", "JWT_PUBLIC_KEYS"]).await?;
        let verifier = Verifier::new(&parse("JWT_PUBLIC_KEYS", &keys)?, &token_policy()?)
            .map_err(|reason| unusable("JWT_PUBLIC_KEYS", reason))?;
        Ok(Self { db: database(&url).await?, verifier })
    }
}

/// For the route that publishes the public keys. It has no database.
pub struct Keys {
    /// The keys whose tokens are accepted.
    pub public: PublicKeys,
}

impl State for Keys {
    async fn start() -> Result<Self, Error> {
        let [keys] = secrets::read(["JWT_PUBLIC_KEYS"]).await?;
        Ok(Self { public: parse("JWT_PUBLIC_KEYS", &keys)? })
    }
}

/// For routes that serve files: there is nothing to read, and nothing to wait for.
pub struct Static;

impl State for Static {
    async fn start() -> Result<Self, Error> {
        Ok(Self)
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
