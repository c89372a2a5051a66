use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{SessionId, TokenVersion, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use crate::{InvalidKey, PublicKeys, SigningKey, policy::TokenPolicy};

/// All claims are required, and one of the last two.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// The same as `sub`, under the name in the specification.
    user_id: String,
    iat: u64,
    exp: u64,
    /// The session's id. Tokens of release 0.1.0 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    /// For the functions of release 0.1.0, as long as there may be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_version: Option<i32>,
}

/// What a token is issued for.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub user: UserId,
    pub session: SessionId,
    /// `None` once the database no longer has one.
    pub token_version: Option<TokenVersion>,
    /// The time until the session ends whatever happens: the token does not outlive it.
    pub session_ends_in: Duration,
}

pub struct Token {
    /// The JWT in its compact form.
    pub value: String,
    pub lifetime: Duration,
}

/// Issues tokens, with the private key.
pub struct Signer {
    key: EncodingKey,
    header: Header,
    policy: TokenPolicy,
}

impl Signer {
    /// # Errors
    /// [`InvalidKey`] when the library rejects the key.
    pub fn new(key: &SigningKey, policy: TokenPolicy) -> Result<Self, InvalidKey> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.public().id()?);
        Ok(Self { key: key.encoding_key()?, header, policy })
    }

    /// Issues a token to someone who has signed in.
    ///
    /// # Errors
    /// [`InvalidKey`] when the library cannot sign with the key.
    pub fn issue(&self, grant: &Grant) -> Result<Token, InvalidKey> {
        let lifetime = self.policy.lifetime.get().min(grant.session_ends_in);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            iss: self.policy.issuer.clone(),
            aud: self.policy.audience.clone(),
            sub: grant.user.to_string(),
            user_id: grant.user.to_string(),
            iat: now.as_secs(),
            exp: (now + lifetime).as_secs(),
            sid: Some(grant.session.to_string()),
            token_version: grant.token_version.map(|version| version.0),
        };
        let value = jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| InvalidKey)?;
        Ok(Token { value, lifetime })
    }
}

/// A token that is malformed, expired, not yet valid, or not issued by us or for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is malformed, expired, or not one of this API's")]
pub struct InvalidToken;

/// The user that a verified token was issued to: only [`Verifier::verify`] makes one.
///
/// Whether the token's session still holds is known to the database alone, by the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    user: UserId,
    proof: Proof,
}

/// What in a token the database is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Session(SessionId),
    /// Of a token of release 0.1.0: the account's token version when it was issued.
    TokenVersion(TokenVersion),
}

impl Caller {
    pub fn user(&self) -> UserId {
        self.user
    }

    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// The token's session; `None` for a token of release 0.1.0.
    pub fn session(&self) -> Option<SessionId> {
        match self.proof {
            Proof::Session(id) => Some(id),
            Proof::TokenVersion(_) => None,
        }
    }
}

/// Verifies tokens, with public keys only.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

impl Verifier {
    /// # Errors
    /// [`InvalidKey`] when the library rejects a key.
    pub fn new(keys: &PublicKeys, policy: &TokenPolicy) -> Result<Self, InvalidKey> {
        // By default only `exp` is required, with a leeway of a minute, and `nbf` is ignored.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.set_issuer(&[&policy.issuer]);
        validation.set_audience(&[&policy.audience]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        // A token is refused from the second of its `exp` on (RFC 7519, section 4.1.4). The library accepts it in that
        // second unless at least one more is required.
        validation.reject_tokens_expiring_in_less_than = 1;
        let keys = keys.0.iter().map(|key| Ok((key.id()?, key.decoding_key()?))).collect::<Result<_, _>>()?;
        Ok(Self { keys, validation })
    }

    /// Verifies the signature and the claims. The header's `kid` selects the key, whose algorithm is fixed; `alg`, `jku`,
    /// `jwk` and `x5u` select nothing. A token with `crit` is refused: no extension is supported (RFC 7515, section
    /// 4.1.11).
    pub fn verify(&self, token: &str) -> Result<Caller, InvalidToken> {
        let header = UnverifiedHeader::parse(token).filter(|header| !header.has_crit).ok_or(InvalidToken)?;
        let key = header.kid.and_then(|id| self.keys.get(&id)).ok_or(InvalidToken)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(|_| InvalidToken)?.claims;
        let user = UserId::parse(&claims.sub).filter(|_| claims.sub == claims.user_id).ok_or(InvalidToken)?;
        let proof = match (claims.sid, claims.token_version) {
            (Some(id), _) => Proof::Session(SessionId::parse(&id).ok_or(InvalidToken)?),
            (None, Some(version)) => Proof::TokenVersion(TokenVersion(version)),
            (None, None) => return Err(InvalidToken),
        };
        Ok(Caller { user, proof })
    }
}

/// The fields that are read before the signature is verified.
#[derive(Deserialize)]
struct UnverifiedHeader {
    kid: Option<String>,
    /// Whether `crit` is present, with any value.
    #[serde(rename = "crit", default, deserialize_with = "is_present")]
    has_crit: bool,
}

impl UnverifiedHeader {
    fn parse(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()
    }
}

fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::TokenLifetime;

    fn policy() -> TokenPolicy {
        TokenPolicy { issuer: "issuer".into(), audience: "audience".into(), lifetime: TokenLifetime::default() }
    }

    fn verifier(keys: &[&SigningKey]) -> Verifier {
        Verifier::new(&PublicKeys(keys.iter().map(|key| key.public()).collect()), &policy()).unwrap()
    }

