use age::{
    secrecy::ExposeSecret,
    x25519::{Identity, Recipient},
};
use anyhow::{Context, bail};

use crate::prompt;

const VARIABLE: &str = "BACKUP_KEY";

/// Prints a new pair of keys.
pub(crate) fn generate() {
    let key = Identity::generate();
    println!("{}  # to make backups", key.to_public());
    println!(
        "{}  # to restore them: keep it secret, and where it outlives the database",
        key.to_string().expose_secret()
    );
}

/// The key to encrypt with: the public one in the environment, or that of the secret one.
pub(super) fn public() -> anyhow::Result<Recipient> {
    let Some(value) = variable() else { bail!("{VARIABLE} is not set: `make backup-key` makes a pair of keys") };
    match value.parse::<Recipient>() {
        Ok(recipient) => Ok(recipient),
        Err(_) => Ok(parse_secret(&value)?.to_public()),
    }
}

/// The key to decrypt with: the secret one in the environment, or else the answer to a question.
pub(super) fn secret() -> anyhow::Result<Identity> {
    match variable() {
        Some(value) => parse_secret(&value),
        None => parse_secret(&prompt::secret(&format!("{VARIABLE}, the secret key of the backup: "))?),
    }
}

fn variable() -> Option<String> {
    Some(cli::variable(VARIABLE)?.to_string_lossy().trim().to_owned())
}

fn parse_secret(text: &str) -> anyhow::Result<Identity> {
    text.parse().ok().with_context(|| {
        let public = if text.starts_with("age1") { ", but the public one, which only makes backups" } else { "" };
        format!("{VARIABLE} is no secret key (AGE-SECRET-KEY-1…){public}")
    })
}
