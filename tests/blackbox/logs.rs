//! What the log contains, and what it never contains.

use std::{collections::BTreeSet, fs};

use reqwest::{Method, header::AUTHORIZATION};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, User, reply, task_path},
    mail::Mailbox,
    server::{Settings, TestServer, request_lines},
    store::ParameterStore,
    workspace::root,
};

use crate::{
    password_resets::{ask, reset},
    sessions::age,
};

/// Marks everything secret.
const SECRET: &str = "s3cr3t-m4rk";

/// Sends requests of every kind, with the mark in everything secret; the secrets, the user's token included.
async fn session(api: &Api) -> Vec<String> {
    let email = format!("{SECRET}-{}", tests::api::fresh_email());
    let password = format!("{SECRET}-password");
    let post = async |path: &str, body: Value| api.send(Method::POST, path, None, Some(&body)).await;

    let credentials = json!({"email": email, "password": password});
    let id = post("/users/signup", credentials.clone()).await.expect(201).body["id"].as_str().unwrap().to_owned();
    post("/users/signup", credentials.clone()).await.expect(409);
    post("/users/signup", json!({"email": SECRET, "password": "\0s3cr3t-m4rk"})).await.expect(422);
    post("/users/signup", json!({SECRET: SECRET, "email": SECRET})).await.expect(400);
    post("/users/signin", json!({"email": email, "password": format!("{SECRET}-wrong")})).await.expect(401);
    let signed_in = post("/users/signin", credentials.clone()).await.expect(200);
    let token = signed_in.token();
    let with_cookie = json!({"email": email, "password": password, "cookie": true});
    let cookie = post("/users/signin", with_cookie).await.expect(200).header("set-cookie").to_owned();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let mut refresh_tokens = vec![signed_in.refresh_token(), cookie.split_once('=').unwrap().1.to_owned()];
    for _ in 0..2 {
        refresh_tokens.push(api.refresh(&refresh_tokens[0]).await.expect(200).refresh_token());
    }
    api.refresh(&refresh_tokens[2]).await.expect(200);
    for refused in [refresh_tokens[0].clone(), format!("{}{SECRET}", refresh_tokens[1]), SECRET.to_owned()] {
        api.refresh(&refused).await.expect(401);
    }
    let refresh = || api.request(Method::POST, "/users/token").json(&json!({}));
    reply(refresh().header("cookie", &cookie)).await.expect(200);
    reply(refresh().header("cookie", format!("{}={SECRET}", cookie.split('=').next().unwrap()))).await.expect(401);
    reply(api.request(Method::GET, &format!("/users/me/sessions?{SECRET}")).bearer_auth(&token)).await.expect(200);
    let user = User { api: api.clone(), id, email: email.clone(), token: token.clone() };

    let task = user.task(&format!("{SECRET}-title")).await;
    user.post("/tasks", &json!({"title": SECRET, "description": SECRET, "x": SECRET})).await.expect(400);
    user.get(&format!("/tasks?cursor={SECRET}")).await.expect(400);
    user.get(&format!("/tasks?{SECRET}=1")).await.expect(400);
    user.get(&format!("/tasks/{SECRET}")).await.expect(400);
    user.get(&format!("/tasks/{}", user.id)).await.expect(403);
    let create = api.request(Method::POST, &user.path("/tasks")).bearer_auth(&token);
    reply(create.header("idempotency-key", SECRET).json(&json!({"title": SECRET}))).await.expect(201);
    for authorization in [format!("Bearer {SECRET}"), format!("Bearer {token}{SECRET}"), format!("Basic {SECRET}")] {
        reply(api.request(Method::GET, &user.path("/tasks")).header(AUTHORIZATION, authorization)).await.expect(401);
    }
    user.put("", &json!({"current_password": SECRET, "password": password})).await.expect(401);
    let path = task_path(&task);
    user.put(&path, &json!({"title": format!("{SECRET}-other"), "description": SECRET})).await.expect(200);
    let changes = json!({"current_password": password, "password": format!("{SECRET}-new-password")});
    let other_email = json!({"current_password": password, "email": format!("other-{email}")});
    user.put("", &other_email).await.expect(200);
    user.put("", &changes).await.expect(200);

    let email = format!("other-{email}");
    ask(api, &email).await.expect(202);
    let of_mail = Mailbox::shared().to(&email)[0].token();
    reset(api, &format!("{of_mail}-{SECRET}"), &format!("{SECRET}-third-password")).await.expect(401);
    reset(api, &of_mail, SECRET.get(..7).unwrap()).await.expect(422);
    reset(api, &of_mail, &format!("{SECRET}-third-password")).await.expect(204);
    [vec![SECRET.to_owned(), token, of_mail], refresh_tokens].concat()
}

