//! Tokens that this API did not issue, or that are no longer valid, are refused.

use std::time::{SystemTime, UNIX_EPOCH};

use auth::{PublicKey, SigningKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, User, task_path, two_users},
    workspace::variable,
};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The key that the API signs with.
fn signing_key() -> SigningKey {
    variable("JWT_SIGNING_KEY").parse().unwrap()
}

fn encoding_key(key: &SigningKey) -> EncodingKey {
    // PKCS #8 (RFC 8410): a fixed prefix before the 32 bytes of the key.
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let seed = BASE64.decode(key.to_secret().unwrap()).unwrap();
    EncodingKey::from_ed_der(&[&prefix[..], &seed].concat())
}

/// The claims that `signin` issues for this user.
fn claims(user: &User) -> Value {
    json!({
        "iss": "task-api", "aud": "task-api", "sub": user.id, "user_id": user.id,
        "iat": now(), "exp": now() + 60, "sid": sid(user),
    })
}

/// The session in the user's token.
fn sid(user: &User) -> Value {
    let payload = user.token.split('.').nth(1).unwrap();
    serde_json::from_slice::<Value>(&BASE64.decode(payload).unwrap()).unwrap()["sid"].clone()
}

/// The claims of a token of release 0.1.0.
fn old_claims(user: &User) -> Value {
    let mut claims = claims(user);
    claims.as_object_mut().unwrap().remove("sid");
    claims["token_version"] = json!(0);
    claims
}

/// The header of a token from `signin`, with the real `kid`.
fn header(user: &User) -> Header {
    jsonwebtoken::decode_header(&user.token).unwrap()
}

fn encode(header: &Header, claims: &Value, key: &SigningKey) -> String {
    jsonwebtoken::encode(header, claims, &encoding_key(key)).unwrap()
}

fn part(json: &Value) -> String {
    BASE64.encode(json.to_string())
}

async fn status(user: &User, token: &str) -> (u16, String) {
    let reply = user.api.send(reqwest::Method::GET, &user.path(""), Some(token), None).await;
    (reply.status, reply.header("www-authenticate").to_owned())
}

async fn assert_refused(user: &User, token: &str, why: &str) {
    let refused = (401, "Bearer error=\"invalid_token\"".to_owned());
    assert_eq!(status(user, token).await, refused, "{why}");
}

#[tokio::test]
async fn a_token_encoded_as_by_signin_is_accepted() {
    // Proves that the forgeries below are refused for the reason they are made for.
    let user = Api::shared().user().await;
    assert_eq!(status(&user, &encode(&header(&user), &claims(&user), &signing_key())).await.0, 200);
}

#[tokio::test]
async fn every_claim_is_required_and_checked() {
    let (user, other) = two_users().await;
    for (claim, values) in [
        ("iss", vec![Value::Null, json!("another-api"), json!(""), json!(["task-api", "x"])]),
        ("aud", vec![Value::Null, json!("another-api"), json!("")]),
        ("sub", vec![Value::Null, json!(other.id), json!("no id"), json!(user.id.to_uppercase() + " ")]),
        ("user_id", vec![Value::Null, json!(other.id)]),
        ("iat", vec![Value::Null]),
        ("exp", vec![Value::Null, json!(now()), json!(now() - 1), json!(0), json!(-1), json!("9999999999")]),
        ("nbf", vec![json!(now() + 300)]),
        ("sid", vec![Value::Null, sid(&other), json!(""), json!(user.id), json!(1), json!([sid(&user)])]),
        ("token_version", vec![json!("0"), json!(0.5), json!(4_294_967_296_u64)]),
    ] {
        for value in values {
            let mut claims = claims(&user);
            claims[claim] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(claim);
            }
            let token = encode(&header(&user), &claims, &signing_key());
            assert_refused(&user, &token, &format!("{claim} = {value}")).await;
        }
    }
}

#[tokio::test]
async fn a_token_of_the_first_release_is_honoured_until_the_password_changes() {
    let user = Api::shared().user().await;
    let token = |claims: &Value| encode(&header(&user), claims, &signing_key());
    let old = User { token: token(&old_claims(&user)), ..user.clone() };
    for version in [json!(1), json!(-1), json!("0"), json!(0.5), json!(4_294_967_296_u64)] {
        let mut claims = old_claims(&user);
        claims["token_version"] = version.clone();
        assert_refused(&user, &token(&claims), &format!("token_version = {version}")).await;
    }
    let task = old.task("x").await;
    old.put(&task_path(&task), &json!({"completed": true})).await.expect(200);
    old.get("/tasks?q=x&sort=due_date").await.expect(200);
    old.get("/summary").await.expect(200);
    assert_eq!(old.get("/sessions").await.expect(200).body[0]["current"], false);
    assert_eq!(old.delete("/sessions/current").await.expect(403).body["code"], "no_such_session");
    old.delete(&task_path(&task)).await.expect(204);

    let change = json!({"current_password": PASSWORD, "password": "another password"});
    user.put("", &change).await.expect(200);
    assert_refused(&user, &old.token, "the password has changed").await;
    user.get("").await.expect(200);
}

