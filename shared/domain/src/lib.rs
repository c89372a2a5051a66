//! What a user, a task, an e-mail address or a title *is*. The lowest layer: no I/O, no HTTP, no SQL.
//!
//! Client input is parsed once, at the edge. [`Email`], [`Title`], [`Description`], [`Priority`], [`Tags`],
//! [`ChosenPassword`], [`SearchWords`] and [`PageSize`] have private fields and one fallible constructor, so each value obeys
//! the rules of the HTTP contract and of the table constraint behind it. [`Task`], [`User`], [`Session`], [`Page`] and
//! [`Summary`] are plain records of what the database returned.

mod email;
mod id;
mod new_password;
mod number;
mod page;
mod password;
mod priority;
mod request_hash;
mod reset_token;
mod search;
mod session;
mod status;
mod summary;
mod tag;
mod task;
mod text;
mod timestamp;
mod user;

pub use email::Email;
pub use id::{SessionId, TaskId, UserId};
pub use new_password::{ChosenPassword, NewPassword};
pub use number::whole_number;
pub use page::{Page, PageRequest, PageSize, Position, Sort, SortKey, TaskFilter};
pub use password::{Password, PasswordAttempt, PasswordHash};
pub use priority::Priority;
pub use request_hash::RequestHash;
pub use reset_token::ResetToken;
pub use search::SearchWords;
pub use session::{Session, TokenVersion, UserAgent};
pub use status::{Status, StatusChange};
pub use summary::{Summary, TagCount, TaskCounts};
pub use tag::{Tag, Tags};
pub use task::{NewTask, Precondition, Task, TaskChanges, TaskValues, Version};
pub use text::{Description, Title};
pub use timestamp::Timestamp;
pub use user::{User, UserChanges};

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
    /// See [`ChosenPassword`].
    #[error("must not be one of the most used passwords")]
    PasswordCommon,
    /// See [`ChosenPassword::for_account`].
    #[error("must not be the e-mail address")]
    PasswordIsEmail,
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
    /// The `status_valid` constraint.
    #[error("must be pending, in_progress or completed")]
    StatusUnknown,
    #[error("must agree with status: true for completed, false for any other")]
    StatusContradicted,
    /// The `priority_valid` constraint.
    #[error("must be from {} to {}", Priority::RANGE.start(), Priority::RANGE.end())]
    PriorityOutOfRange,
    #[error("must be a date-time of RFC 3339 such as 2026-03-01T17:00:00+01:00")]
    TimeFormat,
    #[error("must be in the years 0000 to 9999, in UTC")]
    TimeOutOfRange,
    /// Empty after trimming.
    #[error("must not have empty names")]
    TagEmpty,
    #[error("must not have names of invisible characters alone")]
    TagInvisible,
    #[error("must not have commas or control characters in names")]
    TagSeparator,
    #[error("must not have names of more than {} characters", Tag::MAX_CHARS)]
    TagTooLong,
    #[error("must be at most {} different names", Tags::MAX)]
    TooManyTags,
}

/// PostgreSQL cannot store U+0000 in text.
fn without_nul(text: &str) -> Result<&str, ValidationError> {
    if text.contains('\0') { Err(ValidationError::Nul) } else { Ok(text) }
}