#[tokio::test]
async fn no_secret_is_in_any_line_at_any_level() {
    let settings = Settings::shared();
    let stored = ["JWT_SIGNING_KEY", "DATABASE_URL"].map(|name| settings.get(name).to_owned());
    let url: reqwest::Url = settings.get("DATABASE_URL").parse().unwrap();
    let stored = [&stored[..], &[url.password().unwrap().to_owned()]].concat();
    for level in ["", "trace"] {
        let server = TestServer::start(&settings.clone().with("AWS_LAMBDA_LOG_LEVEL", level));
        let secrets = session(&server.api).await;
        let log = server.output();
        assert!(request_lines(&log).len() > 15, "{log}");
        for secret in secrets.iter().chain(&stored) {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "at level {level:?}");
        }
    }
}

#[tokio::test]
async fn every_request_has_one_line_with_its_outcome() {
    let server = TestServer::start(&Settings::shared());
    let user = server.user().await;
    let task = user.task("x").await;
    let path = task_path(&task);
    user.get(&path).await.expect(200);
    user.get(&path).await.expect(200);
    let forged = server.api.send(Method::GET, &user.path(&path), Some("x"), None).await.expect(401);

    let lines = server.requests();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for line in &lines {
        for (name, is_right) in [
            ("timestamp", line["timestamp"].is_string()),
            ("level", line["level"] == "INFO"),
            ("request_id", line["request_id"].is_string()),
            ("function_request_id", line["function_request_id"].is_string()),
            ("function_version", line["function_version"].is_string()),
            ("xray_trace_id", line["xray_trace_id"].is_string()),
            ("status", line["status"].is_u64()),
            ("duration_ms", line["duration_ms"].as_f64() >= line["database_ms"].as_f64()),
            ("database_ms", line["database_ms"].is_f64()),
            ("attempts", line["attempts"].is_u64()),
            ("cold_start", line["cold_start"].is_boolean()),
        ] {
            assert!(is_right, "{name} of {line}");
        }
    }
    let routes: Vec<_> = lines.iter().map(|line| line["route"].as_str().unwrap()).collect();
    let get = "GET /users/{user_id}/tasks/{task_id}";
    assert_eq!(routes, ["POST /users/{user_id}/tasks", get, get, get], "ids are in no route");
    assert_eq!(lines[1..3].iter().map(|line| &line["cold_start"]).collect::<Vec<_>>(), [true, false]);
    assert!(lines[..3].iter().all(|line| line["user"] == user.id.as_str() && line["attempts"] == 1));
    assert!(lines[3]["user"].is_null(), "no user before the token is verified");
    assert_eq!((&lines[3]["attempts"], &lines[3]["status"]), (&json!(0), &json!(401)));
    assert_eq!(lines[3]["request_id"], forged.body["request_id"], "the id that the client sees");
    let functions: Vec<_> = lines.iter().map(|line| line["function_name"].as_str().unwrap()).collect();
    assert_eq!(functions, ["task-create", "task-get", "task-get", "task-get"]);
    for id in ["request_id", "function_request_id", "xray_trace_id"] {
        let ids: BTreeSet<_> = lines.iter().map(|line| line[id].as_str().unwrap()).collect();
        assert_eq!(ids.len(), lines.len(), "{id} of {lines:#?}");
    }
    assert_ne!(lines[0]["request_id"], lines[0]["function_request_id"]);
}

