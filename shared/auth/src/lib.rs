//! Passwords and tokens: who someone is, as far as that can be told without a database.
//!
//! Passwords are bcrypt hashes of cost 12. Tokens are JWTs (RFC 7519) signed with Ed25519 (EdDSA, RFC 8037):
//! whoever holds a [`SigningKey`] can mint them, and one function does; all others hold public keys and can only
//! verify. A token that verifies was ours and is not expired; whether it still holds is for the statement that
//! serves the request to say, by its token version.

mod key;
mod password;
mod token;

pub use key::{InvalidKey, PublicKey, PublicKeys, SigningKey};
pub use password::{hash, verify};
pub use token::{InvalidLifetime, InvalidToken, Signer, Token, TokenLifetime, TokenPolicy, Verifier};
