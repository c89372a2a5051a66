//! Makes signing keys: `keys new` prints a fresh pair as the two settings the functions read.
#![allow(clippy::print_stdout)]

use auth::SigningKey;
use clap::Parser;

/// Makes the keys that tokens are signed and verified with.
#[derive(Parser)]
enum Command {
    /// Print a new pair of Ed25519 keys as JWT_SIGNING_KEY and JWT_PUBLIC_KEYS.
    New,
}

fn main() -> anyhow::Result<()> {
    let Command::New = Command::parse();
    let key = SigningKey::generate()?;
    println!("JWT_SIGNING_KEY={}", key.to_secret()?);
    println!("JWT_PUBLIC_KEYS={}", key.public());
    Ok(())
}
