use tokio_postgres::error::{DbError, SqlState};

use crate::ConnectError;

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
    /// The database could not be reached within the budget, would not let us in, or did not get the statement done.
    ///
    /// What was to be changed may have been or not, and is not changed later. Holds the last attempt's failure, for the
    /// log.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
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
    /// The statement itself is at fault; the connection is fine.
    Fail(Error),
    /// The server has undone it, because of a lock, a limit or others' statements; the connection is fine: repeat it.
    Undone,
    /// The server has ended it together with the connection. It may have been carried out, and is over: repeat it.
    Ended,
    /// It may have been carried out, and may be under way still: repeat it when it must be over.
    Lost,
    /// Nobody gets in like this, however often they try: the password, the role or the database is wrong.
    Refused,
    /// As [`Verdict::Lost`], or as [`Verdict::Refused`]: it was not said which.
    PerhapsRefused,
}

/// Sorts a failure by its SQLSTATE class (PostgreSQL manual, appendix A).
///
/// Without one the failure is the connection's: it was refused, cut, or is gone. *Undone*: 40 (deadlock, serialization),
/// 53 (out of resources), 55P03 and 57014, the limits of waiting for a lock and of running. *Ended*: 57 otherwise
/// (shutdown, failover), 58 (system), and 25006, a primary that has become a replica. *Lost*: 08, which a pooler says of
/// a connection behind it. *Never repeated*: 22 and 42 (the statement), 23 (a constraint), 28 and 3D (who we are, and
/// where to). *Unclear*: 08P01, with which PgBouncer says what it has to say itself, of a wrong password as of a server
/// that is down, and XX, with which Neon's proxy does, also while it wakes a database.
pub(crate) fn judge(refusal: Option<&DbError>) -> Verdict {
    let Some(refusal) = refusal else { return Verdict::Lost };
    let code = refusal.code();
    match &code.code()[..2] {
        _ if *code == SqlState::PROTOCOL_VIOLATION => Verdict::PerhapsRefused,
        _ if [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].contains(code) => Verdict::Undone,
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Verdict::Ended,
        "40" | "53" => Verdict::Undone,
        "57" | "58" => Verdict::Ended,
        "08" => Verdict::Lost,
        "XX" => Verdict::PerhapsRefused,
        "28" | "3D" => Verdict::Refused,
        "23" => Verdict::Fail(match refusal.constraint().and_then(Constraint::by_name) {
            Some(Constraint::TaskOwner) => Error::TokenDead,
            Some(constraint) => Error::Violated(constraint),
            None => Error::Defect(code.code().to_owned()),
        }),
        _ => Verdict::Fail(Error::Defect(code.code().to_owned())),
    }
}

/// Why there is no connection, for the log. Before a statement is sent, what the server says can quote no value of one;
/// it may name the role.
pub(crate) fn cause_before(error: &ConnectError) -> String {
    match error.refusal() {
        Some(refusal) => format!("SQLSTATE {}: {}", refusal.code().code(), refusal.message()),
        None => chain(error),
    }
}

/// Why a statement failed, for the log: what the network says, and of the server's words the SQLSTATE alone, as with
/// [`Error::Defect`].
pub(crate) fn cause_after(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| chain(error), |code| format!("SQLSTATE {}", code.code()))
}

/// An error and what lies behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A column that is missing, or not of the type asked for.
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Defect(error.code().map_or_else(|| "none: unexpected answer".to_owned(), |code| code.code().to_owned()))
    }
}
