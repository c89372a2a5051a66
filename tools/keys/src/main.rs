//! Makes and rotates the keys that tokens are signed and verified with, as the settings the functions read.
#![allow(clippy::print_stdout)]

use auth::{PublicKeys, SigningKey};
use clap::Parser;

/// Makes the keys that tokens are signed and verified with.
#[derive(Parser)]
enum Command {
    /// Print a new pair of Ed25519 keys as JWT_SIGNING_KEY and JWT_PUBLIC_KEYS.
    New,
    /// Print a new pair that takes over from the keys in JWT_PUBLIC_KEYS, as three steps without a refused token.
    Rotate {
        /// The keys that are accepted now.
        #[arg(long, env = "JWT_PUBLIC_KEYS")]
        public_keys: PublicKeys,
    },
}

fn main() -> anyhow::Result<()> {
    let command = cli::arguments();
    let key = SigningKey::generate()?;
    let (secret, public) = (key.to_secret()?, key.public());
    match command {
        Command::New => println!("JWT_SIGNING_KEY={secret}\nJWT_PUBLIC_KEYS={public}"),
        Command::Rotate { public_keys } => println!(
            "# 1. For every function, so that all accept the new key beside the old:\n\
             JWT_PUBLIC_KEYS={public_keys},{public}\n\
             # 2. When all have it, for `signin`, which signs with the new key from then on:\n\
             JWT_SIGNING_KEY={secret}\n\
             # 3. TOKEN_LIFETIME_SECONDS later, when the last old token has expired, the new key alone:\n\
             JWT_PUBLIC_KEYS={public}"
        ),
    }
    Ok(())
}
