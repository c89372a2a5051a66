//! Filters, sorts and search of the list of tasks.

use std::cmp::Ordering;

use reqwest::{Method, Url, header::IF_NONE_MATCH};
use serde_json::{Value, json};
use tests::{
    api::{Api, Reply, User, reply, task_path, two_users},
    database::connect_to_stack,
};

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect()
}

fn titles(reply: &Reply) -> Vec<&str> {
    reply.body.as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap()).collect()
}

async fn list(user: &User, query: &str) -> Value {
    user.get(&format!("/tasks?limit=100&{query}")).await.expect(200).body
}

/// All pages of a list, of `limit` tasks each.
async fn paged(user: &User, query: &str, limit: usize) -> Value {
    let mut reply = user.get(&format!("/tasks?limit={limit}&{query}")).await.expect(200);
    let mut tasks = Vec::new();
    loop {
        tasks.extend(reply.body.as_array().unwrap().clone());
        let Some(next) = reply.next_page() else { return tasks.into() };
        assert_eq!(reply.body.as_array().unwrap().len(), limit, "{query}");
        reply = user
            .api
            .send(Method::GET, &next.as_str()[user.api.base().len()..], Some(&user.token), None)
            .await
            .expect(200);
    }
}

/// Tasks of every status, priority, due date and tag, in many combinations, changed in another order than created.
async fn varied(user: &User) -> Vec<Value> {
    let mut tasks = Vec::new();
    for number in 0..36_usize {
        let mut task = json!({
            "title": format!("Task {number} {}", ["Alpha", "beta"][number % 2]),
            "status": (["pending", "in_progress", "completed"][number % 3]),
            "tags": ([["home"].as_slice(), &["home", "urgent"], &[]][number / 2 % 3]),
        });
        if !number.is_multiple_of(5) {
            task["priority"] = json!(1 + number % 4);
        }
        if !number.is_multiple_of(4) {
            task["due_date"] = json!(format!("2026-03-{:02}T12:00:00Z", 1 + number % 7));
        }
        tasks.push(user.post("/tasks", &task).await.expect(201).body);
    }
    for task in tasks.iter_mut().rev().step_by(3) {
        *task = user.put(&task_path(task), &json!({"description": "changed since"})).await.expect(200).body;
    }
    tasks
}

/// What the list should hold, as the contract has it.
fn expected<'a>(tasks: &'a [Value], keep: impl Fn(&Value) -> bool, key: &str, is_descending: bool) -> Vec<&'a str> {
    let mut tasks: Vec<&Value> = tasks.iter().filter(|task| keep(task)).collect();
    tasks.sort_by(|a, b| {
        let order = match (&a[key], &b[key]) {
            (Value::Number(a), Value::Number(b)) => a.as_u64().cmp(&b.as_u64()),
            (a, b) => a.as_str().cmp(&b.as_str()),
        };
        let order = order.then_with(|| a["id"].as_str().cmp(&b["id"].as_str()));
        let order = if is_descending { order.reverse() } else { order };
        match (a[key].is_null(), b[key].is_null()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => order,
        }
    });
    tasks.into_iter().map(|task| task["id"].as_str().unwrap()).collect()
}