    fn grant() -> Grant {
        let day = Duration::from_secs(86_400);
        Grant { user: UserId::random(), session: SessionId::random(), token_version: None, session_ends_in: day }
    }

    /// Seconds of Unix time.
    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    /// A correctly signed token with the given claims changed; `null` removes a claim.
    fn with_claims(key: &SigningKey, changes: Value) -> String {
        let now = now();
        let user = UserId::random().to_string();
        let mut claims = json!({
            "iss": "issuer", "aud": "audience", "sub": user, "user_id": user, "iat": now, "exp": now + 60,
            "sid": SessionId::random().to_string(),
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.public().id().unwrap());
        jsonwebtoken::encode(&header, &claims, &key.encoding_key().unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_who_is_calling() {
        let key = SigningKey::generate().unwrap();
        let grant = grant();
        let token = Signer::new(&key, policy()).unwrap().issue(&grant).unwrap();
        let caller = Caller { user: grant.user, proof: Proof::Session(grant.session) };
        assert_eq!(verifier(&[&key]).verify(&token.value), Ok(caller));
        assert_eq!(token.lifetime, Duration::from_secs(3600));
    }

    #[test]
    fn a_token_ends_with_its_session() {
        let key = SigningKey::generate().unwrap();
        let grant = Grant { session_ends_in: Duration::from_secs(90), ..grant() };
        assert_eq!(Signer::new(&key, policy()).unwrap().issue(&grant).unwrap().lifetime, Duration::from_secs(90));
    }

    #[test]
    fn a_token_of_the_first_release_has_a_version_for_a_session() {
        let key = SigningKey::generate().unwrap();
        let proof = |claims| verifier(&[&key]).verify(&with_claims(&key, claims)).map(|caller| caller.proof);
        let version = Proof::TokenVersion(TokenVersion(3));
        assert_eq!(proof(json!({"sid": null, "token_version": 3})), Ok(version));
        assert_eq!(proof(json!({"sid": null, "token_version": null})), Err(InvalidToken));
        assert_ne!(proof(json!({"token_version": 3})), Ok(version), "the session decides");
    }

    #[test]
    fn several_keys_verify_and_a_removed_one_stops() {
        let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let [by_old, by_new] = [&old, &new].map(|key| Signer::new(key, policy()).unwrap().issue(&grant()).unwrap());
        let both = verifier(&[&old, &new]);
        assert!(both.verify(&by_old.value).is_ok() && both.verify(&by_new.value).is_ok());
        assert_eq!(verifier(&[&new]).verify(&by_old.value), Err(InvalidToken));
    }

    #[test]
    fn every_claim_is_required_and_checked() {
        let key = SigningKey::generate().unwrap();
        let verifier = verifier(&[&key]);
        assert!(verifier.verify(&with_claims(&key, json!({}))).is_ok());
        for changes in [
            json!({"iss": null}),
            json!({"iss": "another"}),
            json!({"aud": null}),
            json!({"aud": "another"}),
            json!({"sub": null}),
            json!({"sub": "no uuid", "user_id": "no uuid"}),
            json!({"user_id": null}),
            json!({"user_id": UserId::random().to_string()}),
            json!({"iat": null}),
            json!({"exp": null}),
            json!({"exp": 0}),
            json!({"exp": 1}),
            json!({"exp": now() - 1}),
            json!({"exp": "9999999999"}),
            json!({"nbf": 9_999_999_999_u64}),
            json!({"sid": null}),
            json!({"sid": "no uuid"}),
            json!({"sid": 1}),
            json!({"sid": "no uuid", "token_version": 0}),
            json!({"token_version": 1.5}),
        ] {
            assert_eq!(verifier.verify(&with_claims(&key, changes.clone())), Err(InvalidToken), "{changes}");
        }
    }

    #[test]
    fn a_token_is_accepted_before_the_second_of_its_exp_and_refused_in_it() {
        let key = SigningKey::generate().unwrap();
        let verifier = verifier(&[&key]);
        assert_eq!(verifier.verify(&with_claims(&key, json!({"exp": now()}))), Err(InvalidToken));
        // Try again when a new second began meanwhile.
        let before = || {
            let now_at_first = now();
            let verified = verifier.verify(&with_claims(&key, json!({"exp": now_at_first + 1})));
            (now() == now_at_first).then_some(verified)
        };
        assert!(std::iter::repeat_with(before).flatten().next().unwrap().is_ok());
    }

    #[test]
    fn a_header_with_crit_is_refused_whatever_it_holds() {
        let key = SigningKey::generate().unwrap();
        let verifier = verifier(&[&key]);
        let token = with_claims(&key, json!({}));
        let claims = token.split('.').nth(1).unwrap();
        let signed = |crit: Option<Value>| {
            let mut header = json!({"typ": "JWT", "alg": "EdDSA", "kid": key.public().id().unwrap(), "b64": true});
            if let Some(crit) = crit {
                header["crit"] = crit;
            }
            let message = format!("{}.{claims}", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()));
            let encoding_key = key.encoding_key().unwrap();
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &encoding_key, Algorithm::EdDSA).unwrap();
            format!("{message}.{signature}")
        };
        assert!(verifier.verify(&signed(None)).is_ok());
        for crit in
            [json!(["exp"]), json!(["b64"]), json!(["x", "kid"]), json!([]), json!(null), json!("b64"), json!({})]
        {
            assert_eq!(verifier.verify(&signed(Some(crit.clone()))), Err(InvalidToken), "{crit}");
        }
    }
}
