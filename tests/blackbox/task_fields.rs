//! Status, priority, due date and tags of a task, and how many tasks an account may have.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, IF_MATCH},
};
use serde_json::{Value, json};
use tests::{
    api::{Api, Reply, User, reply, task_path, two_users},
    database::{column, connect_to_stack, direct_url},
    server::{Settings, TestServer},
};

async fn create(user: &User, body: Value) -> Value {
    user.post("/tasks", &body).await.expect(201).body
}

/// The status and `completed` of a task, which agree.
fn status(task: &Value) -> &str {
    let status = task["status"].as_str().unwrap();
    assert_eq!(task["completed"], json!(status == "completed"), "{task}");
    status
}

#[tokio::test]
async fn a_new_task_has_the_status_that_either_field_asks_for() {
    let user = Api::shared().user().await;
    for (fields, expected) in [
        (json!({}), "pending"),
        (json!({"completed": false}), "pending"),
        (json!({"completed": true}), "completed"),
        (json!({"status": "pending"}), "pending"),
        (json!({"status": "in_progress"}), "in_progress"),
        (json!({"status": "completed"}), "completed"),
        (json!({"status": "in_progress", "completed": false}), "in_progress"),
        (json!({"status": "completed", "completed": true}), "completed"),
    ] {
        let mut body = fields.clone();
        body["title"] = json!("x");
        assert_eq!(status(&create(&user, body).await), expected, "{fields}");
    }
}

#[tokio::test]
async fn completed_false_makes_a_completed_task_pending_and_changes_no_other() {
    let user = Api::shared().user().await;
    for (before, change, after) in [
        ("pending", json!({"completed": true}), "completed"),
        ("in_progress", json!({"completed": true}), "completed"),
        ("completed", json!({"completed": true}), "completed"),
        ("pending", json!({"completed": false}), "pending"),
        ("in_progress", json!({"completed": false}), "in_progress"),
        ("completed", json!({"completed": false}), "pending"),
        ("completed", json!({"status": "in_progress"}), "in_progress"),
        ("completed", json!({"status": "in_progress", "completed": false}), "in_progress"),
        ("in_progress", json!({"title": "y"}), "in_progress"),
    ] {
        let task = create(&user, json!({"title": "x", "status": before})).await;
        let changed = user.put(&task_path(&task), &change).await.expect(200).body;
        assert_eq!(status(&changed), after, "{before}, then {change}");
        assert_eq!(user.get(&task_path(&task)).await.expect(200).body, changed);
    }
}