type Filter = (&'static str, fn(&Value) -> bool);

const FILTERS: [Filter; 12] = [
    ("", |_| true),
    ("status=pending", |task| task["status"] == "pending"),
    ("status=pending,in_progress,pending", |task| task["status"] != "completed"),
    ("completed=false", |task| task["completed"] == false),
    ("completed=true", |task| task["completed"] == true),
    ("completed=false&status=completed,pending", |task| task["status"] == "pending"),
    ("completed=true&status=pending", |_| false),
    ("priority=1", |task| task["priority"] == 1),
    ("priority=4,1", |task| task["priority"] == 1 || task["priority"] == 4),
    ("tag=%20HOME", |task| task["tags"].as_array().unwrap().contains(&json!("home"))),
    ("tag=urgent,home", |task| task["tags"].as_array().unwrap().len() == 2),
    ("due_after=2026-03-02T13:00:00%2B01:00&due_before=2026-03-05T12:00:00Z", |task| {
        task["due_date"].as_str().is_some_and(|time| ("2026-03-02T12:00:00"..="2026-03-05T11").contains(&time))
    }),
];

#[tokio::test]
async fn every_filter_and_sort_together_page_through_exactly_their_tasks() {
    let (user, other) = two_users().await;
    other.post("/tasks", &json!({"title": "Alpha", "priority": 1, "tags": ["home", "urgent"]})).await.expect(201);
    let tasks = varied(&user).await;
    for (filter, keep) in FILTERS {
        for key in ["created_at", "due_date", "priority", "updated_at"] {
            for (sign, is_descending) in [("", false), ("-", true)] {
                let query = format!("{filter}&sort={sign}{key}");
                let expected = expected(&tasks, keep, key, is_descending);
                assert_eq!(ids(&list(&user, &query).await), expected, "{query}");
                assert_eq!(ids(&paged(&user, &query, 5).await), expected, "{query}, in pages");
            }
        }
    }
}

#[tokio::test]
async fn every_task_of_a_list_is_as_it_is_read_alone() {
    let user = Api::shared().user().await;
    varied(&user).await;
    for task in list(&user, "sort=priority&completed=false").await.as_array().unwrap() {
        let alone = user.get(&task_path(task)).await.expect(200);
        assert_eq!((&alone.body, task["etag"].as_str().unwrap()), (task, alone.header("etag")));
    }
}

/// The path of a list with these parameters.
fn search(parameters: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params("http://localhost", parameters).unwrap();
    format!("/tasks?{}", url.query().unwrap())
}

#[tokio::test]
async fn a_search_finds_every_word_whatever_its_case() {
    let user = Api::shared().user().await;
    for (title, description) in [
        ("Buy MILK", Some("2 litres, not 3")),
        ("Ärger mit ÉCLAIR", None),
        ("Straße", Some("100% wool_x \\ back")),
        ("ΟΔΟΣ ΑΘΗΝΑΣ", None),
        ("İstanbul", Some("Ǆ ﬁ")),
        ("milk", Some("shake")),
    ] {
        user.post("/tasks", &json!({"title": title, "description": description})).await.expect(201);
    }
    for (q, expected) in [
        ("milk", vec!["milk", "Buy MILK"]),
        ("  mIlK   LITRES ", vec!["Buy MILK"]),
        ("buy milk 2 litres not", vec!["Buy MILK"]),
        ("milk shake", vec!["milk"]),
        ("mil\u{212A}", vec!["milk", "Buy MILK"]),
        ("kshake", vec![]),
        ("ärger éclair", vec!["Ärger mit ÉCLAIR"]),
        ("ÄRGER", vec!["Ärger mit ÉCLAIR"]),
        ("arger", vec![]),
        ("strasse", vec![]),
        ("straẞe", vec!["Straße"]),
        ("100%", vec!["Straße"]),
        ("l_x", vec!["Straße"]),
        ("\\", vec!["Straße"]),
        ("οδοσ", vec!["ΟΔΟΣ ΑΘΗΝΑΣ"]),
        ("οδος αθηνας", vec!["ΟΔΟΣ ΑΘΗΝΑΣ"]),
        ("αθηνασ", vec!["ΟΔΟΣ ΑΘΗΝΑΣ"]),
        ("istanbul", vec!["İstanbul"]),
        ("ǆ", vec!["İstanbul"]),
        ("' OR true --", vec![]),
        ("%", vec!["Straße"]),
    ] {
        let found = user.get(&search(&[("q", q)])).await.expect(200);
        assert_eq!(titles(&found), expected, "{q:?}");
        let first = user.get(&search(&[("q", q), ("limit", "1"), ("sort", "-updated_at")])).await.expect(200);
        assert_eq!(titles(&first), expected[..expected.len().min(1)], "{q:?}");
        assert_eq!(first.next_page().is_some(), expected.len() > 1, "{q:?}");
    }
}

#[tokio::test]
async fn a_cursor_is_valid_for_its_own_filters_and_sort_only() {
    let user = Api::shared().user().await;
    varied(&user).await;
    let lists =
        ["", "completed=false&", "status=pending&", "sort=due_date&", "sort=-due_date&", "q=task&", "tag=home&"];
    for own in lists {
        let page = user.get(&format!("/tasks?{own}limit=2")).await.expect(200);
        let next = page.next_page().unwrap();
        let cursor = next.query().unwrap().rsplit("cursor=").next().unwrap().to_owned();
        for other in lists {
            let reply = user.get(&format!("/tasks?{other}limit=3&cursor={cursor}")).await;
            // The first release wrote one cursor for all its lists.
            let is_valid = own == other || (own.is_empty() && other == "completed=false&");
            assert_eq!(reply.status, if is_valid { 200 } else { 400 }, "{own} {other}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn the_link_keeps_filters_and_sort() {
    let user = Api::shared().user().await;
    for _ in 0..2 {
        let task = json!({"title": "a & b=c", "tags": ["x y", "ä"], "priority": 1, "due_date": "2026-03-01T00:00:00Z"});
        user.post("/tasks", &task).await.expect(201);
    }
    let query = "tag=%C3%84,x+y&q=%26+b%3D&priority=1,2&due_after=2026-03-01T01:00:00%2B01:00&sort=-priority&limit=1";
    let first = user.get(&format!("/tasks?{query}")).await.expect(200);
    let next = first.next_page().unwrap();
    let pairs: Vec<_> = next.query_pairs().filter(|(name, _)| name != "cursor").collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        pairs,
        [
            ("priority", "1,2"),
            ("tag", "x y,ä"),
            ("due_after", "2026-03-01T00:00:00.000000Z"),
            ("q", "& b="),
            ("sort", "-priority"),
            ("limit", "1"),
        ]
    );
    let path = &next.as_str()[user.api.base().len()..];
    let second = user.api.send(Method::GET, path, Some(&user.token), None).await.expect(200);
    assert_ne!(second.body[0]["id"], first.body[0]["id"]);
    assert!(second.next_page().is_none());
}

#[tokio::test]
async fn paging_by_due_date_repeats_and_skips_nothing_that_stood_still() {
    let user = Api::shared().user().await;
    let tasks = varied(&user).await;
    let (mut seen, mut path) = (Vec::new(), "/tasks?sort=due_date&limit=4".to_owned());
    let mut moved = Vec::new();
    loop {
        let page = user.get(&path).await.expect(200);
        seen.extend(ids(&page.body).into_iter().map(str::to_owned));
        // One task gets another due date, one loses it, one is new.
        let mut still =
            tasks.iter().map(|task| task["id"].as_str().unwrap()).filter(|id| !seen.iter().any(|seen| seen == id));
        for (id, due_date) in [(still.next(), json!("2026-02-01T00:00:00Z")), (still.next(), Value::Null)] {
            if let Some(id) = id {
                user.put(&format!("/tasks/{id}"), &json!({"due_date": due_date})).await.expect(200);
                moved.push(id.to_owned());
            }
        }
        user.task("new").await;
        match page.next_page() {
            Some(next) => path = next.as_str().strip_prefix(&user.api.url(&user.path(""))).unwrap().to_owned(),
            None => break,
        }
    }
    for task in &tasks {
        let id = task["id"].as_str().unwrap();
        let times = seen.iter().filter(|seen| *seen == id).count();
        if !moved.iter().any(|moved| moved == id) {
            assert_eq!(times, 1, "{task}");
        }
    }
}

#[tokio::test]
async fn tasks_of_equal_value_are_paged_through_by_id() {
    let user = Api::shared().user().await;
    varied(&user).await;
    let database = connect_to_stack().await;
    let sql = format!("UPDATE tasks SET due_date = '2026-01-01', priority = 2 WHERE user_id = '{}'", user.id);
    database.batch_execute(&sql).await.unwrap();
    for sort in ["due_date", "-due_date", "priority", "-priority", "updated_at", "-updated_at"] {
        let query = format!("sort={sort}");
        assert_eq!(paged(&user, &query, 7).await, list(&user, &query).await, "{sort}");
        let mut ids: Vec<_> = ids(&list(&user, &query).await).into_iter().map(str::to_owned).collect();
        if sort.starts_with('-') {
            ids.reverse();
        }
        assert!(ids.is_sorted(), "{sort}: {ids:?}");
    }
}

#[tokio::test]
async fn a_page_that_the_client_has_is_a_304() {
    let user = Api::shared().user().await;
    let tasks = varied(&user).await;
    let known = async |tag: &str| {
        reply(user.request(Method::GET, "/tasks?limit=5&sort=due_date").header(IF_NONE_MATCH, tag)).await
    };
    let page = known("\"x\"").await.expect(200);
    let unchanged = known(page.header("etag")).await.expect(304);
    assert!(unchanged.body.is_null());
    assert_eq!((unchanged.header("etag"), unchanged.header("link")), (page.header("etag"), page.header("link")));
    let first = page.body[0]["id"].as_str().unwrap();
    user.put(&format!("/tasks/{first}"), &json!({"tags": ["new"]})).await.expect(200);
    let changed = known(page.header("etag")).await.expect(200);
    assert_ne!(changed.header("etag"), page.header("etag"));
    // It has no due date, and so is on the last page.
    user.put(&task_path(&tasks[0]), &json!({"title": "elsewhere"})).await.expect(200);
    known(changed.header("etag")).await.expect(304);
    known("x").await.expect(400);
}

#[tokio::test]
async fn a_bad_filter_is_named() {
    let user = Api::shared().user().await;
    let words = "a+".repeat(6);
    let long = format!("q={}", "a".repeat(201));
    let many: Vec<_> = (0..21).map(|number| number.to_string()).collect();
    for (query, name) in [
        ("status=", "status"),
        ("status=done", "status"),
        ("status=pending,", "status"),
        ("status=pending,+completed", "status"),
        ("status=pending&status=completed", "status"),
        ("priority=", "priority"),
        ("priority=0", "priority"),
        ("priority=5", "priority"),
        ("priority=1,,2", "priority"),
        ("priority=%2B1", "priority"),
        ("priority=1.0", "priority"),
        ("tag=", "tag"),
        ("tag=a,", "tag"),
        ("tag=%E2%80%8B", "tag"),
        ("tag=a%0Ab", "tag"),
        ("tag=a%00", "tag"),
        (&format!("tag={}", "x".repeat(51)), "tag"),
        (&format!("tag={}", many.join(",")), "tag"),
        ("due_after=2026-03-01", "due_after"),
        ("due_after=2026-03-01T00:00:00+01:00", "due_after"),
        ("due_before=", "due_before"),
        ("due_before=9999-12-31T23:59:59-01:00", "due_before"),
        ("q=", "q"),
        ("q=+", "q"),
        ("q=a%00", "q"),
        (&format!("q={words}"), "q"),
        (&long, "q"),
        ("sort=", "sort"),
        ("sort=title", "sort"),
        ("sort=%2Bdue_date", "sort"),
        ("sort=--due_date", "sort"),
        ("sort=due_date,priority", "sort"),
        ("sort=created_at&sort=-created_at", "sort"),
        ("tags=home", "tags"),
    ] {
        let reply = user.get(&format!("/tasks?{query}")).await.expect(400);
        let detail = reply.body["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("\"{name}\"")), "{query}: {detail}");
        assert_eq!(reply.body["code"], "bad_parameter");
    }
}
