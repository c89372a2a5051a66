use serde::Serialize;

use crate::{Email, PasswordHash, Timestamp, UserId};

/// An account, as its owner sees it: the password hash is no part of it.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// Whose it is.
    pub id: UserId,
    /// The address it is signed in to with, as stored.
    pub email: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its address or password last changed.
    pub updated_at: Timestamp,
}

/// How often the account's password has changed. A token carries the version it was issued under and dies when
/// the account's moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenVersion(pub i32);

/// Who a verified token says is calling. Whether the token still holds, only the database knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's `sub`.
    pub user: UserId,
    /// The version the token was issued under.
    pub token_version: TokenVersion,
}

/// What to change of an account; `None` keeps the value.
#[derive(Clone, Debug)]
pub struct UserChanges {
    /// The new address.
    pub email: Option<Email>,
    /// The hash of the new password.
    pub password_hash: Option<PasswordHash>,
}
