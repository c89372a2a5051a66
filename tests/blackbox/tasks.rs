//! Creating, reading, changing and deleting tasks.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, task_path as path, two_users},
    database::connect_to_stack,
};

#[tokio::test]
async fn a_task_is_created_read_changed_and_deleted() {
    let user = Api::shared().user().await;
    let reply = user.post("/tasks", &json!({"title": "Buy milk", "description": "2 litres"})).await.expect(201);
    let task = reply.body.clone();
    let location = path(&task);
    assert_eq!(reply.header("location"), &location[1..], "a reference relative to the request's own address");
    assert_eq!(reply.location().as_str(), user.api.url(&user.path(&location)));
    assert_eq!(
        task.as_object().unwrap().keys().collect::<BTreeSet<_>>(),
        BTreeSet::from(
            [
                "completed",
                "created_at",
                "description",
                "due_date",
                "etag",
                "id",
                "priority",
                "status",
                "tags",
                "title",
                "updated_at",
                "user_id"
            ]
            .map(String::from)
            .each_ref()
        )
    );
    assert_eq!(task["etag"], reply.header("etag"));
    assert_eq!(task["user_id"], user.id.as_str());
    assert_eq!((&task["title"], &task["description"]), (&json!("Buy milk"), &json!("2 litres")));
    assert_eq!((&task["completed"], &task["updated_at"]), (&json!(false), &task["created_at"]));
    assert_eq!(user.get(&path(&task)).await.expect(200).body, task);

    let changed = user.put(&path(&task), &json!({"completed": true})).await.expect(200).body;
    assert!(changed["updated_at"].as_str() > task["updated_at"].as_str());
    let mut expected = task.clone();
    expected["completed"] = json!(true);
    expected["status"] = json!("completed");
    for member in ["updated_at", "etag"] {
        assert_ne!(changed[member], task[member]);
        expected[member] = changed[member].clone();
    }
    assert_eq!(changed, expected, "fields that were left out are unchanged");
    assert_eq!(user.get(&path(&task)).await.expect(200).body, changed);

    assert!(user.delete(&path(&task)).await.expect(204).body.is_null());
    for method in [Method::GET, Method::DELETE] {
        user.send(method, &path(&task), None).await.expect(403);
    }
    user.put(&path(&task), &json!({"completed": false})).await.expect(403);
    assert_eq!(user.get("/tasks").await.expect(200).body, json!([]));
}

#[tokio::test]
async fn every_field_changes_on_its_own_and_null_clears_it() {
    let user = Api::shared().user().await;
    let task = user.post("/tasks", &json!({"title": "a", "description": "b"})).await.expect(201).body;
    let path = path(&task);
    let mut expected = task.clone();
    for (field, value) in [
        ("title", json!("c")),
        ("description", json!("")),
        ("description", json!("d")),
        ("description", Value::Null),
        ("priority", json!(4)),
        ("priority", Value::Null),
        ("due_date", json!("2026-03-01T17:00:00.000000Z")),
        ("due_date", Value::Null),
        ("tags", json!(["a", "b"])),
        ("tags", json!([])),
    ] {
        for method in [Method::PUT, Method::PATCH] {
            let changed = user.send(method, &path, Some(&json!({field: value}))).await.expect(200).body;
            expected[field] = value.clone();
            expected["updated_at"] = changed["updated_at"].clone();
            expected["etag"] = changed["etag"].clone();
            assert_eq!(changed, expected);
            assert_eq!(user.get(&path).await.expect(200).body, changed);
        }
    }
    assert_eq!(user.put(&path, &json!({})).await.expect(422).fields(), ["body"]);
    for field in ["title", "status", "completed"] {
        user.put(&path, &json!({field: null})).await.expect(400);
    }
}

