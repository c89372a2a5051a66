use std::{env, fmt};

use crate::Error;

/// A setting of the functions, by the name of its environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    /// A secret is required. It may be kept in the Parameter Store, under the name in the variable `NAME_PARAMETER`.
    pub is_secret: bool,
}

pub(crate) const DATABASE_URL: Setting = Setting::secret("DATABASE_URL");
pub(crate) const JWT_PUBLIC_KEYS: Setting = Setting::secret("JWT_PUBLIC_KEYS");
pub(crate) const JWT_SIGNING_KEY: Setting = Setting::secret("JWT_SIGNING_KEY");

pub(crate) const CA_FILE: Setting = Setting::optional("CA_FILE");
pub(crate) const DATABASE_CA_FILE: Setting = Setting::optional("DATABASE_CA_FILE");
pub(crate) const JWT_AUDIENCE: Setting = Setting::optional("JWT_AUDIENCE");
pub(crate) const JWT_ISSUER: Setting = Setting::optional("JWT_ISSUER");
pub(crate) const TASK_LIMIT: Setting = Setting::optional("TASK_LIMIT");
pub(crate) const TOKEN_LIFETIME_SECONDS: Setting = Setting::optional("TOKEN_LIFETIME_SECONDS");

/// The address that mails come from. Without it there are none.
pub const MAIL_FROM: Setting = Setting::optional("MAIL_FROM");
/// A folder for mails, instead of Amazon SES.
pub const MAIL_FOLDER: Setting = Setting::optional("MAIL_FOLDER");
/// The page that links in mails lead to; required with [`MAIL_FROM`].
pub const PAGE_URL: Setting = Setting::optional("PAGE_URL");
/// The settings that a function with mail reads beside those of its other state.
pub const MAIL_SETTINGS: [Setting; 3] = [MAIL_FROM, MAIL_FOLDER, PAGE_URL];

pub(crate) const AWS_LAMBDA_FUNCTION_NAME: Setting = Setting::optional("AWS_LAMBDA_FUNCTION_NAME");
pub(crate) const AWS_LAMBDA_FUNCTION_VERSION: Setting = Setting::optional("AWS_LAMBDA_FUNCTION_VERSION");
pub(crate) const AWS_LAMBDA_LOG_LEVEL: Setting = Setting::optional("AWS_LAMBDA_LOG_LEVEL");
pub(crate) const STAGE: Setting = Setting::optional("STAGE");
/// The settings that every function reads for its log.
pub const COMMON_SETTINGS: [Setting; 4] =
    [AWS_LAMBDA_FUNCTION_NAME, AWS_LAMBDA_FUNCTION_VERSION, AWS_LAMBDA_LOG_LEVEL, STAGE];

impl Setting {
    const fn secret(name: &'static str) -> Self {
        Self { name, is_secret: true }
    }

    const fn optional(name: &'static str) -> Self {
        Self { name, is_secret: false }
    }

    /// The value of the variable; `None` when it is unset or empty.
    pub(crate) fn variable(self) -> Result<Option<String>, Error> {
        self.read(self.name)
    }

    /// The name of the parameter with the value, from `NAME_PARAMETER`.
    pub(crate) fn parameter(self) -> Result<Option<String>, Error> {
        self.read(&format!("{}_PARAMETER", self.name))
    }

    fn read(self, variable: &str) -> Result<Option<String>, Error> {
        match env::var(variable) {
            Ok(text) => Ok(non_empty(&text)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(self.invalid("is not UTF-8")),
        }
    }

    /// The error of a value that cannot be used.
    pub fn invalid(self, reason: impl fmt::Display) -> Error {
        Error::Invalid(self.name, reason.to_string())
    }
}

/// The text without surrounding white space, such as the newline that an editor or a shell adds; `None` when nothing else
/// is left.
pub(crate) fn non_empty(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_value_is_ignored() {
        assert_eq!(non_empty(" a b\r\n"), Some("a b".to_owned()));
        assert_eq!(non_empty("\u{a0}a\u{2028}"), Some("a".to_owned()));
        for text in ["", "\n", " \t\r\n"] {
            assert_eq!(non_empty(text), None, "{text:?}");
        }
    }
}
