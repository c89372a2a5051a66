//! Signing up and in; reading, changing and deleting accounts.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, fresh_email, two_users},
    database::connect_to_stack,
};

const ACCOUNT_MEMBERS: [&str; 4] = ["created_at", "email", "id", "updated_at"];

fn names(body: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn sign_up(email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password});
    Api::shared().send(Method::POST, "/users/signup", None, Some(&body)).await
}

/// Checks a timestamp: the format is the contract's, and it is now, in UTC. The local database runs in Tokyo's zone.
fn assert_just_now(time: &Value) {
    let text = time.as_str().unwrap();
    assert!(text.ends_with('Z') && text.len() == "2026-01-01T00:00:00.000000Z".len(), "{text}");
    let age = Utc::now() - text.parse::<DateTime<Utc>>().unwrap();
    assert!(age.num_minutes().abs() < 10, "{text} is not now");
}

#[tokio::test]
async fn signing_up_creates_an_account_and_returns_its_location() {
    let email = fresh_email();
    let reply = sign_up(&email, PASSWORD).await.expect(201);
    assert_eq!(names(&reply.body), ["created_at", "email", "id"]);
    assert_eq!(reply.body["email"], email.as_str());
    let id = reply.body["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), id, "a reference relative to the request's own address");
    assert_eq!(reply.location().as_str(), Api::shared().url(&format!("/users/{id}")));
    assert_just_now(&reply.body["created_at"]);
}

#[tokio::test]
async fn an_email_has_one_account_in_whatever_case() {
    let email = fresh_email();
    let written = format!("\t {} ", email.to_uppercase());
    let account = sign_up(&written, PASSWORD).await.expect(201).body;
    assert_eq!(account["email"], email.as_str(), "trimmed and in lower case");
    for same in [email.as_str(), &written, &email.replace("user", "uSER")] {
        sign_up(same, "another password").await.expect(409);
        Api::shared().sign_in(same, PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn an_invalid_email_or_password_is_named() {
    let long = format!("{}@example.com", "a".repeat(243));
    for email in [
        "",
        "ada",
        "@example.com",
        "ada@example",
        "a b@example.com",
        "ада@example.com",
        "a@b@example.com",
        "ada@example.c",
        "ada@exam\0ple.com",
        "ada@example.com\u{200b}",
        long.as_str(),
    ] {
        assert_eq!(sign_up(email, PASSWORD).await.expect(422).fields(), ["email"], "{email:?}");
    }
    for password in ["", "1234567", "🔑🔑🔑🔑🔑🔑🔑", &"a".repeat(73), &"é".repeat(37), "pass\0word"] {
        assert_eq!(sign_up(&fresh_email(), password).await.expect(422).fields(), ["password"], "{password:?}");
    }
    assert_eq!(sign_up("ada", "1234567").await.expect(422).fields(), ["email", "password"], "both at once");
}

#[tokio::test]
async fn a_password_has_8_code_points_to_72_bytes_all_significant() {
    for password in ["🔑🔑🔑🔑🔑🔑🔑🔑", &"a".repeat(72), "        ", " leading and trailing "] {
        let email = fresh_email();
        sign_up(&email, password).await.expect(201);
        let mut wrong = password.to_owned();
        wrong.pop();
        Api::shared().sign_in(&email, &wrong).await.expect(401);
        Api::shared().sign_in(&email, &format!("{password}a")).await.expect(401);
        Api::shared().sign_in(&email, password).await.expect(200);
    }
}

#[tokio::test]
async fn signing_in_returns_a_token_for_the_account() {
    let user = Api::shared().user().await;
    let reply = user.api.sign_in(&user.email, PASSWORD).await.expect(200);
    let members = ["expires_in", "refresh_expires_in", "refresh_token", "session_id", "token", "token_type", "user_id"];
    assert_eq!(names(&reply.body), members);
    assert_eq!((&reply.body["token_type"], &reply.body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(reply.body["user_id"], user.id.as_str());
    user.api.send(Method::GET, &user.path(""), Some(&reply.token()), None).await.expect(200);
}

#[tokio::test]
async fn a_wrong_email_and_a_wrong_password_get_the_same_answer() {
    let user = Api::shared().user().await;
    let mut answers = Vec::new();
    for (email, password) in [
        (user.email.as_str(), "wrong password"),
        (user.email.as_str(), ""),
        (user.email.as_str(), &"a".repeat(1000)),
        (user.email.as_str(), &format!("{PASSWORD} ")),
        (&fresh_email(), PASSWORD),
        (&fresh_email(), "short"),
    ] {
        let mut reply = user.api.sign_in(email, password).await.expect(401);
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        reply.body["request_id"] = Value::Null;
        answers.push(reply.body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}

#[tokio::test]
async fn an_account_is_read_by_its_user() {
    let user = Api::shared().user().await;
    let account = user.get("").await.expect(200).body;
    assert_eq!(names(&account), ACCOUNT_MEMBERS);
    assert_eq!((&account["id"], &account["email"]), (&json!(user.id), &json!(user.email)));
    assert_eq!(account["created_at"], account["updated_at"]);
    assert_just_now(&account["updated_at"]);
}

#[tokio::test]
async fn an_account_is_changed_only_with_its_current_password() {
    let (user, other) = two_users().await;
    let before = user.get("").await.expect(200).body;
    for wrong in ["wrong password", "", &"a".repeat(100)] {
        let changes = json!({"current_password": wrong, "email": fresh_email(), "password": "another password"});
        assert_eq!(user.put("", &changes).await.expect(401).header("www-authenticate"), "Bearer");
    }
    let taken = json!({"current_password": PASSWORD, "email": other.email.to_uppercase(), "password": "another one"});
    user.put("", &taken).await.expect(409);
    let nothing = user.put("", &json!({"current_password": PASSWORD})).await.expect(422);
    assert_eq!(nothing.fields(), ["body"]);
    let invalid = json!({"current_password": "x", "email": "no address", "password": "short"});
    assert_eq!(user.put("", &invalid).await.expect(422).fields(), ["email", "password"]);

    assert_eq!(user.get("").await.expect(200).body, before, "nothing has changed, and the token is still valid");
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_changed_email_replaces_the_old_one() {
    let user = Api::shared().user().await;
    let before = user.get("").await.expect(200).body;
    let email = fresh_email();
    let changed = user.put("", &json!({"current_password": PASSWORD, "email": email.to_uppercase()})).await.expect(200);
    assert_eq!(names(&changed.body), ACCOUNT_MEMBERS);
    assert_eq!((&changed.body["email"], &changed.body["created_at"]), (&json!(email), &before["created_at"]));
    assert!(changed.body["updated_at"].as_str() > before["updated_at"].as_str());

    assert_eq!(user.get("").await.expect(200).body, changed.body, "the token is still valid");
    user.api.sign_in(&email, PASSWORD).await.expect(200);
    user.api.sign_in(&user.email, PASSWORD).await.expect(401);
    sign_up(&user.email, PASSWORD).await.expect(201);
}

#[tokio::test]
async fn a_changed_password_replaces_the_old_one() {
    let user = Api::shared().user().await;
    let (email, password) = (fresh_email(), "another password");
    let changes = json!({"current_password": PASSWORD, "email": email, "password": password});
    assert_eq!(user.put("", &changes).await.expect(200).body["email"], email.as_str());
    assert_eq!(user.get("").await.expect(200).body["email"], email.as_str(), "the session goes on");
    user.api.sign_in(&email, PASSWORD).await.expect(401);
    let token = user.api.sign_in(&email, password).await.expect(200).token();
    user.api.send(Method::GET, &user.path(""), Some(&token), None).await.expect(200);
}

#[tokio::test]
async fn deleting_an_account_deletes_its_tasks_and_nobody_elses() {
    let (user, other) = two_users().await;
    let kept = other.task("kept").await;
    for number in 0..100 {
        user.task(&number.to_string()).await;
    }
    let database = connect_to_stack().await;
    let tasks = async || {
        let sql = "SELECT count(*) FROM tasks WHERE user_id = $1::text::uuid";
        let rows = database.query_typed(sql, &[(&user.id, tokio_postgres::types::Type::TEXT)]).await.unwrap();
        rows[0].get::<_, i64>(0)
    };
    assert_eq!(tasks().await, 100);
    user.delete("").await.expect(204);
    assert_eq!(tasks().await, 0);

    user.api.sign_in(&user.email, PASSWORD).await.expect(401);
    assert_eq!(other.get("/tasks").await.expect(200).body, json!([kept]));
    let again = sign_up(&user.email, PASSWORD).await.expect(201).body;
    assert_ne!(again["id"], user.id.as_str(), "the address is free for another account");
}

#[tokio::test]
async fn health_is_ok_when_the_database_answers() {
    let reply = Api::shared().send(Method::GET, "/health", None, None).await.expect(200);
    assert_eq!(reply.body, json!({"status": "ok"}));
}
