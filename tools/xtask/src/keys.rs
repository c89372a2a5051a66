//! The keys that sign and verify tokens, made and rotated: printed as the settings that the functions read.

use anyhow::Result;
use auth::{PublicKeys, SigningKey};

/// A new pair of Ed25519 keys, as `NAME=value` lines.
pub(crate) fn new() -> Result<String> {
    let key = SigningKey::generate()?;
    Ok(format!("JWT_SIGNING_KEY={}\nJWT_PUBLIC_KEYS={}\n", key.to_secret()?, key.public()))
}

/// Prints a new pair.
pub(crate) fn print_new() -> Result<()> {
    print!("{}", new()?);
    Ok(())
}

/// Prints a new pair and the three steps by which it replaces the keys in use.
pub(crate) fn rotate(in_use: &PublicKeys) -> Result<()> {
    let key = SigningKey::generate()?;
    let (secret, public) = (key.to_secret()?, key.public());
    println!(
        "# 1. For every function, so that all accept the new key beside the old:\n\
         JWT_PUBLIC_KEYS={in_use},{public}\n\
         # 2. When all have it, for `signin`, which signs with the new key from then on:\n\
         JWT_SIGNING_KEY={secret}\n\
         # 3. TOKEN_LIFETIME_SECONDS later, when the last old token has expired, the new key alone:\n\
         JWT_PUBLIC_KEYS={public}"
    );
    Ok(())
}
