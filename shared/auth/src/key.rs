use std::{fmt, str::FromStr};

use aws_lc_rs::{
    encoding::AsBigEndian,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash},
};

/// The message never quotes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key: 32 bytes in base64url without padding (RFC 8037) are expected")]
pub struct InvalidKey;

/// A private Ed25519 key, written as the `d` of RFC 8037. Whoever holds it can issue tokens.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Generates a key from the operating system's random numbers.
    ///
    /// # Errors
    /// [`InvalidKey`] when the random number generator fails.
    pub fn generate() -> Result<Self, InvalidKey> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| InvalidKey)
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(BASE64_URL_SAFE_NO_PAD.encode(self.0.public_key()))
    }

    /// The secret form, which [`SigningKey::from_str`] parses.
    ///
    /// # Errors
    /// [`InvalidKey`] when the library does not export the key.
    pub fn to_secret(&self) -> Result<String, InvalidKey> {
        let seed = self.0.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| InvalidKey)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(seed.as_ref()))
    }

    pub(crate) fn encoding_key(&self) -> Result<EncodingKey, InvalidKey> {
        let der = self.0.to_pkcs8v1().map_err(|_| InvalidKey)?;
        Ok(EncodingKey::from_ed_der(der.as_ref()))
    }
}

impl FromStr for SigningKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let seed = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidKey)?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(|_| InvalidKey)
    }
}

/// A public Ed25519 key, written as the `x` of RFC 8037.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    pub(crate) fn decoding_key(&self) -> Result<DecodingKey, InvalidKey> {
        DecodingKey::from_ed_components(&self.0).map_err(|_| InvalidKey)
    }

    /// The `kid` of a token's header: the key's thumbprint (RFC 7638).
    pub(crate) fn id(&self) -> Result<String, InvalidKey> {
        self.jwk()?.thumbprint(ThumbprintHash::SHA256).map_err(|_| InvalidKey)
    }

    fn jwk(&self) -> Result<Jwk, InvalidKey> {
        Jwk::from_decoding_key(&self.decoding_key()?, Some(Algorithm::EdDSA)).map_err(|_| InvalidKey)
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match BASE64_URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(text.to_owned())),
            _ => Err(InvalidKey),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public keys whose tokens are accepted, separated by commas. For a rotation there are two: the new key is accepted
/// everywhere before the first token is signed with it, and the old one until its last token has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys(pub(crate) Vec<PublicKey>);

impl PublicKeys {
    /// A JSON Web Key Set (RFC 7517, section 5).
    ///
    /// # Errors
    /// [`InvalidKey`] when the library rejects a key.
    pub fn to_jwks(&self) -> Result<JwkSet, InvalidKey> {
        let published = |key: &PublicKey| {
            let mut jwk = key.jwk()?;
            jwk.common.key_id = Some(key.id()?);
            jwk.common.public_key_use = Some(PublicKeyUse::Signature);
            jwk.common.key_algorithm = Some(KeyAlgorithm::EdDSA);
            Ok(jwk)
        };
        Ok(JwkSet { keys: self.0.iter().map(published).collect::<Result<_, _>>()? })
    }
}

impl FromStr for PublicKeys {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        text.split(',').map(|key| key.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&keys.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_written_and_read() {
        let key = SigningKey::generate().unwrap();
        let read: SigningKey = key.to_secret().unwrap().parse().unwrap();
        assert_eq!(read.public(), key.public());
    }

    #[test]
    fn the_key_of_rfc_8037_has_the_thumbprint_of_rfc_8037() {
        let key: SigningKey = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".parse().unwrap();
        assert_eq!(key.public().to_string(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.public().id().unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_published_key_has_its_use_and_no_secret() {
        let key = SigningKey::generate().unwrap();
        let set = PublicKeys(vec![key.public()]).to_jwks().unwrap();
        assert_eq!(
            serde_json::to_value(set).unwrap(),
            serde_json::json!({"keys": [{
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": key.public().id().unwrap(), "x": key.public().to_string(),
            }]})
        );
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for text in ["", "AAAA", "not base64!", &"A".repeat(44)] {
            assert!(text.parse::<SigningKey>().is_err(), "{text:?}");
            assert!(text.parse::<PublicKey>().is_err(), "{text:?}");
        }
        assert!("".parse::<PublicKeys>().is_err());
        assert!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo,".parse::<PublicKeys>().is_err());
    }
}
