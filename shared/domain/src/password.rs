use std::fmt;

use zeroize::Zeroizing;

use crate::{ValidationError, without_nul};

/// A password that an account may have. Never printed, never serialised, zeroed on drop.
pub struct Password(Zeroizing<String>);

impl Password {
    /// In code points (NIST SP 800-63B, section 5.1.1.2).
    pub const MIN_CHARS: usize = 8;
    /// bcrypt reads no more, and a password is never truncated.
    pub const MAX_BYTES: usize = 72;

    /// Nothing is trimmed or normalised.
    ///
    /// # Errors
    /// [`ValidationError::Nul`], [`ValidationError::PasswordTooShort`], [`ValidationError::PasswordTooLong`].
    pub(crate) fn parse(text: String) -> Result<Self, ValidationError> {
        let text = Zeroizing::new(text);
        without_nul(&text)?;
        if text.chars().count() < Self::MIN_CHARS {
            return Err(ValidationError::PasswordTooShort);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ValidationError::PasswordTooLong);
        }
        Ok(Self(text))
    }

    /// For the hash function only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What someone entered as an existing password. Any length is accepted: an attempt that is no valid [`Password`] gets
/// the same answer as any other wrong one.
pub struct PasswordAttempt(Option<Password>);

impl PasswordAttempt {
    /// # Errors
    /// [`ValidationError::Nul`].
    pub fn parse(text: String) -> Result<Self, ValidationError> {
        match Password::parse(text) {
            Ok(password) => Ok(Self(Some(password))),
            Err(ValidationError::Nul) => Err(ValidationError::Nul),
            Err(_) => Ok(Self(None)),
        }
    }

    /// `None` when no account can have this password.
    pub fn as_password(&self) -> Option<&Password> {
        self.0.as_ref()
    }
}

/// A bcrypt hash in the modular crypt format, `$2b$12$…`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Unchecked: `hash` comes from the hash function or the database.
    pub fn new(hash: String) -> Self {
        Self(hash)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Option<ValidationError> {
        Password::parse(text.to_owned()).err()
    }

    #[test]
    fn the_shortest_password_has_eight_code_points() {
        assert_eq!(error("1234567"), Some(ValidationError::PasswordTooShort));
        assert_eq!(error("пароль12"), None);
        assert_eq!(error("🔑🔑🔑🔑"), Some(ValidationError::PasswordTooShort));
    }

    #[test]
    fn the_longest_password_has_72_bytes() {
        assert_eq!(error(&"a".repeat(72)), None);
        assert_eq!(error(&"a".repeat(73)), Some(ValidationError::PasswordTooLong));
        assert_eq!(error(&"é".repeat(37)), Some(ValidationError::PasswordTooLong));
    }

    #[test]
    fn a_password_with_a_nul_is_refused() {
        assert_eq!(error("passw\0rd"), Some(ValidationError::Nul));
        assert_eq!(PasswordAttempt::parse("p\0".to_owned()).err(), Some(ValidationError::Nul));
    }

    #[test]
    fn an_attempt_out_of_bounds_is_accepted_but_no_password() {
        for text in ["", "short", &"a".repeat(73)] {
            assert!(PasswordAttempt::parse(text.to_owned()).unwrap().as_password().is_none());
        }
    }
}
