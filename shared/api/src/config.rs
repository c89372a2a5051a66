use std::{env, fmt, fs, str::FromStr, sync::Arc};

use auth::TokenPolicy;
use db::Database;

use crate::secrets;

/// A function that cannot start: a setting is missing or cannot be used. Its text names the setting, never its value.
#[derive(thiserror::Error)]
pub enum Error {
    /// A setting that has no default.
    #[error("neither {0} nor {0}_PARAMETER is set")]
    Missing(&'static str),
    /// A setting whose value cannot be used, or is not where it is said to be.
    #[error("{0} {1}")]
    Invalid(&'static str, String),
    /// The Parameter Store did not tell.
    #[error("the Parameter Store cannot be read: {0}")]
    ParameterStore(String),
    /// The Lambda runtime ended.
    #[error("the Lambda runtime ended: {0}")]
    Runtime(String),
}

/// What `main` prints when it fails: the text for people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a setting says, wherever it is kept: its text without the white space around it, such as the newline that an
/// editor or a shell left at its end. `None` when nothing else is in it, which counts as not set.
pub(crate) fn said(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Reads a variable.
pub(crate) fn variable(name: &'static str) -> Result<Option<String>, Error> {
    read(name, name)
}

/// The variable that names the parameter with the value, `NAME_PARAMETER`.
pub(crate) fn parameter_of(name: &'static str) -> Result<Option<String>, Error> {
    read(&format!("{name}_PARAMETER"), name)
}

fn read(variable: &str, name: &'static str) -> Result<Option<String>, Error> {
    match env::var(variable) {
        Ok(text) => Ok(said(&text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::Invalid(name, "is not UTF-8".to_owned())),
    }
}

/// A setting's text as what it stands for.
pub(crate) fn parse<T: FromStr<Err: fmt::Display>>(name: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|reason| unusable(name, reason))
}

/// For a setting that says something, but nothing that can be used.
pub(crate) fn unusable(name: &'static str, reason: impl fmt::Display) -> Error {
    Error::Invalid(name, format!("cannot be used: {reason}"))
}

/// The database at `DATABASE_URL`, whose value this is. If the URL is kept where it can change, it is read again when
/// the database refuses the password.
pub(crate) async fn database(url: &str) -> Result<Database, Error> {
    let config = database_config(url)?;
    let renew: Option<db::Renew> = secrets::is_in_store("DATABASE_URL")?.then(|| {
        let renew: db::Renew = Arc::new(|| {
            Box::pin(async {
                let renewed = secrets::read(["DATABASE_URL"]).await.and_then(|[url]| database_config(&url));
                renewed.inspect_err(|error| tracing::error!(cause = %error, "DATABASE_URL was not renewed")).ok()
            })
        });
        renew
    });
    Ok(Database::open(config, renew).await)
}

/// `DATABASE_URL`, and the authority in `DATABASE_CA_FILE` if it is set.
fn database_config(url: &str) -> Result<db::Config, Error> {
    let authority = match variable("DATABASE_CA_FILE")? {
        Some(file) => {
            let pem = fs::read(file).map_err(|error| Error::Invalid("DATABASE_CA_FILE", error.to_string()))?;
            Some(pem)
        }
        None => None,
    };
    db::Config::new(url, authority.as_deref()).map_err(|reason| {
        let name = if reason == db::InvalidConfig::Certificate { "DATABASE_CA_FILE" } else { "DATABASE_URL" };
        Error::Invalid(name, reason.to_string())
    })
}

/// `JWT_ISSUER`, `JWT_AUDIENCE` and `TOKEN_LIFETIME_SECONDS`.
pub(crate) fn token_policy() -> Result<TokenPolicy, Error> {
    let lifetime = variable("TOKEN_LIFETIME_SECONDS")?.map(|text| parse("TOKEN_LIFETIME_SECONDS", &text));
    Ok(TokenPolicy {
        issuer: variable("JWT_ISSUER")?.unwrap_or_else(|| "task-api".to_owned()),
        audience: variable("JWT_AUDIENCE")?.unwrap_or_else(|| "task-api".to_owned()),
        lifetime: lifetime.transpose()?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_setting_is_not_part_of_it() {
        assert_eq!(said(" a b\r\n"), Some("a b".to_owned()));
        assert_eq!(said("\u{a0}a\u{2028}"), Some("a".to_owned()));
        for text in ["", "\n", " \t\r\n"] {
            assert_eq!(said(text), None, "{text:?}");
        }
    }
}
