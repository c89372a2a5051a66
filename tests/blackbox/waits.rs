//! Statements that wait for locks: a request answers according to the state after the wait, and a retry recognises its
//! own earlier attempt.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, reply},
    database::{connect_to_stack, failures_condition},
    server::{Settings, TestServer},
};
use tokio::time::sleep;

/// Longer than an attempt may take, so that a second one waits; shorter than a request's budget.
const LOCKED_FOR: Duration = Duration::from_millis(4_500);

/// Sends a request while another transaction is open, which has run a statement and ends with `COMMIT` or `ROLLBACK`.
async fn during_transaction<T>(statement: &str, end: &str, request: impl Future<Output = T>) -> T {
    let session = connect_to_stack().await;
    session.batch_execute(&format!("BEGIN; {statement}")).await.unwrap();
    let (output, ()) = tokio::join!(request, async {
        sleep(LOCKED_FOR).await;
        session.batch_execute(end).await.unwrap();
    });
    output
}

async fn while_locked<T>(table: &str, id: &str, request: impl Future<Output = T>) -> T {
    during_transaction(&format!("SELECT FROM {table} WHERE id = '{id}' FOR UPDATE"), "ROLLBACK", request).await
}

fn id(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

/// An API of the test's own, a user of it and a task.
async fn user_with_task(processes: u8) -> (TestServer, User, String) {
    let server = TestServer::start(&Settings::shared().concurrency(processes));
    let user = server.user().await;
    let task = id(&user.via(&Api::shared()).task("before").await);
    (server, user, task)
}

#[tokio::test]
async fn a_deletion_of_an_account_waits_for_a_locked_task() {
    let (server, user, task) = user_with_task(1).await;
    while_locked("tasks", &task, user.delete("")).await.expect(204);
    user.via(&Api::shared()).get("").await.expect(401);
    let lines = server.requests();
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["status"], &lines[0]["security_event"]), (&json!(204), &json!("account_deleted")));
}

#[tokio::test]
async fn a_deletion_of_an_account_waits_for_its_locked_row() {
    let (_server, user, _) = user_with_task(1).await;
    while_locked("users", &user.id, user.delete("")).await.expect(204);
    user.via(&Api::shared()).get("").await.expect(401);
}

#[tokio::test]
async fn of_two_deletions_that_wait_for_a_task_at_least_one_succeeds() {
    let (_server, user, task) = user_with_task(2).await;
    let both = async { tokio::join!(user.delete(""), user.delete("")) };
    let replies: [Reply; 2] = while_locked("tasks", &task, both).await.into();
    let statuses = replies.map(|reply| reply.status);
    assert!(statuses.contains(&204) && statuses.iter().all(|status| [204, 401].contains(status)), "{statuses:?}");
    user.via(&Api::shared()).get("").await.expect(401);
}

#[tokio::test]
async fn an_update_and_a_deletion_of_a_task_wait_and_succeed() {
    let (_server, user, task) = user_with_task(1).await;
    let path = format!("/tasks/{task}");
    let updated = while_locked("tasks", &task, user.put(&path, &json!({"title": "after"}))).await.expect(200).body;
    assert_eq!(updated["title"], "after");
    assert_eq!(user.via(&Api::shared()).get(&path).await.expect(200).body, updated);
    while_locked("tasks", &task, user.delete(&path)).await.expect(204);
    user.via(&Api::shared()).get(&path).await.expect(403);
}

#[tokio::test]
async fn a_conditional_update_and_deletion_wait_and_succeed() {
    let (_server, user, task) = user_with_task(1).await;
    let path = format!("/tasks/{task}");
    let elsewhere = user.via(&Api::shared());
    let if_match = async |method: Method| {
        let etag = elsewhere.get(&path).await.expect(200).header("etag").to_owned();
        let request = user.request(method, &path).header("if-match", etag);
        reply(request.json(&json!({"title": "after"}))).await
    };
    while_locked("tasks", &task, if_match(Method::PUT)).await.expect(200);
    while_locked("tasks", &task, if_match(Method::DELETE)).await.expect(204);
    elsewhere.get(&path).await.expect(403);
}

#[tokio::test]
async fn an_update_waits_for_a_deletion_and_finds_no_task() {
    let (_server, user, task) = user_with_task(1).await;
    let path = format!("/tasks/{task}");
    let deleted = format!("DELETE FROM tasks WHERE id = '{task}'");
    during_transaction(&deleted, "COMMIT", user.put(&path, &json!({"title": "after"}))).await.expect(403);
}

#[tokio::test]
async fn an_update_of_an_account_waits_and_succeeds() {
    let (_server, user, _) = user_with_task(1).await;
    let (email, password) = (fresh_email(), "another password");
    let change = json!({"current_password": PASSWORD, "email": email});
    while_locked("users", &user.id, user.put("", &change)).await.expect(200);
    let change = json!({"current_password": PASSWORD, "password": password});
    while_locked("users", &user.id, user.put("", &change)).await.expect(200);
    Api::shared().sign_in(&email, password).await.expect(200);
}

/// A statement that takes an e-mail address.
fn insert_user(email: &str) -> String {
    format!("INSERT INTO users (email, password_hash) VALUES ('{email}', repeat('x', 60))")
}

#[tokio::test]
async fn a_sign_up_waits_for_another_with_the_same_email() {
    let api = Api::shared();
    let (committed, rolled_back) = (fresh_email(), fresh_email());
    let (refused, made) = tokio::join!(
        async { during_transaction(&insert_user(&committed), "COMMIT", api.sign_up(&committed)).await },
        async { during_transaction(&insert_user(&rolled_back), "ROLLBACK", api.sign_up(&rolled_back)).await },
    );
    refused.expect(409);
    made.expect(201);
    api.sign_in(&rolled_back, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_change_of_email_waits_for_a_sign_up_with_the_same() {
    let (_server, user, _) = user_with_task(1).await;
    for (end, status) in [("COMMIT", 409), ("ROLLBACK", 200)] {
        let email = fresh_email();
        let change = json!({"current_password": PASSWORD, "email": email});
        during_transaction(&insert_user(&email), end, user.put("", &change)).await.expect(status);
    }
}

#[tokio::test]
async fn a_creation_waits_for_another_with_its_idempotency_key() {
    let (_server, user, _) = user_with_task(1).await;
    let body = json!({"title": "once"});
    let create = async || user.create_with_key("key", &body).await;
    let task = id(&create().await.expect(201).body);
    for (end, statuses) in [("ROLLBACK", &[201, 200][..]), ("COMMIT", &[200])] {
        user.delete(&format!("/tasks/{task}")).await.expect(204);
        let created = format!("INSERT INTO tasks (id, user_id, title) VALUES ('{task}', '{}', 'once')", user.id);
        let reply = during_transaction(&created, end, create()).await;
        // A retry under a key cannot tell its own earlier attempt from another request.
        assert!(statuses.contains(&reply.status), "{end}: {reply:?}");
        assert_eq!(id(&reply.body), task);
    }
}

#[tokio::test]
async fn a_sign_in_waits_for_its_locked_failures() {
    let (server, user, _) = user_with_task(1).await;
    Api::shared().sign_in(&user.email, "wrong password").await.expect(401);
    let locked = format!("SELECT FROM signin_failures AS counted WHERE {} FOR UPDATE", failures_condition(&user.email));
    during_transaction(&locked, "ROLLBACK", server.api.sign_in(&user.email, PASSWORD)).await.expect(200);
}
