//! What a user, a task, an e-mail address or a title *is*. The lowest layer: no I/O, no HTTP, no SQL.
//!
//! Client input is parsed once, at the edge. [`Email`], [`Title`], [`Description`], [`Password`] and [`PageSize`] have
//! private fields and one fallible constructor, so each value obeys the rules of the HTTP contract and of the table
//! constraint behind it. [`Task`], [`User`] and [`Page`] are plain records of what the database returned.

mod email;
mod id;
mod number;
mod password;
mod request_hash;
mod task;
mod text;
mod timestamp;
mod user;

pub use email::Email;
pub use id::{TaskId, UserId};
pub use number::whole_number;
pub use password::{Password, PasswordAttempt, PasswordHash};
pub use request_hash::RequestHash;
pub use task::{NewTask, Page, PageRequest, PageSize, Position, Precondition, Task, TaskChanges, Version};
pub use text::{Description, Title};
pub use timestamp::Timestamp;
pub use user::{TokenVersion, User, UserChanges};

/// The rule that a well-formed value breaks. The message is for the client and never quotes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// PostgreSQL's text types cannot hold U+0000.
    #[error("must not contain the character U+0000")]
    Nul,
    /// See [`Email::MAX_BYTES`].
    #[error("must be at most {} bytes long", Email::MAX_BYTES)]
    EmailTooLong,
    /// The `email_format` constraint.
    #[error("must be an e-mail address such as name@example.com, in ASCII")]
    EmailFormat,
    /// See [`Password::MIN_CHARS`].
    #[error("must be at least {} characters long", Password::MIN_CHARS)]
    PasswordTooShort,
    /// See [`Password::MAX_BYTES`].
    #[error("must be at most {} bytes long in UTF-8", Password::MAX_BYTES)]
    PasswordTooLong,
    /// Empty after trimming.
    #[error("must not be empty")]
    TitleEmpty,
    #[error("must not consist of invisible characters alone")]
    TitleInvisible,
    /// The `title_length` constraint.
    #[error("must be at most {} characters long", Title::MAX_CHARS)]
    TitleTooLong,
    /// The `description_length` constraint.
    #[error("must be at most {} characters long", Description::MAX_CHARS)]
    DescriptionTooLong,
}

/// PostgreSQL cannot store U+0000 in text.
fn without_nul(text: &str) -> Result<&str, ValidationError> {
    if text.contains('\0') { Err(ValidationError::Nul) } else { Ok(text) }
}