#[tokio::test]
async fn the_lines_of_a_request_have_its_ids() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    let user = server.user().await;
    user.get("").await.expect(200);
    relay.refuse(true);
    relay.cut();
    let refused = user.get("").await.expect(503);

    let ids = ["request_id", "function_request_id", "xray_trace_id", "function_name", "function_version"];
    let ids_of = |line: &Value| ids.map(|id| line[id].clone());
    let whole = server.requests().pop().unwrap();
    assert_eq!(whole["request_id"], refused.body["request_id"]);
    let attempts = lines_with(&server, "the database was not reached");
    assert!(attempts.len() > 1, "{whole}");
    for attempt in attempts {
        assert_eq!(ids_of(&attempt), ids_of(&whole));
        assert_eq!((&attempt["level"], attempt["cause"].is_string()), (&json!("WARN"), true), "{attempt}");
    }
}

#[tokio::test]
async fn a_requests_line_tells_the_time_spent_on_hashing_and_on_the_settings() {
    let store = ParameterStore::start().await;
    let settings = store.move_settings(&Settings::shared(), &["DATABASE_URL"]).await;
    let server = TestServer::start(&settings);
    let user = server.user().await;
    for _ in 0..2 {
        server.api.sign_in(&user.email, PASSWORD).await.expect(200);
    }
    user.get("").await.expect(200);

    let lines = server.requests();
    let times = |name: &str| lines.iter().map(|line| line[name].as_f64()).collect::<Vec<_>>();
    let (whole, hashing, settings) = (times("duration_ms"), times("hashing_ms"), times("settings_ms"));
    assert!(hashing[..2].iter().zip(&whole).all(|(part, whole)| part.is_some() && part < whole), "{lines:#?}");
    assert_eq!(hashing[2], None, "user-get hashes nothing");
    let settings: Vec<_> = settings.into_iter().map(|time| time.is_some_and(|time| time > 0.0)).collect();
    assert_eq!(settings, [true, false, true], "only a function that starts reads them: {lines:#?}");
}

/// The lines with this message.
fn lines_with(server: &TestServer, message: &str) -> Vec<Value> {
    let lines = server.output();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// The rows `| `field` | …` of the table in docs/operations.md.
#[tokio::test]
async fn the_fields_of_a_requests_line_are_documented() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, section) = page.split_once("## The log").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let documented: BTreeSet<_> = rows.flat_map(|(names, _)| names.split('`').step_by(2)).map(str::to_owned).collect();

    let (relay, settings) = Settings::shared().with_relay().await;
    let store = ParameterStore::start().await;
    let server = TestServer::start(&store.move_settings(&settings, &["DATABASE_URL"]).await);
    let user = server.user().await;
    server.api.sign_in(&user.email, "wrong password").await.expect(401);
    relay.refuse(true);
    relay.cut();
    user.get("").await.expect(503);
    let lines = server.requests();
    let written = lines.iter().flat_map(|line| line.as_object().unwrap().keys().cloned());
    assert_eq!(written.collect::<BTreeSet<_>>(), documented);
}

/// The names and values of the metrics in a line, in CloudWatch's embedded metric format.
fn metrics(line: &Value) -> Vec<(&str, f64)> {
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("TaskApi"), &json!([["stage"]])), "{line}");
    assert!(line["_aws"]["Timestamp"].is_u64() && line["stage"] == "test", "{line}");
    let declared = directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap());
    declared.map(|name| (name, line[name].as_f64().unwrap())).collect()
}

