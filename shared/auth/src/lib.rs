//! Passwords and tokens: authentication as far as it needs no database. Knows `domain`.
//!
//! Passwords are hashed with bcrypt at cost 12. Tokens are JWTs (RFC 7519) signed with Ed25519 (EdDSA, RFC 8037). Two
//! functions hold the [`SigningKey`] and issue them; all others hold public keys and can only verify. A verified token
//! yields a [`Caller`], the proof of authorisation that every statement on an account asks for. Whether the token's session
//! still holds is decided by that statement. [`RefreshToken`]s keep a session going; the database has only their hashes.

mod key;
mod password;
mod policy;
mod refresh;
mod token;

pub use key::{InvalidKey, PublicKey, PublicKeys, SigningKey};
pub use password::{hash_password, time_hashing, verify_password};
pub use policy::{InvalidLifetime, TokenLifetime, TokenPolicy};
pub use refresh::{Nonce, RefreshToken};
pub use token::{Caller, Grant, InvalidToken, Proof, Signer, Token, Verifier};
