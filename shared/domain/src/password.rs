use std::fmt;

use zeroize::Zeroizing;

use crate::{Broken, without_nul};

/// A password that an account may have. Never printed, never serialised, wiped when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// The fewest code points (the floor of NIST SP 800-63B, section 5.1.1.2).
    pub const MIN_CHARS: usize = 8;
    /// The most bytes: bcrypt reads no more, and a password is never truncated.
    pub const MAX_BYTES: usize = 72;

    /// Takes a password as it is: nothing is trimmed or normalised.
    ///
    /// # Errors
    /// [`Broken::Nul`], [`Broken::PasswordTooShort`], [`Broken::PasswordTooLong`].
    pub fn parse(text: String) -> Result<Self, Broken> {
        let text = Zeroizing::new(text);
        without_nul(&text)?;
        if text.chars().count() < Self::MIN_CHARS {
            return Err(Broken::PasswordTooShort);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(Broken::PasswordTooLong);
        }
        Ok(Self(text))
    }

    /// The password itself, for the hash function alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What someone typed where an existing password is asked for.
///
/// It may be of any length: one that no account can have is simply wrong, and must not be told apart from any
/// other wrong one.
pub struct PasswordAttempt(Option<Password>);

impl PasswordAttempt {
    /// Takes what was typed.
    ///
    /// # Errors
    /// [`Broken::Nul`].
    pub fn parse(text: String) -> Result<Self, Broken> {
        match Password::parse(text) {
            Ok(password) => Ok(Self(Some(password))),
            Err(Broken::Nul) => Err(Broken::Nul),
            Err(_) => Ok(Self(None)),
        }
    }

    /// The attempt as a password, when it is one that an account can have.
    pub fn as_password(&self) -> Option<&Password> {
        self.0.as_ref()
    }
}

/// What is stored instead of a password: a bcrypt hash in its modular crypt form.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a hash that the hash function made or the database returned.
    pub fn new(hash: String) -> Self {
        Self(hash)
    }

    /// The hash in its modular crypt form, `$2b$12$…`.
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

    fn broken(text: &str) -> Option<Broken> {
        Password::parse(text.to_owned()).err()
    }

    #[test]
    fn the_shortest_password_has_eight_code_points() {
        assert_eq!(broken("1234567"), Some(Broken::PasswordTooShort));
        assert_eq!(broken("пароль12"), None);
        assert_eq!(broken("🔑🔑🔑🔑"), Some(Broken::PasswordTooShort));
    }

    #[test]
    fn the_longest_password_has_72_bytes() {
        assert_eq!(broken(&"a".repeat(72)), None);
        assert_eq!(broken(&"a".repeat(73)), Some(Broken::PasswordTooLong));
        assert_eq!(broken(&"é".repeat(37)), Some(Broken::PasswordTooLong));
    }

    #[test]
    fn a_nul_is_no_part_of_a_password() {
        assert_eq!(broken("passw\0rd"), Some(Broken::Nul));
        assert_eq!(PasswordAttempt::parse("p\0".to_owned()).err(), Some(Broken::Nul));
    }

    #[test]
    fn an_attempt_out_of_bounds_is_merely_wrong() {
        for text in ["", "short", &"a".repeat(73)] {
            assert!(PasswordAttempt::parse(text.to_owned()).unwrap().as_password().is_none());
        }
    }
}
