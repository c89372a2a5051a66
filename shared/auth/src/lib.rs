//! Passwords and tokens: authentication as far as it needs no database. Knows `domain`.
//!
//! Passwords are hashed with bcrypt at cost 12. Tokens are JWTs (RFC 7519) signed with Ed25519 (EdDSA, RFC 8037). One
//! function holds the [`SigningKey`] and issues them; all others hold public keys and can only verify. A verified token
//! yields a [`Caller`], the proof of authorisation that every statement on an account asks for. Whether the token has
//! been revoked since is decided by that statement, by the token version.

mod key;
mod password;
mod policy;
mod token;

pub use key::{InvalidKey, PublicKey, PublicKeys, SigningKey};
pub use password::{hash_password, verify_password};
pub use policy::{InvalidLifetime, TokenLifetime, TokenPolicy};
pub use token::{Caller, InvalidToken, Signer, Token, Verifier};