#[tokio::test]
async fn status_and_completed_at_odds_are_refused() {
    let user = Api::shared().user().await;
    let task = user.task("x").await;
    for (status, completed) in [("completed", false), ("pending", true), ("in_progress", true)] {
        let body = json!({"title": "", "status": status, "completed": completed});
        assert_eq!(user.post("/tasks", &body).await.expect(422).fields(), ["title", "completed"]);
        assert_eq!(user.put(&task_path(&task), &body).await.expect(422).fields(), ["title", "completed"]);
    }
    assert_eq!(user.get(&task_path(&task)).await.expect(200).body, task);
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_a_400_and_a_wrong_value_a_422() {
    let user = Api::shared().user().await;
    let task = user.task("x").await;
    let bodies = |field: &str, value: &Value| {
        let mut new = json!({"title": "x"});
        new[field] = value.clone();
        (new, json!({field: value}))
    };
    for (field, values) in [
        ("status", vec![json!(1), json!(true), json!(["pending"]), Value::Null]),
        ("priority", vec![json!("1"), json!(1.5), json!(true), json!([1])]),
        ("due_date", vec![json!(0), json!(1.7e9), json!({}), json!(["2026-03-01T17:00:00Z"])]),
        ("tags", vec![json!("home"), json!({}), json!([1]), json!(["a", null]), json!([["a"]])]),
    ] {
        for value in values {
            let (new, change) = bodies(field, &value);
            for reply in [user.post("/tasks", &new).await, user.put(&task_path(&task), &change).await] {
                let reply = reply.expect(400);
                assert!(reply.body["detail"].as_str().unwrap().contains(field), "{value}: {reply:?}");
            }
        }
    }
    let many: Vec<_> = (0..21).map(|number| number.to_string()).collect();
    for (field, values) in [
        ("status", vec![json!(""), json!("done"), json!("Pending"), json!("pending\0")]),
        ("priority", vec![json!(0), json!(5), json!(-1), json!(4_294_967_297_u64), json!(u64::MAX), json!(1e300)]),
        (
            "due_date",
            vec![
                json!(""),
                json!("tomorrow"),
                json!("2026-03-01"),
                json!("2026-03-01T17:00:00"),
                json!("2026-02-29T00:00:00Z"),
                json!("9999-12-31T23:59:59-01:00"),
                json!("2026-03-01T17:00:00Z\0"),
            ],
        ),
        (
            "tags",
            vec![json!([""]), json!(["a", " "]), json!(["a,b"]), json!(["a\n"]), json!(["\u{200b}"]), json!(many)],
        ),
        ("tags", vec![json!(["x".repeat(51)]), json!(["a\0b"]), json!(["a\u{7}b"])]),
    ] {
        for value in values {
            let (new, change) = bodies(field, &value);
            // A line break at the end is white space, which is trimmed.
            let expected: &[&str] = if value == json!(["a\n"]) { &[] } else { &[field] };
            for reply in [user.post("/tasks", &new).await, user.put(&task_path(&task), &change).await] {
                assert_eq!(reply.fields(), expected, "{value}: {reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_number_without_a_fraction_is_an_integer() {
    let user = Api::shared().user().await;
    let body = r#"{"title": "x", "priority": 2.0}"#;
    let request = user.request(Method::POST, "/tasks").header(CONTENT_TYPE, "application/json").body(body);
    assert_eq!(reply(request).await.expect(201).body["priority"], 2);
}

#[tokio::test]
async fn a_due_date_is_kept_in_utc_to_the_microsecond() {
    let user = Api::shared().user().await;
    for (sent, kept) in [
        ("2026-03-01T17:00:00+01:00", "2026-03-01T16:00:00.000000Z"),
        ("2026-03-01t23:30:00.1234567-05:00", "2026-03-02T04:30:00.123456Z"),
        ("1969-07-20T20:17:40Z", "1969-07-20T20:17:40.000000Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        let task = create(&user, json!({"title": "x", "due_date": sent})).await;
        assert_eq!(task["due_date"], kept);
        let again = user.put(&task_path(&task), &json!({"due_date": task["due_date"]})).await.expect(200).body;
        assert_eq!(again["due_date"], kept);
    }
}

#[tokio::test]
async fn tags_are_normalised_and_sorted_by_code_point() {
    let user = Api::shared().user().await;
    let sent = json!([" Home ", "home", "ÉTÉ", "e\u{301}te\u{301}", "Z", "a b", "🦀", "\u{ffff}", "x".repeat(50)]);
    let task = create(&user, json!({"title": "x", "tags": sent})).await;
    let kept = json!(["a b", "home", "x".repeat(50), "z", "été", "\u{ffff}", "🦀"]);
    assert_eq!(task["tags"], kept);
    assert_eq!(user.put(&task_path(&task), &json!({"tags": kept})).await.expect(200).body["tags"], kept);
    let twice: Vec<_> = (0..20).flat_map(|number| [number.to_string(), format!(" {number}")]).collect();
    let tags = user.put(&task_path(&task), &json!({"tags": twice})).await.expect(200).body["tags"].clone();
    assert_eq!(tags.as_array().unwrap().len(), 20, "duplicates are one");
}

#[tokio::test]
async fn tags_are_set_as_a_whole_and_every_change_of_them_changes_the_etag() {
    let (user, other) = two_users().await;
    let task = create(&user, json!({"title": "x", "tags": ["a", "b"]})).await;
    let theirs = create(&other, json!({"title": "x", "tags": ["b", "c"]})).await;
    let (path, mut etags) = (task_path(&task), BTreeSet::from([task["etag"].to_string()]));
    for (tags, expected) in [
        (json!(["b", "c"]), json!(["b", "c"])),
        (json!([]), json!([])),
        (json!(["d"]), json!(["d"])),
        (Value::Null, json!([])),
    ] {
        let changed = user.put(&path, &json!({"tags": tags})).await.expect(200).body;
        assert_eq!(changed["tags"], expected);
        assert_eq!(user.get(&path).await.expect(200).body, changed);
        assert_eq!(user.get("/tasks").await.expect(200).body, json!([changed]));
        assert!(etags.insert(changed["etag"].to_string()));
    }
    assert_eq!(other.get(&task_path(&theirs)).await.expect(200).body, theirs, "another user's are untouched");
}

#[tokio::test]
async fn of_two_sets_of_tags_at_once_one_stays() {
    let user = Api::shared().user().await;
    let sets = [json!(["a", "b", "c"]), json!(["d", "e"]), json!([]), json!(["a", "e", "f"])];
    for _ in 0..10 {
        let path = task_path(&user.task("x").await);
        let changes: Vec<_> = sets.iter().map(|tags| json!({ "tags": tags })).collect();
        let replies = join_all(changes.iter().map(|change| user.put(&path, change))).await;
        for (reply, tags) in replies.into_iter().zip(&sets) {
            assert_eq!(&reply.expect(200).body["tags"], tags);
        }
        let left = user.get(&path).await.expect(200).body["tags"].clone();
        assert!(sets.contains(&left), "a mixture: {left}");
    }
}

#[tokio::test]
async fn an_answer_has_the_tags_that_belong_to_its_etag() {
    let user = Api::shared().user().await;
    for round in 0..10 {
        let path = task_path(&user.task("x").await);
        let (tag, title) = (json!({"tags": [format!("t{round}")]}), json!({"title": "y"}));
        let (tagged, titled) = tokio::join!(user.put(&path, &tag), user.put(&path, &title));
        let (tagged, titled) = (tagged.expect(200).body, titled.expect(200).body);
        let first_tagged = tagged["updated_at"].as_str() < titled["updated_at"].as_str();
        assert_eq!(titled["tags"] == tag["tags"], first_tagged, "{tagged}\n{titled}");
        assert_eq!(tagged["title"] == "y", !first_tagged, "{tagged}\n{titled}");
    }
}

#[tokio::test]
async fn requests_that_bring_the_same_new_tags_at_once_all_succeed() {
    let api = Api::shared();
    let users = join_all((0..6).map(|_| api.user())).await;
    for round in 0..5 {
        let mut tags: Vec<_> = (0..8).map(|number| format!("{} {round} {number}", users[0].id)).collect();
        let mut tasks = Vec::new();
        for user in &users {
            tags.rotate_left(3);
            tasks.push((user, json!({"title": "x", "tags": tags})));
        }
        let replies = join_all(tasks.iter().map(|(user, body)| user.post("/tasks", body))).await;
        tags.sort_unstable();
        for reply in replies {
            assert_eq!(reply.expect(201).body["tags"], json!(tags));
        }
    }
}

#[tokio::test]
async fn a_sweep_of_unused_tags_takes_none_from_a_task() {
    let user = Api::shared().user().await;
    let rounds = async {
        for round in 0..30 {
            let tags = json!([format!("{} {}", user.id, round % 3), format!("{} {round}", user.id)]);
            let task = create(&user, json!({"title": "x", "tags": tags})).await;
            assert_eq!(task["tags"].as_array().unwrap().len(), if round < 3 { 1 } else { 2 });
            let path = task_path(&task);
            assert_eq!(user.put(&path, &json!({"tags": []})).await.expect(200).body["tags"], json!([]));
            assert_eq!(user.put(&path, &json!({"tags": tags})).await.expect(200).body["tags"], task["tags"]);
            assert_eq!(user.get(&path).await.expect(200).body["tags"], task["tags"]);
            user.delete(&path).await.expect(204);
        }
    };
    let sweeps = async {
        loop {
            let mut operate = tokio::process::Command::new(tests::operate::binary());
            operate.arg("sweep").env_remove("STAGE").env("DATABASE_URL_UNPOOLED", direct_url());
            assert!(operate.output().await.unwrap().status.success());
        }
    };
    tokio::select! {
        () = rounds => {}
        () = sweeps => {}
    }
}

#[tokio::test]
async fn an_account_goes_with_its_tasks_and_what_tags_them() {
    let (user, other) = two_users().await;
    for user in [&user, &other] {
        create(user, json!({"title": "x", "tags": ["home", "work"]})).await;
    }
    user.delete("").await.expect(204);
    let database = connect_to_stack().await;
    let count = async |user: &User| {
        let sql = format!("SELECT count(*)::text FROM task_tags WHERE user_id = '{}'", user.id);
        column(&database, &sql).await.unwrap().remove(0)
    };
    assert_eq!((count(&user).await, count(&other).await), ("0".to_owned(), "2".to_owned()));
}

#[tokio::test]
async fn a_patch_is_a_put_that_may_be_a_merge_patch() {
    let user = Api::shared().user().await;
    let task = create(&user, json!({"title": "x", "description": "y", "tags": ["a"]})).await;
    let patch = async |media_type: &str, method: Method, etag: &str| {
        let request = user.request(method, &task_path(&task)).header(CONTENT_TYPE, media_type);
        reply(request.header(IF_MATCH, etag).body(r#"{"description": null, "priority": 1}"#)).await
    };
    let merge = "application/merge-patch+json; charset=utf-8";
    patch(merge, Method::PATCH, "\"0\"").await.expect(412);
    patch(merge, Method::PUT, "*").await.expect(415);
    patch("application/json-patch+json", Method::PATCH, "*").await.expect(415);
    let changed = patch(merge, Method::PATCH, task["etag"].as_str().unwrap()).await.expect(200).body;
    assert_eq!(
        (&changed["description"], &changed["priority"], &changed["tags"]),
        (&Value::Null, &json!(1), &task["tags"])
    );
    user.patch(&task_path(&task), &json!({})).await.expect(422);
}

#[tokio::test]
async fn a_full_account_gets_no_more_tasks_but_a_repeated_key_finds_its_own() {
    let server = TestServer::start(&Settings::shared().with("TASK_LIMIT", "3"));
    let user = server.user().await;
    let first = user.create_with_key("key", &json!({"title": "1"})).await.expect(201).body;
    user.task("2").await;
    user.task("3").await;
    let full = user.post("/tasks", &json!({"title": "4"})).await.expect(409);
    assert_eq!(full.body["code"], "account_full");
    user.create_with_key("new", &json!({"title": "4"})).await.expect(409);
    assert_eq!(user.create_with_key("key", &json!({"title": "1"})).await.expect(200).body, first);
    user.create_with_key("key", &json!({"title": "4"})).await.expect(422);
    user.delete(&task_path(&first)).await.expect(204);
    user.task("4").await;
    user.post("/tasks", &json!({"title": "5"})).await.expect(409);
}

#[tokio::test]
async fn a_summary_counts_by_status_and_by_tag() {
    let (user, other) = two_users().await;
    let summary = async |user: &User| user.get("/summary").await.expect(200).body;
    let nothing = json!({"tasks": {"pending": 0, "in_progress": 0, "completed": 0, "overdue": 0}, "tags": []});
    assert_eq!(summary(&user).await, nothing);
    let past = "2001-01-01T00:00:00Z";
    for task in [
        json!({"title": "x", "tags": ["home", "b"]}),
        json!({"title": "x", "tags": ["home", "a"], "due_date": past}),
        json!({"title": "x", "tags": ["home"], "due_date": past, "status": "in_progress"}),
        json!({"title": "x", "tags": ["home", "done"], "due_date": past, "completed": true}),
        json!({"title": "x", "due_date": "9000-01-01T00:00:00Z"}),
    ] {
        create(&user, task).await;
    }
    let expected = json!({
        "tasks": {"pending": 3, "in_progress": 1, "completed": 1, "overdue": 2},
        "tags": [
            {"name": "home", "open": 3, "total": 4},
            {"name": "a", "open": 1, "total": 1},
            {"name": "b", "open": 1, "total": 1},
            {"name": "done", "open": 0, "total": 1},
        ],
    });
    assert_eq!(summary(&user).await, expected);
    assert_eq!(summary(&other).await, nothing, "another user's are not counted");
}

#[tokio::test]
async fn a_summary_has_the_500_most_used_tags() {
    let user = Api::shared().user().await;
    for first in (0..510).step_by(15) {
        let tags: Vec<_> = (first..first + 15).map(|number| format!("{number:03}")).collect();
        create(&user, json!({"title": "x", "tags": tags})).await;
    }
    create(&user, json!({"title": "x", "tags": ["509"]})).await;
    let summary = user.get("/summary").await.expect(200).body;
    let tags: Vec<_> = summary["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!((tags.len(), tags[0], tags[1], tags[499]), (500, "509", "000", "498"));
}

#[tokio::test]
async fn a_status_that_is_unknown_to_the_api_cannot_be_stored() {
    let database = connect_to_stack().await;
    let user = Api::shared().user().await;
    let id = user.task("x").await["id"].as_str().unwrap().to_owned();
    for change in ["status = 'done'", "status = ''", "priority = 0", "priority = 5"] {
        let error = database.batch_execute(&format!("UPDATE tasks SET {change} WHERE id = '{id}'")).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23514", "{change}");
    }
}

/// The old and the new way to say it, as two releases write them.
#[tokio::test]
async fn what_the_release_before_writes_is_seen_and_the_other_way_round() {
    let database = connect_to_stack().await;
    let user = Api::shared().user().await;
    let set = async |path: &str, change: &str| {
        let id = path.rsplit('/').next().unwrap();
        let sql = format!("UPDATE tasks SET {change} WHERE id = '{id}' RETURNING completed::text");
        let row = database.query_typed_one(&sql, &[]).await.unwrap();
        (row.get::<_, String>(0), status(&user.get(path).await.expect(200).body).to_owned())
    };
    let path = task_path(&user.task("x").await);
    for (change, completed, status) in [
        ("completed = true", "true", "completed"),
        ("completed = COALESCE(NULL, completed), title = 'y'", "true", "completed"),
        ("completed = false", "false", "pending"),
        ("status = 'in_progress'", "false", "in_progress"),
        ("completed = false", "false", "in_progress"),
        ("completed = true", "true", "completed"),
        ("status = 'pending'", "false", "pending"),
    ] {
        assert_eq!(set(&path, change).await, (completed.to_owned(), status.to_owned()), "{change}");
    }
    let insert = format!("INSERT INTO tasks (user_id, title) VALUES ('{}', 'old') RETURNING status", user.id);
    assert_eq!(database.query_typed_one(&insert, &[]).await.unwrap().get::<_, String>(0), "pending");
    let _: Reply = user.get("/tasks").await.expect(200);
}