#[tokio::test]
async fn metrics_are_in_the_requests_lines_of_a_stage() {
    let (relay, settings) = Settings::shared().with_relay().await;
    // Metrics do not depend on the log level.
    let server = TestServer::start(&settings.clone().with("STAGE", "test").with("AWS_LAMBDA_LOG_LEVEL", "error"));
    let user = server.user().await;
    user.get("").await.expect(200);
    user.api.sign_in(&user.email, "wrong password").await.expect(401);
    user.api.send(Method::GET, &user.path(""), None, None).await.expect(401);
    relay.cut();
    user.get("").await.expect(200);
    relay.refuse(true);
    relay.cut();
    user.get("").await.expect(503);

    let lines = server.requests();
    let names = |line| metrics(line).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&lines[0]), ["DatabaseTime"]);
    assert_eq!(metrics(&lines[0])[0].1, lines[0]["database_ms"].as_f64().unwrap());
    assert_eq!(metrics(&lines[1])[1], ("SigninFailures", 1.0));
    assert!(lines[2]["_aws"].is_null(), "nothing to count: {}", lines[2]);
    assert_eq!(names(&lines[4]), ["DatabaseTime", "Retries", "DatabaseUnavailable"]);
    assert_eq!(metrics(&lines[4])[1].1 + 1.0, lines[4]["attempts"].as_f64().unwrap());

    let without = TestServer::start(&settings);
    relay.refuse(false);
    without.api.sign_in(&user.email, "wrong password").await.expect(401);
    assert!(without.requests()[0]["_aws"].is_null(), "no stage, no metrics");
}

#[tokio::test]
async fn security_events_have_names() {
    let server = TestServer::start(&Settings::shared());
    let api = &server.api;
    let user = api.user().await;
    let other = Api::shared().user().await.via(api);
    api.sign_in(&user.email, "wrong password").await.expect(401);
    api.sign_in("nobody@example.com", "wrong password").await.expect(401);
    user.get(&format!("/tasks/{}", user.id)).await.expect(403);
    api.send(Method::GET, &other.path(""), Some(&user.token), None).await.expect(403);
    api.send(Method::GET, &user.path(""), Some("x"), None).await.expect(401);
    user.put("", &json!({"current_password": "wrong", "email": "x@example.com"})).await.expect(401);
    user.put("", &json!({"current_password": PASSWORD, "email": tests::api::fresh_email()})).await.expect(200);
    user.put("", &json!({"current_password": PASSWORD, "password": "another password"})).await.expect(200);
    user.delete("/sessions/current").await.expect(204);
    user.get("").await.expect(401);
    let session = api.sign_in(&other.email, PASSWORD).await.expect(200);
    api.refresh(&session.refresh_token()).await.expect(200);
    age(&session, 61).await;
    api.refresh(&session.refresh_token()).await.expect(401);
    other.delete("/sessions").await.expect(204);
    let other = other.via(&Api::shared()).signed_in_again().await.via(api);
    other.delete("").await.expect(204);
    let third = Api::shared().user().await;
    for _ in 0..4 {
        ask(api, &third.email).await.expect(202);
    }
    ask(api, "nobody@example.com").await.expect(202);
    reset(api, "of no mail", "another password").await.expect(401);
    let of_mail = Mailbox::shared().to(&third.email)[0].token();
    reset(api, &of_mail, "another password").await.expect(204);

    let events: Vec<_> = server
        .requests()
        .iter()
        .map(|line| (line["security_event"].as_str().unwrap_or("none").to_owned(), line["user"].clone()))
        .collect();
    let (user, other, third, nobody) = (json!(user.id), json!(other.id), json!(third.id), Value::Null);
    let expected = [
        ("account_created", &user),
        ("signed_in", &user),
        ("signin_failed", &user),
        ("signin_failed", &nobody),
        ("forbidden", &user),
        ("forbidden", &user),
        ("token_refused", &nobody),
        ("current_password_wrong", &user),
        ("email_changed", &user),
        ("password_changed", &user),
        ("signed_out", &user),
        ("token_refused", &user),
        ("signed_in", &other),
        ("none", &other),
        ("refresh_token_reused", &other),
        ("all_sessions_ended", &other),
        ("account_deleted", &other),
        ("password_reset_requested", &third),
        ("password_reset_requested", &third),
        ("password_reset_requested", &third),
        ("password_reset_throttled", &third),
        ("password_reset_requested", &nobody),
        ("reset_token_refused", &nobody),
        ("password_reset", &third),
    ];
    assert_eq!(events, expected.map(|(event, user)| (event.to_owned(), user.clone())));
}