#[tokio::test]
async fn a_title_is_trimmed_and_has_1_to_500_code_points_one_of_them_visible() {
    let user = Api::shared().user().await;
    let crabs = "🦀".repeat(500);
    for (sent, kept) in [("\u{3000}\t Buy\u{a0}milk \n", "Buy\u{a0}milk"), (&format!("  {crabs}  "), &crabs)] {
        assert_eq!(user.task(sent).await["title"], kept);
    }
    let task = user.task("before").await;
    for title in ["", " \u{2003}\n", &"a".repeat(501), "\u{200b}\u{feff}", "\u{3164}", "nul\0"] {
        assert_eq!(user.post("/tasks", &json!({"title": title})).await.expect(422).fields(), ["title"], "{title:?}");
        assert_eq!(user.put(&path(&task), &json!({"title": title})).await.expect(422).fields(), ["title"], "{title:?}");
    }
}

#[tokio::test]
async fn a_description_is_kept_as_sent_up_to_5000_code_points() {
    let user = Api::shared().user().await;
    for description in [json!("  as \r\n sent\t"), json!("🦀".repeat(5000)), json!(" "), Value::Null] {
        let task = user.post("/tasks", &json!({"title": "x", "description": description})).await.expect(201).body;
        assert_eq!(task["description"], description);
    }
    for description in ["a".repeat(5001), "nul\0".to_owned()] {
        let reply = user.post("/tasks", &json!({"title": "x", "description": description})).await.expect(422);
        assert_eq!(reply.fields(), ["description"]);
    }
    let both = json!({"title": "", "description": "a".repeat(5001)});
    assert_eq!(user.post("/tasks", &both).await.expect(422).fields(), ["title", "description"]);
}

#[tokio::test]
async fn unusual_strings_are_stored_as_sent() {
    let user = Api::shared().user().await;
    for text in [
        "'; DROP TABLE tasks; --",
        "<script>alert(1)</script>",
        "\\x00 \\u0000 %00 $1 {} NULL",
        "مرحبا \u{202e}dlrow",
        "e\u{301} is not é",
        "👨\u{200d}👩\u{200d}👧 🇩🇪",
        "\u{1}\u{7f}\u{85}",
        "\u{ffff}\u{10ffff}\u{fdd0}",
        "\"quotes\" 'and' `ticks`",
    ] {
        let sent = json!({"title": format!("a{text}z"), "description": text});
        let task = user.post("/tasks", &sent).await.expect(201).body;
        assert_eq!((&task["title"], &task["description"]), (&sent["title"], &sent["description"]));
        assert_eq!(user.get(&path(&task)).await.expect(200).body, task);
    }
}

#[tokio::test]
async fn an_idempotency_key_creates_one_task() {
    let (user, other) = two_users().await;
    let first = user.create_with_key("key-1", &json!({"title": "first"})).await.expect(201).body;
    let retry = async || user.create_with_key("key-1", &json!({"title": "first"})).await.expect(200).body;
    assert_eq!(retry().await, first);
    let changed = user.put(&path(&first), &json!({"title": "changed", "completed": true})).await.expect(200).body;
    assert_eq!(retry().await, changed, "as it is now");

    for (owner, key) in [(&user, "key-2"), (&user, "KEY-1"), (&other, "key-1")] {
        assert_ne!(owner.create_with_key(key, &json!({"title": "first"})).await.expect(201).body["id"], first["id"]);
    }
    assert_eq!(user.get("/tasks").await.expect(200).body.as_array().unwrap().len(), 3);

    user.delete(&path(&first)).await.expect(204);
    user.create_with_key("key-1", &json!({"title": "another"})).await.expect(201);
}

