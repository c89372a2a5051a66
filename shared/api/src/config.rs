use std::{env, fmt, fs, str::FromStr, time::Duration};

use auth::TokenPolicy;

/// A function that cannot start: a setting is missing or cannot be used. Its text names the setting, never its value.
#[derive(thiserror::Error)]
pub enum Error {
    /// An environment variable that has no default.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// An environment variable whose value is of no use.
    #[error("{0} {1}")]
    Invalid(&'static str, String),
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

/// Reads and parses a variable; one that is empty counts as not set.
pub(crate) fn optional<T: FromStr<Err: fmt::Display>>(name: &'static str) -> Result<Option<T>, Error> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().map(Some).map_err(|reason: T::Err| Error::Invalid(name, format!("cannot be used: {reason}")))
        }
        Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::Invalid(name, "is not UTF-8".to_owned())),
    }
}

/// As [`optional`], for a variable that must be set.
pub(crate) fn required<T: FromStr<Err: fmt::Display>>(name: &'static str) -> Result<T, Error> {
    optional(name)?.ok_or(Error::Missing(name))
}

/// `DATABASE_URL`, and the authority in `DATABASE_CA_FILE` if it is set.
pub(crate) fn database() -> Result<db::Config, Error> {
    let url: String = required("DATABASE_URL")?;
    let authority = match optional::<String>("DATABASE_CA_FILE")? {
        Some(file) => {
            let pem = fs::read(file).map_err(|error| Error::Invalid("DATABASE_CA_FILE", error.to_string()))?;
            Some(pem)
        }
        None => None,
    };
    db::Config::new(&url, authority.as_deref()).map_err(|reason| {
        let name = if reason == db::InvalidConfig::Certificate { "DATABASE_CA_FILE" } else { "DATABASE_URL" };
        Error::Invalid(name, reason.to_string())
    })
}

/// `JWT_ISSUER`, `JWT_AUDIENCE` and `TOKEN_LIFETIME_SECONDS`.
pub(crate) fn token_policy() -> Result<TokenPolicy, Error> {
    Ok(TokenPolicy {
        issuer: optional("JWT_ISSUER")?.unwrap_or_else(|| "task-api".to_owned()),
        audience: optional("JWT_AUDIENCE")?.unwrap_or_else(|| "task-api".to_owned()),
        lifetime: Duration::from_secs(optional::<u32>("TOKEN_LIFETIME_SECONDS")?.unwrap_or(3600).into()),
    })
}
