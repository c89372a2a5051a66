use std::{fs, sync::Arc};

use auth::{Signer, TokenPolicy, Verifier};
use db::Database;

use crate::{
    Error,
    setting::{
        CA_FILE, DATABASE_CA_FILE, DATABASE_URL, JWT_AUDIENCE, JWT_ISSUER, JWT_PUBLIC_KEYS, JWT_SIGNING_KEY, Setting,
        TOKEN_LIFETIME_SECONDS,
    },
    settings::{Settings, unusable},
};

/// Opens the database. If the URL comes from the Parameter Store, it is read again when the database refuses the password.
pub(crate) async fn database(settings: &Settings) -> Result<Database, Error> {
    let config = database_config(settings)?;
    let is_stored = DATABASE_URL.variable()?.is_none();
    let renew: Option<db::Renew> = is_stored.then(|| {
        let renew: db::Renew = Arc::new(|| {
            Box::pin(async {
                let renewed = Settings::load(&[DATABASE_URL, DATABASE_CA_FILE, CA_FILE])
                    .await
                    .and_then(|settings| database_config(&settings));
                renewed.inspect_err(|error| tracing::error!(cause = %error, "DATABASE_URL was not renewed")).ok()
            })
        });
        renew
    });
    Ok(Database::open(config, renew).await)
}

fn database_config(settings: &Settings) -> Result<db::Config, Error> {
    let read = |setting: Setting| {
        let file = settings.get(setting).map(fs::read);
        file.transpose().map_err(|error| setting.invalid(error))
    };
    let (authority, system) = (read(DATABASE_CA_FILE)?, read(CA_FILE)?);
    let system = system.map(|text| String::from_utf8_lossy(&text).into_owned());
    db::Config::with_system(settings.secret(DATABASE_URL)?, authority.as_deref(), system).map_err(|reason| {
        let is_certificate = reason == db::InvalidConfig::Certificate;
        let setting = if is_certificate { DATABASE_CA_FILE } else { DATABASE_URL };
        setting.invalid(reason)
    })
}

pub(crate) fn signer(settings: &Settings) -> Result<Signer, Error> {
    Signer::new(&settings.parse_secret(JWT_SIGNING_KEY)?, token_policy(settings)?)
        .map_err(|reason| unusable(JWT_SIGNING_KEY, reason))
}

pub(crate) fn verifier(settings: &Settings) -> Result<Verifier, Error> {
    Verifier::new(&settings.parse_secret(JWT_PUBLIC_KEYS)?, &token_policy(settings)?)
        .map_err(|reason| unusable(JWT_PUBLIC_KEYS, reason))
}

fn token_policy(settings: &Settings) -> Result<TokenPolicy, Error> {
    let or_default = |setting| settings.get(setting).unwrap_or("task-api").to_owned();
    Ok(TokenPolicy {
        issuer: or_default(JWT_ISSUER),
        audience: or_default(JWT_AUDIENCE),
        lifetime: settings.parse(TOKEN_LIFETIME_SECONDS)?.unwrap_or_default(),
    })
}
