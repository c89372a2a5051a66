use std::time::Duration;

use domain::UserId;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The session of the token, or with it the account, is gone.
    #[error("the session has ended")]
    SessionEnded,
    /// A refresh token was used long after it had been replaced: by a thief, or by its owner after a thief. Its session has
    /// ended.
    ///
    /// Holds the account, for the log.
    #[error("a refresh token was used again")]
    RefreshTokenReused(UserId),
    /// The caller has no such session. It may be another user's.
    #[error("the caller has no such session")]
    NoSuchSession,
    /// There is no account with the address, or the password is not the account's.
    ///
    /// Holds the account, for the log.
    #[error("the address or the password is wrong")]
    WrongCredentials(Option<UserId>),
    #[error("the current password is wrong")]
    WrongCurrentPassword,
    /// The token of a mail is unknown, used, void or too old.
    #[error("the token of the mail is not valid")]
    ResetTokenInvalid,
    /// Too many wrong passwords: the time to wait before the next attempt.
    #[error("too many attempts: wait {0:?}")]
    Throttled(Duration),
    /// The caller has no such task. It may be another user's.
    #[error("the caller has no such task")]
    NoSuchTask,
    /// The task's version is none of those in the precondition.
    #[error("the task has another version")]
    PreconditionFailed,
    /// The idempotency key has created another task.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The account has as many tasks as it may have.
    #[error("the account has as many tasks as it may have")]
    AccountFull,
    #[error("constraint {0:?} is violated")]
    Violated(Constraint),
    /// The database could not be reached before the deadline, refused us, or did not complete the statement.
    ///
    /// A change may have been made or not; it will not be made later. Holds the cause of the last attempt's failure, for
    /// the log.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// The database refused the statement, or answered something unexpected: a bug.
    ///
    /// Holds the SQLSTATE only, because a message may quote values.
    #[error("statement failed with SQLSTATE {0}")]
    Internal(String),
}

impl Error {
    /// For a statement that always returns a row.
    pub(crate) fn no_row() -> Self {
        Self::Internal("none: no row".to_owned())
    }

    /// For an answer that the schema rules out.
    pub(crate) fn unexpected(what: &str) -> Self {
        Self::Internal(format!("none: unexpected {what}"))
    }
}

/// A column that is missing or of another type.
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Internal(error.code().map_or_else(|| "none: unexpected answer".to_owned(), |code| code.code().to_owned()))
    }
}

/// The constraints and unique indexes that a client's values can violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    EmailTaken,
    EmailFormat,
    TitleNotEmpty,
    TitleLength,
    DescriptionLength,
    PriorityValid,
    StatusValid,
    /// The account was deleted while the statement ran.
    TaskOwner,
    /// A tag that no task had was deleted while the statement ran.
    TaskTag,
}

impl Constraint {
    /// By its name in the schema.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "users_email_key" | "idx_users_email" => Self::EmailTaken,
            "email_format" => Self::EmailFormat,
            "title_not_empty" => Self::TitleNotEmpty,
            "title_length" => Self::TitleLength,
            "description_length" => Self::DescriptionLength,
            "priority_valid" => Self::PriorityValid,
            "status_valid" => Self::StatusValid,
            "fk_tasks_user_id" => Self::TaskOwner,
            "task_tags_tag_id_fkey" => Self::TaskTag,
            _ => return None,
        })
    }
}