#[tokio::test]
async fn an_idempotency_key_is_for_one_body() {
    let user = Api::shared().user().await;
    let cases = [
        (
            json!({"title": "Buy milk"}),
            vec![json!({"title": " Buy milk\n"}), json!({"description": null, "title": "Buy milk"})],
            vec![
                json!({"title": "Buy Milk"}),
                json!({"title": "Buy  milk"}),
                json!({"title": "Buy milk", "description": ""}),
                json!({"title": "Buy milk", "description": "2 litres"}),
            ],
        ),
        (
            json!({"title": "a", "description": "b"}),
            vec![json!({"description": "b", "title": "a "})],
            vec![
                json!({"title": "a"}),
                json!({"title": "a", "description": null}),
                json!({"title": "a", "description": "b "}),
                json!({"title": "ab", "description": ""}),
                json!({"title": "b", "description": "a"}),
            ],
        ),
        (json!({"title": "é"}), vec![json!({"title": "\u{3000}é"})], vec![json!({"title": "e\u{301}"})]),
        (
            json!({"title": "a", "completed": true, "due_date": "2026-03-01T17:00:00Z", "tags": ["b", "a"]}),
            vec![
                json!({"title": "a", "status": "completed", "due_date": "2026-03-01T18:00:00+01:00", "tags": ["A", "b", "a"]}),
            ],
            vec![
                json!({"title": "a"}),
                json!({"title": "a", "completed": true, "due_date": "2026-03-01T17:00:00Z", "tags": ["a"]}),
                json!({"title": "a", "completed": true, "due_date": "2026-03-01T17:00:01Z", "tags": ["b", "a"]}),
                json!({"title": "a", "completed": true, "due_date": "2026-03-01T17:00:00Z", "tags": ["b", "a"], "priority": 1}),
            ],
        ),
        (
            json!({"title": "b"}),
            vec![json!({"title": "b", "completed": false, "status": "pending", "priority": null, "tags": []})],
            vec![json!({"title": "b", "status": "in_progress"})],
        ),
    ];
    for (number, (body, same, others)) in cases.into_iter().enumerate() {
        let key = format!("key-{number}");
        let task = user.create_with_key(&key, &body).await.expect(201).body;
        for same in same {
            assert_eq!(user.create_with_key(&key, &same).await.expect(200).body, task, "{same}");
        }
        for other in others {
            let refused = user.create_with_key(&key, &other).await.expect(422);
            assert_eq!(refused.fields(), ["Idempotency-Key"], "{other}");
        }
        user.put(&path(&task), &json!({"title": "changed", "description": null})).await.expect(200);
        user.create_with_key(&key, &body).await.expect(200);
        user.create_with_key(&key, &json!({"title": "changed"})).await.expect(422);
    }
    let tasks = user.get("/tasks").await.expect(200).body;
    assert!(tasks.as_array().unwrap().iter().all(|task| task["title"] == "changed") && tasks[4].is_object());
    assert!(tasks[5].is_null(), "a refused request created a task: {tasks}");
}

#[tokio::test]
async fn a_task_of_the_first_release_matches_any_body_under_its_key() {
    let user = Api::shared().user().await;
    let task = user.create_with_key("key", &json!({"title": "x"})).await.expect(201).body;
    let database = connect_to_stack().await;
    let forget = format!("UPDATE tasks SET request_hash = NULL WHERE id = '{}'", task["id"].as_str().unwrap());
    database.batch_execute(&forget).await.unwrap();
    for title in ["x", "y"] {
        assert_eq!(user.create_with_key("key", &json!({"title": title})).await.expect(200).body["id"], task["id"]);
    }
}

#[tokio::test]
async fn twenty_concurrent_requests_with_one_key_create_one_task() {
    let user = Api::shared().user().await;
    let requests = (0..20).map(|_| {
        let user = user.clone();
        tokio::spawn(async move { user.create_with_key("key", &json!({"title": "once"})).await })
    });
    let mut statuses = Vec::new();
    let mut tasks = BTreeSet::new();
    for request in requests.collect::<Vec<_>>() {
        let reply = request.await.unwrap();
        statuses.push(reply.status);
        tasks.insert(reply.body.to_string());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 19], vec![201]].concat());
    assert_eq!(tasks.len(), 1);
    assert_eq!(user.get("/tasks").await.expect(200).body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_idempotency_key_is_1_to_255_visible_ascii_characters() {
    let user = Api::shared().user().await;
    for key in ["!", "~", &"k".repeat(255)] {
        user.create_with_key(key, &json!({"title": "x"})).await.expect(201);
    }
    for key in ["", "a b", "a\tb", &"k".repeat(256), "schlüssel"] {
        user.create_with_key(key, &json!({"title": "x"})).await.expect(400);
    }
}
