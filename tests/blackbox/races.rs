//! Concurrent requests to several processes of each function, as on Lambda.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{
    api::{PASSWORD, Reply, User, fresh_email, task_path},
    database::{column, connect_to_stack},
    server::{Settings, TestServer},
};

/// An API with four processes of each function, and a user of it.
async fn concurrent_server() -> (TestServer, User) {
    let server = TestServer::start(&Settings::shared().concurrency(4));
    let user = server.user().await;
    (server, user)
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

async fn rows(sql: &str) -> Vec<String> {
    column(&connect_to_stack().await, sql).await.unwrap()
}

#[tokio::test]
async fn of_twenty_concurrent_sign_ups_with_one_email_one_succeeds() {
    let (server, _) = concurrent_server().await;
    let email = fresh_email();
    let replies = join_all((0..20).map(|_| server.api.sign_up(&email))).await;
    assert_eq!((count(&replies, 201), count(&replies, 409)), (1, 19));
    let id = &replies.iter().find(|reply| reply.status == 201).unwrap().body["id"];
    assert_eq!(rows(&format!("SELECT id::text FROM users WHERE email = '{email}'")).await, [id.as_str().unwrap()]);
}

#[tokio::test]
async fn two_concurrent_updates_of_one_task_are_not_mixed() {
    let (_server, user) = concurrent_server().await;
    let path = task_path(&user.task("before").await);
    for _ in 0..10 {
        let changes = ["a", "b"].map(|text| json!({"title": text, "description": text, "completed": text == "a"}));
        let replies = join_all(changes.iter().map(|changes| user.put(&path, changes))).await;
        assert_eq!(count(&replies, 200), 2);
        let task = user.get(&path).await.expect(200).body;
        let written = |changes: &Value| changes.as_object().unwrap().iter().all(|(field, value)| task[field] == *value);
        assert!(changes.iter().any(written), "{task}");
    }
}

#[tokio::test]
async fn an_update_concurrent_with_a_deletion_succeeds_or_finds_no_task() {
    let (_server, user) = concurrent_server().await;
    for _ in 0..10 {
        let path = task_path(&user.task("x").await);
        let changes = json!({"completed": true});
        let (updated, deleted) = tokio::join!(user.put(&path, &changes), user.delete(&path));
        assert!([200, 403].contains(&updated.status), "{updated:?}");
        deleted.expect(204);
        user.get(&path).await.expect(403);
    }
}

#[tokio::test]
async fn of_concurrent_deletions_of_one_task_one_succeeds() {
    let (_server, user) = concurrent_server().await;
    for _ in 0..5 {
        let path = task_path(&user.task("x").await);
        let replies = join_all((0..4).map(|_| user.delete(&path))).await;
        assert_eq!((count(&replies, 204), count(&replies, 403)), (1, 3));
    }
}

#[tokio::test]
async fn a_task_created_while_its_user_is_deleted_is_gone_or_was_never_there() {
    let (_server, user) = concurrent_server().await;
    user.task("warm up").await;
    let body = json!({"title": "x"});
    let creations = join_all((0..12).map(|_| user.post("/tasks", &body)));
    let (created, deleted) = tokio::join!(creations, user.delete(""));
    deleted.expect(204);
    assert!(created.iter().all(|reply| [201, 401].contains(&reply.status)), "{created:?}");
    assert_eq!(rows(&format!("SELECT id::text FROM tasks WHERE user_id = '{}'", user.id)).await, [""; 0]);
}

#[tokio::test]
async fn of_two_concurrent_password_changes_one_succeeds() {
    let (_server, user) = concurrent_server().await;
    let passwords = ["password one", "password two"];
    let changes = passwords.map(|password| json!({"current_password": PASSWORD, "password": password}));
    let replies = join_all(changes.iter().map(|changes| user.put("", changes))).await;
    assert_eq!((count(&replies, 200), count(&replies, 401)), (1, 1), "the first one revokes the token of the other");
    for (password, changed) in passwords.into_iter().zip(&replies) {
        let expected = if changed.status == 200 { 200 } else { 401 };
        user.api.sign_in(&user.email, password).await.expect(expected);
    }
}

#[tokio::test]
async fn of_two_users_who_change_to_one_email_one_succeeds() {
    let (server, one) = concurrent_server().await;
    let other = server.user().await;
    let change = json!({"current_password": PASSWORD, "email": fresh_email()});
    let replies = join_all([&one, &other].map(|user| user.put("", &change))).await;
    assert_eq!((count(&replies, 200), count(&replies, 409)), (1, 1));
}

#[tokio::test]
async fn an_idempotency_key_creates_one_task_across_processes() {
    let (_server, user) = concurrent_server().await;
    let body = json!({"title": "once"});
    for key in ["a", "b", "c", "d", "e"] {
        let replies = join_all((0..20).map(|_| user.create_with_key(key, &body))).await;
        assert_eq!((count(&replies, 201), count(&replies, 200)), (1, 19));
        assert!(replies.windows(2).all(|pair| pair[0].body == pair[1].body));
    }
    assert_eq!(user.get("/tasks").await.expect(200).body.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn of_two_concurrent_bodies_under_one_idempotency_key_one_is_created() {
    let (_server, user) = concurrent_server().await;
    let bodies = ["one", "other"].map(|title| json!({ "title": title }));
    for key in ["a", "b", "c", "d", "e"] {
        let replies = join_all(bodies.iter().cycle().take(20).map(|body| user.create_with_key(key, body))).await;
        assert_eq!((count(&replies, 201), count(&replies, 200), count(&replies, 422)), (1, 9, 10));
    }
    assert_eq!(user.get("/tasks").await.expect(200).body.as_array().unwrap().len(), 5);
}
