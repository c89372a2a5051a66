use std::{
    collections::HashMap,
    ops::RangeInclusive,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{Caller, TokenVersion, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use crate::{InvalidKey, PublicKeys, SigningKey};

/// How long a token is accepted for: 1 s to a day, because nobody can take back a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLifetime(Duration);

impl TokenLifetime {
    const SECONDS: RangeInclusive<u64> = 1..=86_400;

    /// The time itself, whole seconds.
    pub fn get(self) -> Duration {
        self.0
    }
}

/// An hour.
impl Default for TokenLifetime {
    fn default() -> Self {
        Self(Duration::from_secs(3600))
    }
}

/// What is no [`TokenLifetime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be a whole number of seconds from {} to {}", TokenLifetime::SECONDS.start(), TokenLifetime::SECONDS.end())]
pub struct InvalidLifetime;

impl FromStr for TokenLifetime {
    type Err = InvalidLifetime;

    fn from_str(text: &str) -> Result<Self, InvalidLifetime> {
        let seconds = domain::whole_number(text).filter(|seconds| Self::SECONDS.contains(seconds));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or(InvalidLifetime)
    }
}

/// What every token of one deployment has in common.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// Who issues them: the `iss` claim.
    pub issuer: String,
    /// Whom they are meant for: the `aud` claim.
    pub audience: String,
    /// How long they are accepted for.
    pub lifetime: TokenLifetime,
}

/// The claims of a token. All of them are required.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// The same as `sub`: the name the specification gives it.
    user_id: String,
    iat: u64,
    exp: u64,
    /// The account's token version when it was issued.
    token_version: i32,
}

/// A token, ready to be handed to its user.
pub struct Token {
    /// The JWT in its compact form.
    pub value: String,
    /// How long it will be accepted for.
    pub lifetime: Duration,
}

/// Mints tokens with the one key that signs.
pub struct Signer {
    key: EncodingKey,
    header: Header,
    policy: TokenPolicy,
}

impl Signer {
    /// Prepares the key.
    ///
    /// # Errors
    /// [`InvalidKey`] when the library will not take it.
    pub fn new(key: &SigningKey, policy: TokenPolicy) -> Result<Self, InvalidKey> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.public().id()?);
        Ok(Self { key: key.encoding_key()?, header, policy })
    }

    /// A token for the caller, as of now.
    ///
    /// # Errors
    /// [`InvalidKey`] when the library cannot sign with the key.
    pub fn issue(&self, caller: Caller) -> Result<Token, InvalidKey> {
        let lifetime = self.policy.lifetime.get();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            iss: self.policy.issuer.clone(),
            aud: self.policy.audience.clone(),
            sub: caller.user.to_string(),
            user_id: caller.user.to_string(),
            iat: now.as_secs(),
            exp: (now + lifetime).as_secs(),
            token_version: caller.token_version.0,
        };
        let value = jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| InvalidKey)?;
        Ok(Token { value, lifetime })
    }
}

/// A token that is not ours, not for us, not yet or no longer valid, or no token at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is malformed, expired, or not one of this API's")]
pub struct InvalidToken;

/// Verifies tokens, with public keys alone.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

impl Verifier {
    /// Prepares the keys.
    ///
    /// # Errors
    /// [`InvalidKey`] when the library will not take one.
    pub fn new(keys: &PublicKeys, policy: &TokenPolicy) -> Result<Self, InvalidKey> {
        // The defaults ask for `exp` alone, allow a minute of leeway, and do not look at `nbf`.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.set_issuer(&[&policy.issuer]);
        validation.set_audience(&[&policy.audience]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        // `exp` is the first second in which the token is refused (RFC 7519, section 4.1.4), not the last one of its
        // life: what is left must be a second at least.
        validation.reject_tokens_expiring_in_less_than = 1;
        let keys = keys.0.iter().map(|key| Ok((key.id()?, key.decoding_key()?))).collect::<Result<_, _>>()?;
        Ok(Self { keys, validation })
    }

    /// Who the token says is calling. The header's `kid` picks the key, and nothing else in the header is followed:
    /// the algorithm is the key's own, and `jku`, `jwk` and `x5u` are not looked at. A token with `crit` is refused,
    /// which says that there is more to be understood (RFC 7515, section 4.1.11).
    ///
    /// # Errors
    /// [`InvalidToken`], which does not say why.
    pub fn verify(&self, token: &str) -> Result<Caller, InvalidToken> {
        let header = OurHeader::of(token).filter(|header| !header.has_crit).ok_or(InvalidToken)?;
        let key = header.kid.and_then(|id| self.keys.get(&id)).ok_or(InvalidToken)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(|_| InvalidToken)?.claims;
        let user = UserId::parse(&claims.sub).filter(|_| claims.sub == claims.user_id).ok_or(InvalidToken)?;
        Ok(Caller { user, token_version: TokenVersion(claims.token_version) })
    }
}

/// What is looked at of a token's header before its signature is verified.
#[derive(Deserialize)]
struct OurHeader {
    kid: Option<String>,
    /// Whether there is a `crit`, whatever it holds.
    #[serde(rename = "crit", default, deserialize_with = "is_there")]
    has_crit: bool,
}

impl OurHeader {
    fn of(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()
    }
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy() -> TokenPolicy {
        TokenPolicy { issuer: "issuer".into(), audience: "audience".into(), lifetime: TokenLifetime::default() }
    }

    fn caller() -> Caller {
        Caller { user: UserId::random(), token_version: TokenVersion(3) }
    }

    fn verifier(keys: &[&SigningKey]) -> Verifier {
        Verifier::new(&PublicKeys(keys.iter().map(|key| key.public()).collect()), &policy()).unwrap()
    }

    /// The second that it is, of Unix time.
    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    /// A token with a right signature and the given claims changed; `null` takes a claim away.
    fn with_claims(key: &SigningKey, changes: Value) -> String {
        let now = now();
        let user = UserId::random().to_string();
        let mut claims = json!({
            "iss": "issuer", "aud": "audience", "sub": user, "user_id": user, "iat": now, "exp": now + 60,
            "token_version": 0,
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
        let caller = caller();
        let token = Signer::new(&key, policy()).unwrap().issue(caller).unwrap();
        assert_eq!(verifier(&[&key]).verify(&token.value), Ok(caller));
    }

    #[test]
    fn several_keys_verify_and_a_removed_one_stops() {
        let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let [by_old, by_new] = [&old, &new].map(|key| Signer::new(key, policy()).unwrap().issue(caller()).unwrap());
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
            json!({"token_version": null}),
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
        // Looked at once more when a second began meanwhile.
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

    #[test]
    fn a_lifetime_is_1_s_to_a_day() {
        for (text, seconds) in [("1", 1), ("60", 60), ("086400", 86_400)] {
            assert_eq!(text.parse::<TokenLifetime>().map(|lifetime| lifetime.get().as_secs()), Ok(seconds), "{text}");
        }
        for text in ["", "0", "00", "-1", "+60", "86401", "1e3", "60.0", "60s", " 60", "99999999999999999999"] {
            assert_eq!(text.parse::<TokenLifetime>(), Err(InvalidLifetime), "{text:?}");
        }
    }
}
