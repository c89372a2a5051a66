//! Conditional requests on tasks: a change to an outdated version is refused, and a version that the client has is not
//! sent again (RFC 9110, sections 8.8.3 and 13.1).

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, Reply, User, reply, task_path, two_users},
    database::{TestDatabase, column},
    server::{Settings, TestServer},
};

async fn send(user: &User, method: Method, rest: &str, condition: Option<(&str, &str)>, body: Option<Value>) -> Reply {
    let mut request = user.request(method, rest);
    if let Some((name, value)) = condition {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    reply(request).await
}

async fn put(user: &User, rest: &str, if_match: &str, body: Value) -> Reply {
    send(user, Method::PUT, rest, Some(("if-match", if_match)), Some(body)).await
}

async fn delete(user: &User, rest: &str, if_match: &str) -> Reply {
    send(user, Method::DELETE, rest, Some(("if-match", if_match)), None).await
}

async fn get(user: &User, rest: &str, if_none_match: &str) -> Reply {
    send(user, Method::GET, rest, Some(("if-none-match", if_none_match)), None).await
}

/// Creates a task; its path and its ETag.
async fn task(user: &User) -> (String, String) {
    let reply = user.post("/tasks", &json!({"title": "before"})).await.expect(201);
    (task_path(&reply.body), tag(&reply))
}

/// The reply's ETag, which must be a strong one.
#[track_caller]
fn tag(reply: &Reply) -> String {
    let tag = reply.header("etag");
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{reply:#?}");
    tag.to_owned()
}

#[tokio::test]
async fn every_reply_with_a_task_has_its_tag_which_every_change_changes() {
    let user = Api::shared().user().await;
    let body = json!({"title": "x"});
    let with_key = || user.create_with_key("k", &body);
    let created = with_key().await.expect(201);
    let path = task_path(&created.body);
    let mut tags = vec![tag(&created)];
    assert_eq!(tag(&with_key().await.expect(200)), tags[0]);
    for title in ["a", "b", "b"] {
        let changed = user.put(&path, &json!({"title": title})).await.expect(200);
        assert!(!tags.contains(&tag(&changed)), "{tags:?}, and then {changed:?}");
        assert_eq!(tag(&user.get(&path).await.expect(200)), tag(&changed));
        assert_eq!(user.get("/tasks").await.expect(200).body[0]["etag"], tag(&changed));
        tags.push(tag(&changed));
    }
}

#[tokio::test]
async fn a_change_applies_to_the_version_it_names_and_to_no_other() {
    let user = Api::shared().user().await;
    let (path, first) = task(&user).await;
    let second = tag(&put(&user, &path, &first, json!({"title": "second"})).await.expect(200));

    for outdated in [&first, "\"\"", "\"x\"", &format!("W/{second}"), &format!("{first}, W/{second}")] {
        let refused = put(&user, &path, outdated, json!({"title": "third"})).await.expect(412);
        assert!(refused.body["detail"].as_str().unwrap().contains("If-Match"), "{refused:?}");
        delete(&user, &path, outdated).await.expect(412);
    }
    assert_eq!(user.get(&path).await.expect(200).body["title"], "second");
    // Even if it would change nothing: nothing shows that it is a retry.
    put(&user, &path, &first, json!({"title": "second"})).await.expect(412);

    let third = tag(&put(&user, &path, &format!("{first} ,, {second}"), json!({"completed": true})).await.expect(200));
    put(&user, &path, "*", json!({"completed": false})).await.expect(200);
    delete(&user, &path, &third).await.expect(412);
    user.put(&path, &json!({"title": "without a condition"})).await.expect(200);
    delete(&user, &path, "*").await.expect(204);
    for if_match in ["*", &third] {
        put(&user, &path, if_match, json!({"title": "x"})).await.expect(403);
        delete(&user, &path, if_match).await.expect(403);
    }
}

#[tokio::test]
async fn a_version_that_the_client_has_is_not_sent_again() {
    let user = Api::shared().user().await;
    let (path, first) = task(&user).await;
    for known in [&first, &format!("W/{first}"), &format!("\"x\", {first}"), "*"] {
        let unchanged = get(&user, &path, known).await.expect(304);
        assert_eq!((tag(&unchanged), &unchanged.body), (first.clone(), &Value::Null), "{known}");
    }
    let second = tag(&user.put(&path, &json!({"completed": true})).await.expect(200));
    let changed = get(&user, &path, &first).await.expect(200);
    assert_eq!((tag(&changed), &changed.body["completed"]), (second, &json!(true)));
    get(&user, &path, "\"x\"").await.expect(200);
}

#[tokio::test]
async fn a_malformed_condition_is_a_400_that_names_its_header() {
    let user = Api::shared().user().await;
    let (path, tag) = task(&user).await;
    for value in ["", ",", "x", "\"x", "w/\"x\"", "*, \"x\"", &format!("{tag} {tag}"), &tag[1..]] {
        for (method, name, body) in [
            (Method::PUT, "If-Match", Some(json!({"title": "after"}))),
            (Method::DELETE, "If-Match", None),
            (Method::GET, "If-None-Match", None),
        ] {
            let refused = send(&user, method, &path, Some((name, value)), body).await.expect(400);
            assert!(refused.body["detail"].as_str().unwrap().contains(name), "{value:?}: {refused:?}");
        }
    }
    assert_eq!(user.get(&path).await.expect(200).body["title"], "before");
}

#[tokio::test]
async fn a_condition_reveals_nothing_about_another_users_task() {
    let (owner, other) = two_users().await;
    let (path, tag) = task(&owner).await;
    for condition in [&*tag, "\"x\"", "*"] {
        put(&other, &path, condition, json!({"title": "x"})).await.expect(403);
        delete(&other, &path, condition).await.expect(403);
        get(&other, &path, condition).await.expect(403);
    }
    owner.delete("").await.expect(204);
    put(&owner, &path, "\"x\"", json!({"title": "x"})).await.expect(401);
    delete(&owner, &path, "\"x\"").await.expect(401);
    get(&owner, &path, "*").await.expect(401);
}

#[tokio::test]
async fn of_concurrent_changes_to_one_version_one_is_made() {
    let server = TestServer::start(&Settings::shared().concurrency(4));
    let user = server.user().await;
    for _ in 0..10 {
        let (path, tag) = task(&user).await;
        let titles: Vec<String> = (0..8).map(|number| format!("after {number}")).collect();
        let replies = join_all(titles.iter().map(|title| put(&user, &path, &tag, json!({"title": title})))).await;
        let (made, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
        assert_eq!(made.len(), 1, "{made:?}");
        assert!(refused.iter().all(|reply| reply.status == 412), "{refused:?}");
        assert_eq!(user.get(&path).await.expect(200).body, made[0].body);
    }
}

#[tokio::test]
async fn a_change_and_a_deletion_of_one_version_are_not_both_made() {
    let server = TestServer::start(&Settings::shared().concurrency(4));
    let user = server.user().await;
    for _ in 0..10 {
        let (path, tag) = task(&user).await;
        let (changed, deleted) =
            tokio::join!(put(&user, &path, &tag, json!({"title": "after"})), delete(&user, &path, &tag));
        assert!([(200, 412), (403, 204)].contains(&(changed.status, deleted.status)), "{changed:?} {deleted:?}");
    }
}

#[tokio::test]
async fn a_retried_change_does_not_conflict_with_its_own_first_attempt() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    let elsewhere = Api::shared().user().await;
    let user = elsewhere.via(&server.api);

    let (path, first) = task(&elsewhere).await;
    let second = tag(&put(&user, &path, &first, json!({"title": "to warm up"})).await.expect(200));
    relay.lose_next_answer();
    let change = json!({"title": "after", "description": "once", "completed": true});
    let changed = put(&user, &path, &second, change.clone()).await.expect(200);
    let kept = elsewhere.get(&path).await.expect(200);
    assert_eq!((&changed.body, tag(&changed)), (&kept.body, tag(&kept)));

    // A retry that finds another version with other values has a real conflict.
    relay.lose_next_answer();
    put(&user, &path, &second, json!({"title": "too late"})).await.expect(412);
    // The same change in another request is no retry.
    put(&user, &path, &second, change).await.expect(412);

    let (other, other_tag) = task(&elsewhere).await;
    delete(&user, &other, &other_tag).await.expect(204);
    relay.lose_next_answer();
    delete(&user, &path, &second).await.expect(412);
    relay.lose_next_answer();
    delete(&user, &path, &tag(&changed)).await.expect(204);
    elsewhere.get(&path).await.expect(403);
}

#[tokio::test]
async fn a_condition_costs_no_extra_round_trip() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    let elsewhere = Api::shared().user().await;
    let user = elsewhere.via(&server.api);
    let warm = user.path("/tasks/00000000-0000-4000-8000-000000000000");
    for (method, body) in [(Method::GET, None), (Method::PUT, Some(json!({"title": "x"}))), (Method::DELETE, None)] {
        user.api.send(method, &warm, Some(&user.token), body.as_ref()).await.expect(403);
    }

    let (path, first) = task(&elsewhere).await;
    let mut before = relay.round_trips();
    let mut count = || relay.round_trips() - std::mem::replace(&mut before, relay.round_trips());
    get(&user, &path, &first).await.expect(304);
    assert_eq!(count(), 1, "not changed");
    let second = tag(&put(&user, &path, &first, json!({"title": "second"})).await.expect(200));
    assert_eq!(count(), 1, "changed");
    put(&user, &path, &first, json!({"title": "third"})).await.expect(412);
    assert_eq!(count(), 1, "an outdated version");
    delete(&user, &path, &first).await.expect(412);
    assert_eq!(count(), 1, "not deleted");
    delete(&user, &path, &second).await.expect(204);
    assert_eq!(count(), 1, "deleted");
}

#[tokio::test]
async fn every_update_of_a_row_has_a_later_timestamp_than_the_one_before() {
    let database = TestDatabase::migrated().await.unwrap();
    let client = database.connect().await.unwrap();
    // CURRENT_TIMESTAMP is that of the transaction, so all updates happen at one time, in a session not in UTC.
    client
        .batch_execute(
            "SET timezone TO 'Asia/Kolkata';
             BEGIN;
             INSERT INTO users (id, email, password_hash)
             VALUES ('00000000-0000-4000-8000-000000000001', 'ada@example.com', repeat('x', 60));
             INSERT INTO tasks (user_id, title) VALUES ('00000000-0000-4000-8000-000000000001', 'x');
             CREATE TABLE versions AS SELECT updated_at FROM tasks;",
        )
        .await
        .unwrap();
    for _ in 0..3 {
        client
            .batch_execute("UPDATE tasks SET title = title; INSERT INTO versions SELECT updated_at FROM tasks;")
            .await
            .unwrap();
    }
    let after = "SELECT (extract(microseconds FROM updated_at - min(updated_at) OVER ())::int)::text FROM versions
                 ORDER BY updated_at";
    assert_eq!(column(&client, after).await.unwrap(), ["0", "1", "2", "3"]);

    // A clock that was set back: the row is from the future.
    client
        .batch_execute(
            "COMMIT;
             ALTER TABLE tasks DISABLE TRIGGER update_tasks_updated_at;
             UPDATE tasks SET updated_at = '2999-01-01';
             ALTER TABLE tasks ENABLE TRIGGER update_tasks_updated_at;",
        )
        .await
        .unwrap();
    let update = "UPDATE tasks SET completed = true RETURNING updated_at::text";
    assert_eq!(column(&client, update).await.unwrap(), ["2999-01-01 00:00:00.000001"]);
    let in_utc = "UPDATE users SET email = 'utc@example.com'
                  RETURNING (updated_at = CURRENT_TIMESTAMP AT TIME ZONE 'UTC')::text";
    assert_eq!(column(&client, in_utc).await.unwrap(), ["true"]);
}
