//! Which passwords an account may get, and which it keeps.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email},
    database::connect_to_stack,
};

async fn sign_up(email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password});
    Api::shared().send(Method::POST, "/users/signup", None, Some(&body)).await
}

/// Checks that a 422 names the password alone, and why.
#[track_caller]
fn assert_refused(reply: Reply, rule: &str) {
    assert_eq!(reply.expect(422).body["errors"], json!([{"field": "password", "detail": rule}]));
}

/// Checks that the account has not changed.
async fn assert_unchanged(user: &User, before: &Value) {
    assert_eq!(user.get("").await.expect(200).body, *before);
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_common_password_is_refused_in_whatever_case() {
    let user = Api::shared().user().await;
    let before = user.get("").await.expect(200).body;
    for password in ["12345678", "password", "Password1", "QWERTYUIOP", "P@ssw0rd"] {
        let rule = "must not be one of the most used passwords";
        assert_refused(sign_up(&fresh_email(), password).await, rule);
        let change = json!({"current_password": PASSWORD, "password": password});
        assert_refused(user.put("", &change).await, rule);
        assert_refused(user.patch("", &change).await, rule);
    }
    assert_eq!(sign_up("ada", "password").await.expect(422).fields(), ["email", "password"], "both at once");
    let change = json!({"current_password": PASSWORD, "email": "ada", "password": "password"});
    assert_eq!(user.put("", &change).await.expect(422).fields(), ["email", "password"], "both at once");
    assert_unchanged(&user, &before).await;
}

#[tokio::test]
async fn a_new_password_is_not_the_accounts_address() {
    let rule = "must not be the e-mail address";
    let (email, other) = (fresh_email(), fresh_email());
    let ways = |email: &str| [email.to_owned(), email.to_uppercase(), format!(" {email}\n")];

    for password in ways(&email) {
        assert_refused(sign_up(&email, &password).await, rule);
        assert_refused(sign_up(&email.to_uppercase(), &password).await, rule);
    }
    sign_up(&email, &other).await.expect(201);
    Api::shared().sign_in(&email, &other).await.expect(200);

    let user = Api::shared().user().await;
    let before = user.get("").await.expect(200).body;
    let new = fresh_email();
    for password in ways(&user.email) {
        assert_refused(user.put("", &json!({"current_password": PASSWORD, "password": password})).await, rule);
        let change = json!({"current_password": PASSWORD, "email": new, "password": password});
        assert_refused(user.put("", &change).await, rule);
    }
    for password in ways(&new) {
        let change = json!({"current_password": PASSWORD, "email": new.to_uppercase(), "password": password});
        assert_refused(user.put("", &change).await, rule);
    }
    assert_unchanged(&user, &before).await;
}

/// The address is read together with the password's hash.
#[tokio::test]
async fn a_wrong_current_password_is_refused_before_the_accounts_address() {
    let user = Api::shared().user().await;
    user.put("", &json!({"current_password": "wrong password", "password": user.email})).await.expect(401);
}

#[tokio::test]
async fn an_account_may_keep_a_common_password_and_change_it_for_a_better_one() {
    const COMMON: &str = "Password1";
    const HASH: &str = "$2b$12$W2hphtJyK7RX/kBA/nElHO99F/7PG9uEzaJOHHdid2WrZf7.BZ1PC";
    let mut user = Api::shared().user().await;
    let sql = format!("UPDATE users SET password_hash = '{HASH}' WHERE id = '{}'", user.id);
    connect_to_stack().await.batch_execute(&sql).await.unwrap();

    user.token = user.api.sign_in(&user.email, COMMON).await.expect(200).token();
    user.put("", &json!({"current_password": COMMON, "email": user.email.to_uppercase()})).await.expect(200);
    user.put("", &json!({"current_password": COMMON, "password": COMMON})).await.expect(422);
    user.api.sign_in(&user.email, COMMON).await.expect(200);

    user.put("", &json!({"current_password": COMMON, "password": "a better one"})).await.expect(200);
    user.api.sign_in(&user.email, COMMON).await.expect(401);
    user.api.sign_in(&user.email, "a better one").await.expect(200);
}
