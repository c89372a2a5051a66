//! Refresh tokens. They are opaque to clients, and known to the database by hashes alone.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::SessionId;
use uuid::Uuid;
use zeroize::Zeroizing;

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// What a client gets its next token with: the session's id, a secret that all refresh tokens of the session share, and one
/// of its own.
///
/// The shared secret tells an older token of the session, which only its client or a thief can have, from a guess by someone
/// who knows the id alone.
pub struct RefreshToken {
    session: SessionId,
    family: Zeroizing<[u8; SECRET_BYTES]>,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

/// What a token's successor is made with, together with the token's secret. Alone it is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    pub fn random() -> Self {
        Self(rand::random::<[u8; SECRET_BYTES]>().to_vec())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// From the database.
impl From<Vec<u8>> for Nonce {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl RefreshToken {
    /// The first one of a session.
    pub fn first(session: SessionId) -> Self {
        Self { session, family: Zeroizing::new(rand::random()), secret: Zeroizing::new(rand::random()) }
    }

    /// The form that clients get; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?);
        let (id, secrets) = bytes.split_first_chunk::<ID_BYTES>()?;
        let (family, secret) = secrets.split_first_chunk::<SECRET_BYTES>()?;
        Some(Self {
            session: Uuid::from_bytes(*id).into(),
            family: Zeroizing::new(*family),
            secret: Zeroizing::new(secret.try_into().ok()?),
        })
    }

    /// The form for the client.
    pub fn expose(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([&self.session.as_uuid().as_bytes()[..], &*self.family, &*self.secret].concat());
        Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(&*bytes))
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The SHA-256 of what all refresh tokens of the session share.
    pub fn family_hash(&self) -> Vec<u8> {
        sha256(&*self.family)
    }

    /// The SHA-256 of this token's own secret.
    pub fn hash(&self) -> Vec<u8> {
        sha256(&*self.secret)
    }

    /// The token that replaces this one: the same one for the same nonce, and unknown to whoever has but one of the two.
    pub fn successor(&self, nonce: &Nonce) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.secret);
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        secret.copy_from_slice(hmac::sign(&key, &nonce.0).as_ref());
        Self { session: self.session, family: self.family.clone(), secret }
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(hidden)")
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        RefreshToken::first(SessionId::random())
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = token();
        let text = token.expose();
        let read = RefreshToken::parse(&text).unwrap();
        assert_eq!((read.session(), read.family_hash()), (token.session(), token.family_hash()));
        assert_eq!((read.hash(), read.expose()), (token.hash(), text));
    }

    #[test]
    fn any_other_text_is_no_token() {
        let text = token().expose();
        for other in
            ["", "a", &text[1..], &format!("{}A", *text), &format!("{}=", *text), &text.replace(&text[..1], "+")]
        {
            assert!(RefreshToken::parse(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_nonce_leads_to_one_successor_of_the_same_family() {
        let (token, nonce) = (token(), Nonce::random());
        let successor = token.successor(&nonce);
        assert_eq!((successor.session(), successor.family_hash()), (token.session(), token.family_hash()));
        assert_eq!(successor.expose(), token.successor(&nonce).expose());
        assert_ne!(successor.hash(), token.hash());
        assert_ne!(successor.hash(), token.successor(&Nonce::random()).hash());
    }
}