#[tokio::test]
async fn ending_all_sessions_ends_the_tokens_of_the_first_release_too() {
    let user = Api::shared().user().await;
    let old = encode(&header(&user), &old_claims(&user), &signing_key());
    let account = user.get("").await.expect(200).body;
    user.delete("/sessions").await.expect(204);
    assert_refused(&user, &old, "all sessions have ended").await;
    let again = User { token: user.api.sign_in(&user.email, PASSWORD).await.expect(200).token(), ..user.clone() };
    assert_eq!(again.get("").await.expect(200).body, account, "this is no change of the account");

    let mut claims = old_claims(&user);
    claims["token_version"] = json!(1);
    let old = User { token: encode(&header(&user), &claims, &signing_key()), ..user };
    old.delete("/sessions").await.expect(204);
    old.get("").await.expect(401);
    again.get("").await.expect(401);
}

#[tokio::test]
async fn a_token_of_another_algorithm_is_refused() {
    let user = Api::shared().user().await;
    let kid = header(&user).kid;
    for algorithm in ["none", "None", "NONE", ""] {
        let unsigned = format!("{}.{}", part(&json!({"alg": algorithm, "kid": kid})), part(&claims(&user)));
        assert_refused(&user, &format!("{unsigned}."), &format!("alg {algorithm:?}, no signature")).await;
        let signature = user.token.rsplit_once('.').unwrap().1;
        assert_refused(&user, &format!("{unsigned}.{signature}"), &format!("alg {algorithm:?}, a signature")).await;
    }
    // Algorithm confusion: a public key used as the secret of an HMAC.
    let public = signing_key().public().to_string();
    let raw = BASE64.decode(&public).unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::prelude::BASE64_STANDARD
            .encode([&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &raw].concat())
    );
    for secret in [public.as_bytes(), &raw, pem.as_bytes(), b""] {
        for algorithm in [Algorithm::HS256, Algorithm::HS512] {
            let header = Header { kid: kid.clone(), ..Header::new(algorithm) };
            let token = jsonwebtoken::encode(&header, &claims(&user), &EncodingKey::from_secret(secret)).unwrap();
            assert_refused(&user, &token, &format!("{algorithm:?} keyed with public material")).await;
        }
    }
}

#[tokio::test]
async fn only_the_apis_own_keys_are_trusted() {
    let user = Api::shared().user().await;
    let (ours, attackers) = (header(&user), SigningKey::generate().unwrap());
    let public: PublicKey = attackers.public();
    let jwk: Jwk = serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": public.to_string()})).unwrap();
    let headers = [
        ("our kid", ours.clone()),
        ("no kid", Header { kid: None, ..ours.clone() }),
        ("an unknown kid", Header { kid: Some("x".into()), ..ours.clone() }),
        ("a kid that is a path", Header { kid: Some("../../../dev/null".into()), ..ours.clone() }),
        ("a key in the header", Header { jwk: Some(jwk), ..ours.clone() }),
        ("a key at a URL", Header { jku: Some("https://example.com/jwks.json".into()), ..ours.clone() }),
        ("a certificate at a URL", Header { x5u: Some("https://example.com/x.pem".into()), ..ours.clone() }),
    ];
    for (why, header) in headers {
        assert_refused(&user, &encode(&header, &claims(&user), &attackers), why).await;
    }
    let without_kid = Header { kid: None, ..ours };
    assert_refused(&user, &encode(&without_kid, &claims(&user), &signing_key()), "our key, but no kid").await;
}

#[tokio::test]
async fn a_token_with_critical_extensions_is_refused() {
    let user = Api::shared().user().await;
    for crit in [vec!["exp"], vec!["b64"], vec!["https://example.com/x"], vec![]] {
        let crit = Some(crit.into_iter().map(str::to_owned).collect());
        let header = Header { crit, ..header(&user) };
        assert_refused(&user, &encode(&header, &claims(&user), &signing_key()), &format!("{:?}", header.crit)).await;
    }
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let (user, other) = two_users().await;
    let [header, payload, signature] = user.token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let others = other.token.split('.').collect::<Vec<_>>();
    let mut wrong_signature = BASE64.decode(signature).unwrap();
    wrong_signature[10] ^= 1;
    let longer = json!({"iss": "task-api", "aud": "task-api", "sub": user.id, "user_id": user.id, "iat": now(),
        "exp": now() + 1_000_000, "sid": sid(&user)});
    for (why, token) in [
        ("another payload", format!("{header}.{}.{signature}", part(&longer))),
        ("another user's payload", format!("{header}.{}.{signature}", others[1])),
        ("another token's signature", format!("{header}.{payload}.{}", others[2])),
        ("a bit of the signature", format!("{header}.{payload}.{}", BASE64.encode(wrong_signature))),
        ("half a signature", format!("{header}.{payload}.{}", &signature[..43])),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("one part", header.to_owned()),
        ("four parts", format!("{}.{signature}", user.token)),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("padding", format!("{}=", user.token)),
        ("a payload that is no JSON", format!("{header}.{}.{signature}", BASE64.encode("x"))),
        ("8 KiB", "a".repeat(8192)),
        ("8 KiB of dots", ".".repeat(8192)),
    ] {
        assert_refused(&user, &token, why).await;
    }
}
