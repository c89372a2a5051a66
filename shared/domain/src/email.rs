use std::fmt;

use serde::Serialize;

use crate::{ValidationError, without_nul};

/// An e-mail address, trimmed and in lower case: `A@x.com` and `a@x.com` are one account.
///
/// `Debug` hides the address, to keep it out of logs.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Email(String);

impl Email {
    /// The longest address in SMTP (RFC 5321, section 4.5.3.1.3: a path of 256 bytes minus its brackets).
    pub const MAX_BYTES: usize = 254;

    /// Trims, lowercases and checks the pattern of the `email_format` constraint.
    ///
    /// # Errors
    /// [`ValidationError::Nul`], [`ValidationError::EmailTooLong`], [`ValidationError::EmailFormat`].
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        let address = without_nul(text)?.trim();
        if address.len() > Self::MAX_BYTES {
            return Err(ValidationError::EmailTooLong);
        }
        if !has_email_format(address) {
            return Err(ValidationError::EmailFormat);
        }
        Ok(Self(address.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$`, the pattern of `email_format`.
fn has_email_format(address: &str) -> bool {
    let Some((local, host)) = address.split_once('@') else { return false };
    let Some((name, top_level)) = host.rsplit_once('.') else { return false };
    !local.is_empty()
        && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte))
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        && top_level.len() >= 2
        && top_level.bytes().all(|byte| byte.is_ascii_alphabetic())
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn an_address_is_trimmed_and_lowercased() {
        assert_eq!(Email::parse("\u{3000} Ada.L+x@Example.ORG\n").unwrap().as_str(), "ada.l+x@example.org");
    }

    #[test]
    fn the_longest_address_has_254_bytes() {
        let address = |length: usize| format!("{}@example.com", "a".repeat(length - "@example.com".len()));
        assert!(Email::parse(&address(254)).is_ok());
        assert_eq!(Email::parse(&address(255)), Err(ValidationError::EmailTooLong));
    }

    #[test]
    fn a_non_ascii_address_is_refused() {
        for text in ["ада@example.com", "a@exämple.com", "a@example.com\u{200b}", "\u{212a}@example.com"] {
            assert_eq!(Email::parse(text), Err(ValidationError::EmailFormat), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_hidden_in_debug_output() {
        assert!(!format!("{:?}", Email::parse("ada@example.com").unwrap()).contains("ada"));
    }

    proptest! {
        #[test]
        fn the_check_agrees_with_the_pattern_of_the_constraint(address in "[a-cZ0._%+@ é-]{0,6}@?[a-c.-]{0,4}[.@]?[a-zA-Z0-9.]{0,4}\n?") {
            let pattern = Regex::new(r"(?-m)^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\z").unwrap();
            prop_assert_eq!(has_email_format(&address), pattern.is_match(&address));
        }
    }
}
