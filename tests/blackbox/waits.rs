//! Statements that wait for others. Whoever has waited answers as things are by then, and an attempt that meets an
//! earlier one of the same request takes it for what it is.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, reply},
    database::{connect, counts_for, direct_url},
    watch::{Settings, Watch},
};
use tokio::time::sleep;

/// Longer than an attempt may take, so that a second one waits, and shorter than a request's budget.
const LOCKED: Duration = Duration::from_millis(4_500);

/// Runs a request while somebody else's transaction is open, which has done this and ends like that.
async fn meanwhile<T>(done: &str, end: &str, request: impl Future<Output = T>) -> T {
    let somebody = connect(&direct_url().unwrap()).await.unwrap();
    somebody.batch_execute(&format!("BEGIN; {done}")).await.unwrap();
    let (output, ()) = tokio::join!(request, async {
        sleep(LOCKED).await;
        somebody.batch_execute(end).await.unwrap();
    });
    output
}

async fn while_locked<T>(table: &str, id: &str, request: impl Future<Output = T>) -> T {
    meanwhile(&format!("SELECT FROM {table} WHERE id = '{id}' FOR UPDATE"), "ROLLBACK", request).await
}

fn id(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

/// A user and a task of theirs, at an API of a test's own.
async fn user_with_task(processes: u8) -> (Watch, User, String) {
    let watch = Watch::start(&Settings::of_the_stack().side_by_side(processes));
    let user = watch.user().await;
    let task = id(&user.at(&Api::shared()).task("before").await);
    (watch, user, task)
}

#[tokio::test]
async fn a_deletion_of_an_account_waits_for_a_task_and_is_done() {
    let (watch, user, task) = user_with_task(1).await;
    while_locked("tasks", &task, user.delete("")).await.expect(204);
    user.at(&Api::shared()).get("").await.expect(401);
    let lines = watch.requests();
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["status"], &lines[0]["security_event"]), (&json!(204), &json!("account_deleted")));
}

#[tokio::test]
async fn a_deletion_waits_for_its_own_account_and_is_done() {
    let (_watch, user, _) = user_with_task(1).await;
    while_locked("users", &user.id, user.delete("")).await.expect(204);
    user.at(&Api::shared()).get("").await.expect(401);
}

#[tokio::test]
async fn of_two_deletions_that_wait_for_a_task_one_at_least_is_done() {
    let (_watch, user, task) = user_with_task(2).await;
    let both = async { tokio::join!(user.delete(""), user.delete("")) };
    let replies: [Reply; 2] = while_locked("tasks", &task, both).await.into();
    let statuses = replies.map(|reply| reply.status);
    assert!(statuses.contains(&204) && statuses.iter().all(|status| [204, 401].contains(status)), "{statuses:?}");
    user.at(&Api::shared()).get("").await.expect(401);
}

#[tokio::test]
async fn an_update_and_a_deletion_of_a_task_wait_and_are_done() {
    let (_watch, user, task) = user_with_task(1).await;
    let path = format!("/tasks/{task}");
    let updated = while_locked("tasks", &task, user.put(&path, &json!({"title": "after"}))).await.expect(200).body;
    assert_eq!(updated["title"], "after");
    assert_eq!(user.at(&Api::shared()).get(&path).await.expect(200).body, updated);
    while_locked("tasks", &task, user.delete(&path)).await.expect(204);
    user.at(&Api::shared()).get(&path).await.expect(403);
}

#[tokio::test]
async fn an_update_and_a_deletion_under_a_condition_wait_and_are_done() {
    let (_watch, user, task) = user_with_task(1).await;
    let path = format!("/tasks/{task}");
    let elsewhere = user.at(&Api::shared());
    let if_match = async |method: Method| {
        let etag = elsewhere.get(&path).await.expect(200).header("etag").to_owned();
        let request = user.api.request(method, &user.path(&path)).bearer_auth(&user.token).header("if-match", etag);
        reply(request.json(&json!({"title": "after"}))).await
    };
    while_locked("tasks", &task, if_match(Method::PUT)).await.expect(200);
    while_locked("tasks", &task, if_match(Method::DELETE)).await.expect(204);
    elsewhere.get(&path).await.expect(403);
}

#[tokio::test]
async fn an_update_waits_for_a_deletion_and_finds_no_task() {
    let (_watch, user, task) = user_with_task(1).await;
    let path = format!("/tasks/{task}");
    let deleted = format!("DELETE FROM tasks WHERE id = '{task}'");
    meanwhile(&deleted, "COMMIT", user.put(&path, &json!({"title": "after"}))).await.expect(403);
}

#[tokio::test]
async fn an_update_of_an_account_waits_and_is_done() {
    let (_watch, user, _) = user_with_task(1).await;
    let (email, password) = (fresh_email(), "another password");
    let change = json!({"current_password": PASSWORD, "email": email});
    while_locked("users", &user.id, user.put("", &change)).await.expect(200);
    let change = json!({"current_password": PASSWORD, "password": password});
    while_locked("users", &user.id, user.put("", &change)).await.expect(200);
    Api::shared().sign_in(&email, password).await.expect(200);
}

/// The transaction that takes an address.
fn taken(email: &str) -> String {
    format!("INSERT INTO users (email, password_hash) VALUES ('{email}', repeat('x', 60))")
}

#[tokio::test]
async fn a_sign_up_waits_for_another_of_the_same_address() {
    let api = Api::shared();
    let (committed, rolled_back) = (fresh_email(), fresh_email());
    let (refused, made) =
        tokio::join!(async { meanwhile(&taken(&committed), "COMMIT", api.sign_up(&committed)).await }, async {
            meanwhile(&taken(&rolled_back), "ROLLBACK", api.sign_up(&rolled_back)).await
        },);
    refused.expect(409);
    made.expect(201);
    api.sign_in(&rolled_back, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_change_of_address_waits_for_whoever_takes_the_same() {
    let (_watch, user, _) = user_with_task(1).await;
    for (end, status) in [("COMMIT", 409), ("ROLLBACK", 200)] {
        let email = fresh_email();
        let change = json!({"current_password": PASSWORD, "email": email});
        meanwhile(&taken(&email), end, user.put("", &change)).await.expect(status);
    }
}

#[tokio::test]
async fn a_creation_waits_for_another_under_its_key() {
    let (_watch, user, _) = user_with_task(1).await;
    let create = async || {
        let request = user.api.request(Method::POST, &user.path("/tasks")).bearer_auth(&user.token);
        reply(request.header("idempotency-key", "key").json(&json!({"title": "once"}))).await
    };
    let task = id(&create().await.expect(201).body);
    for (end, statuses) in [("ROLLBACK", &[201, 200][..]), ("COMMIT", &[200])] {
        user.delete(&format!("/tasks/{task}")).await.expect(204);
        let created = format!("INSERT INTO tasks (id, user_id, title) VALUES ('{task}', '{}', 'once')", user.id);
        let reply = meanwhile(&created, end, create()).await;
        // A repeat under a key cannot tell an earlier attempt of its own from another's request.
        assert!(statuses.contains(&reply.status), "{end}: {reply:?}");
        assert_eq!(id(&reply.body), task);
    }
}

#[tokio::test]
async fn a_sign_in_waits_for_its_counts() {
    let (watch, user, _) = user_with_task(1).await;
    Api::shared().sign_in(&user.email, "wrong password").await.expect(401);
    let locked = format!("SELECT FROM signin_failures AS counted WHERE {} FOR UPDATE", counts_for(&user.email));
    meanwhile(&locked, "ROLLBACK", watch.api.sign_in(&user.email, PASSWORD)).await.expect(200);
}
