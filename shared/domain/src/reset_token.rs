use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{ValidationError, without_nul};

/// The secret in the link of a mail that leads to a new password. Never printed, zeroed on drop.
///
/// Only its hash is stored. Any text may be one: what no mail has brought is not found.
pub struct ResetToken(Zeroizing<String>);

impl ResetToken {
    /// How long after its mail was asked for it can be used.
    pub const LIFETIME: Duration = Duration::from_secs(30 * 60);

    /// A new one of 256 random bits, in base64url (RFC 4648, section 5).
    pub fn random() -> Self {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        Self(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// # Errors
    /// [`ValidationError::Nul`].
    pub fn parse(text: String) -> Result<Self, ValidationError> {
        let text = Zeroizing::new(text);
        without_nul(&text)?;
        Ok(Self(text))
    }

    /// For the mail only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256, for the database.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_another_one_in_43_characters_that_need_no_escapes_in_a_link() {
        let (a, b) = (ResetToken::random(), ResetToken::random());
        assert_ne!(a.hash(), b.hash());
        assert_eq!(a.expose().len(), 43);
        assert!(a.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }

    #[test]
    fn a_token_is_known_by_its_hash() {
        let token = ResetToken::random();
        let same = ResetToken::parse(token.expose().to_owned()).unwrap();
        assert_eq!(token.hash(), same.hash());
        for other in ["", "x", &token.expose()[1..], &format!("{} ", token.expose())] {
            assert_ne!(ResetToken::parse(other.to_owned()).unwrap().hash(), token.hash(), "{other:?}");
        }
        assert_eq!(ResetToken::parse("a\0".to_owned()).err(), Some(ValidationError::Nul));
    }
}
