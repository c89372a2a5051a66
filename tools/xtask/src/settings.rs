//! What the functions and the migrator are configured with.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use fs_err as fs;

use crate::postgres::{FUNCTIONS, NAME, Postgres};
use crate::{keys, profile::Profile, server_user::write_private, tls::Tls};

/// Environment variables by name.
pub(crate) type Settings = BTreeMap<String, String>;

/// The settings of a stack, also written into its `env` file.
pub(crate) fn settings(profile: &Profile, postgres: &Postgres, is_pooled: bool, tls: &Tls) -> Result<Settings> {
    let port = if is_pooled { profile.pooler_port() } else { profile.postgres_port() };
    let mut settings = Settings::from([
        ("DATABASE_URL".into(), url(FUNCTIONS, &postgres.functions_password, port)),
        ("DATABASE_URL_UNPOOLED".into(), url(NAME, &postgres.password, profile.postgres_port())),
        ("DATABASE_CA_FILE".into(), tls.certificate.display().to_string()),
        ("MAIL_FROM".into(), "tasks@example.com".into()),
        ("MAIL_FOLDER".into(), profile.mails().display().to_string()),
        ("PAGE_URL".into(), format!("http://127.0.0.1:{}/", profile.port)),
    ]);
    settings.extend(keys(profile)?);
    write_private(&profile.env_file(), &env_file(&settings)?)?;
    Ok(settings)
}

/// The database as a role, at PostgreSQL or at the pooler.
pub(crate) fn url(role: &str, password: &str, port: u16) -> String {
    format!("postgresql://{role}:{password}@localhost:{port}/{NAME}?sslmode=require")
}

/// The keys that sign and verify tokens. They are kept, so that a token outlives a restart.
fn keys(profile: &Profile) -> Result<Settings> {
    let file = profile.home.join("keys");
    if !file.exists() {
        write_private(&file, &keys::new()?)?;
    }
    let text = fs::read_to_string(&file)?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let keys: Settings = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    if keys.is_empty() {
        bail!("{} has no keys in it: remove it and start again", file.display());
    }
    Ok(keys)
}

/// `NAME='value'` lines, which `cargo lambda watch --env-file` and a shell both read. The former takes `?`, `=` and
/// spaces in quotes only.
fn env_file(settings: &Settings) -> Result<String> {
    let line = |(name, value): (&String, &String)| {
        let quote = if value.contains('\'') { '"' } else { '\'' };
        if value.contains([quote, '\n']) {
            bail!("{name} has both kinds of quotes in it, which an env file cannot hold: {value}");
        }
        Ok(format!("{name}={quote}{value}{quote}\n"))
    };
    settings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: &str) -> Result<String> {
        env_file(&Settings::from([("A".to_owned(), value.to_owned())]))
    }

    #[test]
    fn values_are_quoted_with_what_they_do_not_contain() {
        assert_eq!(line("postgresql://u:p@h/d?a=b").unwrap(), "A='postgresql://u:p@h/d?a=b'\n");
        assert_eq!(line("/o'brien/ca.pem").unwrap(), "A=\"/o'brien/ca.pem\"\n");
        assert!(line("'\"").is_err());
    }
}
