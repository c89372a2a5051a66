//! Requests side by side, in several processes a function, as Lambda has them.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{PASSWORD, Reply, User, fresh_email},
    database::{column, connect, direct_url},
    watch::{Settings, Watch},
};

/// The API with four processes a function, and a user of it.
async fn side_by_side() -> (Watch, User) {
    let watch = Watch::start(&Settings::of_the_stack().side_by_side(4));
    let user = watch.user().await;
    (watch, user)
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

async fn rows(sql: &str) -> Vec<String> {
    column(&connect(&direct_url().unwrap()).await.unwrap(), sql).await.unwrap()
}

#[tokio::test]
async fn of_twenty_sign_ups_with_one_address_one_succeeds() {
    let (watch, _) = side_by_side().await;
    let email = fresh_email();
    let replies = join_all((0..20).map(|_| watch.api.sign_up(&email))).await;
    assert_eq!((count(&replies, 201), count(&replies, 409)), (1, 19));
    let id = &replies.iter().find(|reply| reply.status == 201).unwrap().body["id"];
    assert_eq!(rows(&format!("SELECT id::text FROM users WHERE email = '{email}'")).await, [id.as_str().unwrap()]);
}

#[tokio::test]
async fn two_updates_of_one_task_leave_one_of_the_two_whole() {
    let (_watch, user) = side_by_side().await;
    let path = format!("/tasks/{}", user.task("before").await["id"].as_str().unwrap());
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
async fn an_update_that_races_a_deletion_finds_the_task_or_finds_none() {
    let (_watch, user) = side_by_side().await;
    for _ in 0..10 {
        let path = format!("/tasks/{}", user.task("x").await["id"].as_str().unwrap());
        let changes = json!({"completed": true});
        let (updated, deleted) = tokio::join!(user.put(&path, &changes), user.delete(&path));
        assert!([200, 403].contains(&updated.status), "{updated:?}");
        deleted.expect(204);
        user.get(&path).await.expect(403);
    }
}

#[tokio::test]
async fn of_racing_deletions_of_one_task_one_succeeds() {
    let (_watch, user) = side_by_side().await;
    for _ in 0..5 {
        let path = format!("/tasks/{}", user.task("x").await["id"].as_str().unwrap());
        let replies = join_all((0..4).map(|_| user.delete(&path))).await;
        assert_eq!((count(&replies, 204), count(&replies, 403)), (1, 3));
    }
}

#[tokio::test]
async fn a_task_created_while_its_user_is_deleted_is_gone_or_was_never_there() {
    let (_watch, user) = side_by_side().await;
    user.task("to warm up").await;
    let body = json!({"title": "x"});
    let creations = join_all((0..12).map(|_| user.post("/tasks", &body)));
    let (created, deleted) = tokio::join!(creations, user.delete(""));
    deleted.expect(204);
    assert!(created.iter().all(|reply| [201, 401].contains(&reply.status)), "{created:?}");
    assert_eq!(rows(&format!("SELECT id::text FROM tasks WHERE user_id = '{}'", user.id)).await, [""; 0]);
}

#[tokio::test]
async fn of_two_racing_password_changes_with_one_token_one_wins() {
    let (_watch, user) = side_by_side().await;
    let passwords = ["password one", "password two"];
    let changes = passwords.map(|password| json!({"current_password": PASSWORD, "password": password}));
    let replies = join_all(changes.iter().map(|changes| user.put("", changes))).await;
    assert_eq!((count(&replies, 200), count(&replies, 401)), (1, 1), "the first one ends the other's token");
    for (password, changed) in passwords.into_iter().zip(&replies) {
        let expected = if changed.status == 200 { 200 } else { 401 };
        user.api.sign_in(&user.email, password).await.expect(expected);
    }
}

#[tokio::test]
async fn of_two_users_who_want_one_address_one_gets_it() {
    let (watch, one) = side_by_side().await;
    let other = watch.user().await;
    let change = json!({"current_password": PASSWORD, "email": fresh_email()});
    let replies = join_all([&one, &other].map(|user| user.put("", &change))).await;
    assert_eq!((count(&replies, 200), count(&replies, 409)), (1, 1));
}

#[tokio::test]
async fn an_idempotency_key_creates_once_whichever_process_it_comes_to() {
    let (_watch, user) = side_by_side().await;
    for key in 0..5 {
        let create = || {
            let request = user.api.request(Method::POST, &user.path("/tasks")).bearer_auth(&user.token);
            tests::api::reply(request.header("idempotency-key", key).json(&json!({"title": "once"})))
        };
        let replies = join_all((0..20).map(|_| create())).await;
        assert_eq!((count(&replies, 201), count(&replies, 200)), (1, 19));
        assert!(replies.windows(2).all(|pair| pair[0].body == pair[1].body));
    }
    assert_eq!(user.get("/tasks").await.expect(200).body.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn of_two_bodies_that_race_under_one_idempotency_key_one_is_made_and_the_other_refused() {
    let (_watch, user) = side_by_side().await;
    for key in 0..5 {
        let create = |title: &'static str| {
            let request = user.api.request(Method::POST, &user.path("/tasks")).bearer_auth(&user.token);
            tests::api::reply(request.header("idempotency-key", key).json(&json!({ "title": title })))
        };
        let replies = join_all((0..10).flat_map(|_| [create("one"), create("other")])).await;
        assert_eq!((count(&replies, 201), count(&replies, 200), count(&replies, 422)), (1, 9, 10));
    }
    assert_eq!(user.get("/tasks").await.expect(200).body.as_array().unwrap().len(), 5);
}
