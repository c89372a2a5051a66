use tokio_postgres::error::SqlState;

/// Why a statement did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's account is gone, or its password has changed since the token was issued.
    #[error("the token no longer holds")]
    TokenDead,
    /// The caller has no such task; whether anyone else has is not said.
    #[error("the caller has no such task")]
    NoSuchTask,
    /// The caller's task is in another state than it has to be.
    #[error("the task is in another state")]
    Stale,
    /// The task that was made under the idempotency key is not the one that is asked for.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The values break a rule of the schema.
    #[error("constraint {0:?} is violated")]
    Violated(Constraint),
    /// The database could not be reached within the budget, or would not let us in.
    #[error("the database cannot be reached")]
    Unavailable,
    /// The database refused the statement, or answered what was not expected: a defect of ours.
    ///
    /// Holds the SQLSTATE alone, because a message may quote the values sent.
    #[error("statement failed with SQLSTATE {0}")]
    Defect(String),
}

/// The constraints and unique indexes whose violation is the client's doing, by their names in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// `users_email_key`, or its twin `idx_users_email`.
    EmailTaken,
    /// `email_format`.
    EmailFormat,
    /// `title_not_empty`.
    TitleNotEmpty,
    /// `title_length`.
    TitleLength,
    /// `description_length`.
    DescriptionLength,
    /// `fk_tasks_user_id`: the account was deleted while the statement ran.
    TaskOwner,
}

impl Constraint {
    fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "users_email_key" | "idx_users_email" => Self::EmailTaken,
            "email_format" => Self::EmailFormat,
            "title_not_empty" => Self::TitleNotEmpty,
            "title_length" => Self::TitleLength,
            "description_length" => Self::DescriptionLength,
            "fk_tasks_user_id" => Self::TaskOwner,
            _ => return None,
        })
    }
}

/// What a failed attempt calls for.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may have been carried out or not: drop the connection, wait a little, repeat it.
    Repeat,
    /// Nobody gets in like this, however often they try: the password, the role or the database is wrong.
    Refused,
    /// As [`Verdict::Repeat`], or as [`Verdict::Refused`]: it was not said which.
    PerhapsRefused,
    /// The statement itself is at fault; the connection is fine.
    Fail(Error),
}

/// Sorts a failure by its SQLSTATE class (PostgreSQL manual, appendix A).
///
/// Without one the failure is the connection's: it was refused, cut, or is gone. *Repeat*: 08 (connection), 40
/// (rolled back: deadlock, serialization), 53 (out of resources), 57 (shutdown, failover, cancelled), 58 (system)
/// and XX (Neon's proxy says so while it wakes a database), 25006, a primary that has become a replica, and 55P03, a
/// lock that was not to be had in time.
/// *Never*: 22 and 42 (the statement), 23 (a constraint), 28 and 3D (who we are, and where to). *Unclear*: 08P01, with
/// which PgBouncer says what it has to say itself, of a wrong password as of a server that is down.
pub(crate) fn judge(error: &tokio_postgres::Error) -> Verdict {
    let Some(refusal) = error.as_db_error() else { return Verdict::Repeat };
    let code = refusal.code().code();
    match &code[..2] {
        _ if *refusal.code() == SqlState::PROTOCOL_VIOLATION => Verdict::PerhapsRefused,
        "08" | "40" | "53" | "57" | "58" | "XX" => Verdict::Repeat,
        _ if [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::LOCK_NOT_AVAILABLE].contains(refusal.code()) => {
            Verdict::Repeat
        }
        "28" | "3D" => Verdict::Refused,
        "23" => Verdict::Fail(match refusal.constraint().and_then(Constraint::by_name) {
            Some(Constraint::TaskOwner) => Error::TokenDead,
            Some(constraint) => Error::Violated(constraint),
            None => Error::Defect(code.to_owned()),
        }),
        _ => Verdict::Fail(Error::Defect(code.to_owned())),
    }
}

/// Why there is no connection, for the log: what the network or TLS says, and of a refusal of the server's the SQLSTATE
/// alone, as with [`Error::Defect`].
pub(crate) fn cause(error: &tokio_postgres::Error) -> String {
    if let Some(code) = error.code() {
        return format!("SQLSTATE {}", code.code());
    }
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A column that is missing, or not of the type asked for.
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Defect(error.code().map_or_else(|| "none: unexpected answer".to_owned(), |code| code.code().to_owned()))
    }
}
