//! Passwords that an account does not have yet. For those it has, these rules do not hold: they may be older.

use crate::{Email, Password, ValidationError};

/// The most used passwords, one on each line, the most used first. `common-passwords/README.md` says where they are from.
const COMMON: &str = include_str!("../common-passwords/list.txt");

/// A password that someone has chosen, and that is not among the most used ones (NIST SP 800-63B, section 5.1.1.2).
///
/// It becomes a [`NewPassword`] once the account's address is known.
pub struct ChosenPassword(Password);

impl ChosenPassword {
    /// # Errors
    /// [`ValidationError::Nul`], [`ValidationError::PasswordTooShort`], [`ValidationError::PasswordTooLong`],
    /// [`ValidationError::PasswordCommon`].
    pub fn parse(text: String) -> Result<Self, ValidationError> {
        let password = Password::parse(text)?;
        // Compares with every one: 0.4 ms, next to 0.3 s for the hash.
        if COMMON.lines().any(|common| equal_ignoring_case(common, password.expose())) {
            return Err(ValidationError::PasswordCommon);
        }
        Ok(Self(password))
    }

    /// # Errors
    /// [`ValidationError::PasswordIsEmail`] when it is this address, in whatever case.
    pub fn check_is_not(&self, address: &Email) -> Result<(), ValidationError> {
        if equal_ignoring_case(self.0.expose().trim(), address.as_str()) {
            return Err(ValidationError::PasswordIsEmail);
        }
        Ok(())
    }

    /// The password for the account with this address.
    ///
    /// # Errors
    /// [`ValidationError::PasswordIsEmail`].
    pub fn for_account(self, address: &Email) -> Result<NewPassword, ValidationError> {
        self.check_is_not(address)?;
        Ok(NewPassword(self.0))
    }
}

/// A password that obeys every rule for new ones. Nothing else is hashed.
pub struct NewPassword(Password);

impl NewPassword {
    /// For the hash function only.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Compares without making a copy, which would have to be zeroed.
fn equal_ignoring_case(a: &str, b: &str) -> bool {
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn error(text: &str) -> Option<ValidationError> {
        ChosenPassword::parse(text.to_owned()).err()
    }

    #[test]
    fn the_list_has_passwords_that_an_account_could_have_each_once() {
        let common: Vec<&str> = COMMON.lines().collect();
        assert!(common.len() >= 3000, "ASVS 5.0, 6.2.4");
        assert_eq!(common.iter().collect::<HashSet<_>>().len(), common.len());
        for text in common {
            assert!(Password::parse(text.to_owned()).is_ok(), "{text:?}");
            assert_eq!(text, text.to_lowercase());
        }
    }

    #[test]
    fn a_common_password_is_refused_in_whatever_case() {
        let (first, last) = (COMMON.lines().next().unwrap(), COMMON.lines().last().unwrap());
        for text in
            [first, last, "password", "Password1", "QWERTYUIOP", "iLoveYou", "p@ssw0rd", "\u{212a}awasa\u{212a}i"]
        {
            assert_eq!(error(text), Some(ValidationError::PasswordCommon), "{text:?}");
        }
    }

    #[test]
    fn a_password_that_contains_a_common_one_is_another() {
        for text in ["password password", " password1", "qwertyuiop\n12345678", "12345678, 123456789", "correct horse"]
        {
            assert_eq!(error(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_no_account_can_have_is_refused_for_that() {
        assert_eq!(error("123456"), Some(ValidationError::PasswordTooShort));
        assert_eq!(error(&"a".repeat(73)), Some(ValidationError::PasswordTooLong));
        assert_eq!(error("password\0"), Some(ValidationError::Nul));
    }

    #[test]
    fn the_accounts_address_is_refused_in_whatever_case_and_with_space_around() {
        let address = Email::parse("Ada.L@example.com").unwrap();
        for text in ["ada.l@example.com", "Ada.L@Example.COM", "\u{3000}ADA.L@EXAMPLE.COM \n"] {
            let chosen = ChosenPassword::parse(text.to_owned()).unwrap();
            assert_eq!(chosen.check_is_not(&address), Err(ValidationError::PasswordIsEmail), "{text:?}");
            assert_eq!(chosen.for_account(&address).err(), Some(ValidationError::PasswordIsEmail), "{text:?}");
        }
    }

    #[test]
    fn a_password_like_the_address_is_accepted_as_sent() {
        let address = Email::parse("ada.l@example.com").unwrap();
        for text in ["ada.l@example.co", "ada.l@example.com!", "adal@example.com", " Ada.L@example "] {
            let chosen = ChosenPassword::parse(text.to_owned()).unwrap();
            assert_eq!(chosen.for_account(&address).ok().unwrap().expose(), text);
        }
    }
}
