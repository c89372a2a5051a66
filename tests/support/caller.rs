//! Callers without an API.

use auth::{Caller, PublicKeys, Signer, SigningKey, TokenLifetime, TokenPolicy, Verifier};
use domain::{TokenVersion, UserId};

/// A user as a caller of the database's functions, by a token that was issued and verified.
pub fn caller(user: UserId) -> Caller {
    let policy = TokenPolicy { issuer: "i".into(), audience: "a".into(), lifetime: TokenLifetime::default() };
    let key = SigningKey::generate().expect("a key");
    let keys: PublicKeys = key.public().to_string().parse().expect("its public key");
    let token = Signer::new(&key, policy.clone()).expect("a signer").issue(user, TokenVersion(0)).expect("a token");
    Verifier::new(&keys, &policy).expect("a verifier").verify(&token.value).expect("a caller")
}
