//! Callers without an API.

use std::time::Duration;

use auth::{Caller, Grant, PublicKeys, Signer, SigningKey, TokenLifetime, TokenPolicy, Verifier};
use domain::{SessionId, UserId};

/// A user as a caller of the database's functions, by a token that was issued and verified, in the session that has the
/// same id: see [`SESSIONS`].
pub fn caller(user: UserId) -> Caller {
    let policy = TokenPolicy { issuer: "i".into(), audience: "a".into(), lifetime: TokenLifetime::default() };
    let key = SigningKey::generate().expect("a key");
    let keys: PublicKeys = key.public().to_string().parse().expect("its public key");
    let session_ends_in = Duration::from_secs(3600);
    let grant = Grant { user, session: SessionId::from(*user.as_uuid()), token_version: None, session_ends_in };
    let token = Signer::new(&key, policy.clone()).expect("a signer").issue(&grant).expect("a token");
    Verifier::new(&keys, &policy).expect("a verifier").verify(&token.value).expect("a caller")
}

/// Gives each user a session that has the user's id.
pub const SESSIONS: &str = "
    INSERT INTO sessions (id, user_id, family_hash, token_hash, created_at, refreshed_at, expires_at)
    SELECT id, id, '', '', created_at, created_at, created_at + interval '14 days' FROM users
    ON CONFLICT DO NOTHING";
