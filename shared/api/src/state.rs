use auth::{Caller, PublicKeys, Signer, Verifier};
use db::Database;
use domain::{SessionId, TaskId, UserId};

use crate::{
    Error, Problem, Request,
    config::{database, signer, verifier},
    setting::{
        CA_FILE, DATABASE_CA_FILE, DATABASE_URL, JWT_AUDIENCE, JWT_ISSUER, JWT_PUBLIC_KEYS, JWT_SIGNING_KEY, Setting,
        TASK_LIMIT, TOKEN_LIFETIME_SECONDS,
    },
    settings::Settings,
};

/// What a function keeps between requests.
pub trait State: Send + Sync + Sized + 'static {
    /// The settings it reads when it starts. A function is given these and no others.
    const SETTINGS: &'static [Setting];

    fn new(settings: &Settings) -> impl Future<Output = Result<Self, Error>> + Send;

    /// Loads the settings, and starts with them.
    fn start() -> impl Future<Output = Result<Self, Error>> + Send {
        async { Self::new(&Settings::load(Self::SETTINGS).await?).await }
    }
}

/// For routes without a token.
pub struct Public {
    pub db: Database,
}

impl State for Public {
    const SETTINGS: &'static [Setting] = &[DATABASE_URL, DATABASE_CA_FILE, CA_FILE];

    async fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { db: database(settings).await? })
    }
}

/// For the routes that issue tokens: the only state with the private key.
pub struct TokenIssuer {
    pub db: Database,
    pub signer: Signer,
}

impl State for TokenIssuer {
    const SETTINGS: &'static [Setting] =
        &[DATABASE_URL, DATABASE_CA_FILE, CA_FILE, JWT_SIGNING_KEY, JWT_ISSUER, JWT_AUDIENCE, TOKEN_LIFETIME_SECONDS];

    async fn new(settings: &Settings) -> Result<Self, Error> {
        let signer = signer(settings)?;
        Ok(Self { db: database(settings).await?, signer })
    }
}

/// [`Authenticated::task_limit`] without a setting.
const DEFAULT_TASK_LIMIT: u32 = 10_000;

/// For routes that require a token.
pub struct Authenticated {
    pub db: Database,
    /// How many tasks an account may have.
    pub task_limit: u32,
    verifier: Verifier,
}

impl State for Authenticated {
    const SETTINGS: &'static [Setting] = &[
        DATABASE_URL,
        DATABASE_CA_FILE,
        CA_FILE,
        JWT_PUBLIC_KEYS,
        JWT_ISSUER,
        JWT_AUDIENCE,
        TOKEN_LIFETIME_SECONDS,
        TASK_LIMIT,
    ];

    async fn new(settings: &Settings) -> Result<Self, Error> {
        let verifier = verifier(settings)?;
        let task_limit = settings.parse(TASK_LIMIT)?.unwrap_or(DEFAULT_TASK_LIMIT);
        Ok(Self { db: database(settings).await?, task_limit, verifier })
    }
}

impl Authenticated {
    /// The caller, on a path that names a user: the first three checks of the contract, in its order. Whether the token's
    /// session still holds is decided by the statement that serves the request.
    ///
    /// # Errors
    /// 401 without a valid token, 400 when the path's id is neither a UUID nor `me`, 403 when it is another user's.
    pub fn caller(&self, request: &Request) -> Result<Caller, Problem> {
        let caller = self.verify(request)?;
        check_user(&caller, path_user(&caller, request)?)?;
        Ok(caller)
    }

    /// As [`Authenticated::caller`], on a path that names a task as well.
    ///
    /// # Errors
    /// As [`Authenticated::caller`]. A task id that is no UUID comes before another user's id.
    pub fn caller_and_task(&self, request: &Request) -> Result<(Caller, TaskId), Problem> {
        let caller = self.verify(request)?;
        let user = path_user(&caller, request)?;
        let task = request.path_id("task_id", TaskId::parse)?;
        check_user(&caller, user)?;
        Ok((caller, task))
    }

    /// As [`Authenticated::caller`], on a path that may name a session as well: `current` is the token's.
    ///
    /// # Errors
    /// As [`Authenticated::caller`]. 403 for `current` when the token has no session.
    pub fn caller_and_session(&self, request: &Request) -> Result<(Caller, Option<SessionId>), Problem> {
        let caller = self.verify(request)?;
        let user = path_user(&caller, request)?;
        let session = request.optional_path_id("session_id", |text| match text {
            "current" => Some(caller.session()),
            _ => SessionId::parse(text).map(Some),
        })?;
        check_user(&caller, user)?;
        match session {
            None => Ok((caller, None)),
            Some(session) => Ok((caller, Some(session.ok_or(Problem::NoSuchSession)?))),
        }
    }

    fn verify(&self, request: &Request) -> Result<Caller, Problem> {
        let token = request.bearer_token().ok_or(Problem::TokenMissing)?;
        let caller = self.verifier.verify(token).map_err(|_| Problem::TokenInvalid)?;
        request.record_user(caller.user());
        Ok(caller)
    }
}

/// The user in the path: `me` is the caller.
fn path_user(caller: &Caller, request: &Request) -> Result<UserId, Problem> {
    request.path_id("user_id", |text| if text == "me" { Some(caller.user()) } else { UserId::parse(text) })
}

fn check_user(caller: &Caller, user: UserId) -> Result<(), Problem> {
    if caller.user() == user { Ok(()) } else { Err(Problem::NotTheCaller) }
}

/// For the route that publishes the public keys.
pub struct Keys {
    pub public: PublicKeys,
}

impl State for Keys {
    const SETTINGS: &'static [Setting] = &[JWT_PUBLIC_KEYS];

    async fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { public: settings.parse_secret(JWT_PUBLIC_KEYS)? })
    }
}

/// For routes that serve files.
pub struct Static;

impl State for Static {
    const SETTINGS: &'static [Setting] = &[];

    async fn new(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }
}
