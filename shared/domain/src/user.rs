use serde::Serialize;

use crate::{Email, PasswordHash, Timestamp, UserId};

/// An account as its owner sees it, without the password hash.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub created_at: Timestamp,
    /// When the address or the password last changed.
    pub updated_at: Timestamp,
}

/// Changes to an account; `None` keeps the value.
#[derive(Clone, Debug)]
pub struct UserChanges {
    pub email: Option<Email>,
    pub password_hash: Option<PasswordHash>,
}
