//! What a user, a task, an e-mail address or a title *is*.
//!
//! The lowest floor: no I/O, no HTTP, no SQL. Every type here has private contents and one fallible constructor,
//! so a value that exists is a value that keeps its rules: text from outside is parsed once, at the edge, and
//! trusted from there. The rules are those of the HTTP contract and of the table constraints they stand before.

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
pub use user::{Caller, TokenVersion, User, UserChanges};

/// A rule that a well-formed value breaks. Its text is written for the person who sent the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// PostgreSQL's text types cannot hold U+0000.
    #[error("must not contain the character U+0000")]
    Nul,
    /// Longer than the column, or than RFC 5321 lets an address be.
    #[error("must be at most {} bytes long", Email::MAX_BYTES)]
    EmailTooLong,
    /// Does not match the `email_format` constraint.
    #[error("must be an e-mail address such as name@example.com, in ASCII")]
    EmailFormat,
    /// Too few code points.
    #[error("must be at least {} characters long", Password::MIN_CHARS)]
    PasswordTooShort,
    /// More than bcrypt reads.
    #[error("must be at most {} bytes long in UTF-8", Password::MAX_BYTES)]
    PasswordTooLong,
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    TitleEmpty,
    /// Only characters that nobody can see.
    #[error("must not consist of invisible characters alone")]
    TitleInvisible,
    /// Over the `title_length` constraint.
    #[error("must be at most {} characters long", Title::MAX_CHARS)]
    TitleTooLong,
    /// Over the `description_length` constraint.
    #[error("must be at most {} characters long", Description::MAX_CHARS)]
    DescriptionTooLong,
}

/// PostgreSQL cannot store U+0000, so no text of ours may hold one.
fn without_nul(text: &str) -> Result<&str, Broken> {
    if text.contains('\0') { Err(Broken::Nul) } else { Ok(text) }
}
