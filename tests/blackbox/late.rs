//! Bytes that reach the database late. What the network still carries of an attempt that was given up changes nothing
//! that was answered since: nothing is lost, done twice, reverted or brought back.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, reply},
    database::{connect, counts_for, direct_url, set_signin_failures},
    relay::{Hold, Relay},
    watch::{Settings, Watch},
};
use tokio::time::sleep;

/// A wire that holds and delivers late, with an API of its own at the end of it.
struct Late {
    relay: Relay,
    watch: Watch,
    /// A user of that API.
    user: User,
    /// The same user at an API whose wire is sound.
    elsewhere: User,
}

/// How an attempt comes to be given up: by the client, which waits no longer, or by something on the way that cuts the
/// connection at once.
const WAYS: [fn(Hold) -> Hold; 2] = [|hold| hold, Hold::cutting];

impl Late {
    async fn start() -> Self {
        let (relay, settings) = Settings::of_the_stack().relayed().await;
        let watch = Watch::start(&settings);
        let user = watch.user().await;
        Self { relay, elsewhere: user.at(&Api::shared()), watch, user }
    }

    /// A reply to a request, an attempt at which is held on the way.
    async fn held(&self, hold: Hold, request: impl Future<Output = Reply>) -> Reply {
        self.relay.hold(Some(hold));
        let reply = request.await;
        self.relay.until_held().await;
        reply
    }

    /// Delivers what was held, and waits until the database is done with it.
    async fn deliver(&self) {
        assert_eq!(self.relay.deliver().await, 1);
    }

    /// The path of a new task, made elsewhere.
    async fn task(&self) -> String {
        path(&self.elsewhere.task("before").await)
    }
}

fn path(task: &Value) -> String {
    format!("/tasks/{}", task["id"].as_str().unwrap())
}

async fn with_header(user: &User, method: Method, rest: &str, header: (&str, &str), body: Option<&Value>) -> Reply {
    let request = user.api.request(method, &user.path(rest)).bearer_auth(&user.token).header(header.0, header.1);
    reply(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

/// Creates a task under an `Idempotency-Key`.
async fn create(user: &User, key: &str) -> Reply {
    with_header(user, Method::POST, "/tasks", ("idempotency-key", key), Some(&json!({"title": "once"}))).await
}

/// How many counts of failed sign-ins there are for an address.
async fn counts_of(email: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM signin_failures AS counted WHERE {}", counts_for(email));
    connect(&direct_url().unwrap()).await.unwrap().query_typed(&sql, &[]).await.unwrap()[0].get(0)
}

#[tokio::test]
async fn a_late_update_of_a_task_does_not_revert_a_later_one() {
    let late = Late::start().await;
    let path = late.task().await;
    late.user.put(&path, &json!({"title": "to warm up"})).await.expect(200);
    for way in WAYS {
        late.held(way(Hold::next()), late.user.put(&path, &json!({"title": "old"}))).await.expect(200);
        late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
        late.deliver().await;
        assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new");
    }
}

#[tokio::test]
async fn nor_does_one_of_which_a_part_was_there_in_time() {
    let late = Late::start().await;
    let path = late.task().await;
    late.user.put(&path, &json!({"title": "to warm up"})).await.expect(200);
    // 20,000 bytes are two records of TLS. PostgreSQL begins with what it has of them, and waits for the rest.
    let description = "\u{1F980}".repeat(5000);
    for bytes in [1_000, 17_000] {
        let old = json!({"title": "old", "description": description});
        let request = late.user.api.request(Method::PUT, &late.user.path(&path)).bearer_auth(&late.user.token);
        late.relay.hold(Some(Hold::next_but(bytes)));
        reply(request.json(&old)).await.expect(200);
        late.relay.until_held().await;
        assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "old", "after {bytes} bytes");
        late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
        late.deliver().await;
        assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new", "after {bytes} bytes");
    }
}

#[tokio::test]
async fn nor_does_one_under_a_condition() {
    let late = Late::start().await;
    let path = late.task().await;
    let update = async |etag: &str| {
        with_header(&late.user, Method::PUT, &path, ("if-match", etag), Some(&json!({"title": "old"}))).await
    };
    update("*").await.expect(200);
    for way in WAYS {
        let etag = late.elsewhere.get(&path).await.expect(200).header("etag").to_owned();
        for condition in [&etag, "*"] {
            late.held(way(Hold::next()), update(condition)).await.expect(200);
            late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
            late.deliver().await;
            assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new", "If-Match: {condition}");
        }
    }
}

#[tokio::test]
async fn what_is_delivered_while_the_client_repeats_is_done_once_and_in_order() {
    let late = Late::start().await;
    let path = late.task().await;
    let old = json!({"title": "old"});
    late.user.put(&path, &old).await.expect(200);
    create(&late.user, "to-warm-up").await.expect(201);
    let delivered = async || {
        late.relay.until_held().await;
        sleep(Duration::from_millis(300)).await;
        late.deliver().await;
    };
    let changes = async || {
        late.relay.hold(Some(Hold::next().cutting()));
        late.user.put(&path, &old).await.expect(200);
        late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
    };
    tokio::join!(changes(), delivered());
    assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new");

    for key in [None, Some("key")] {
        let created = async || {
            late.relay.hold(Some(Hold::next().cutting()));
            let reply = match key {
                Some(key) => create(&late.user, key).await,
                None => late.user.post("/tasks", &json!({"title": "once"})).await,
            };
            late.elsewhere.delete(&self::path(&reply.body)).await.expect(204);
        };
        tokio::join!(created(), delivered());
        let tasks = late.elsewhere.get("/tasks").await.expect(200).body;
        assert_eq!(tasks.as_array().unwrap().len(), 2, "{tasks}");
    }
}

#[tokio::test]
async fn a_late_creation_does_not_bring_a_deleted_task_back() {
    let late = Late::start().await;
    late.user.task("to warm up").await;
    for (number, way) in WAYS.into_iter().enumerate() {
        let task = late.held(way(Hold::next()), late.user.post("/tasks", &json!({"title": "once"}))).await;
        let path = path(&task.expect(201).body);
        late.elsewhere.delete(&path).await.expect(204);
        late.deliver().await;
        late.elsewhere.get(&path).await.expect(403);

        let path =
            self::path(&late.held(way(Hold::next()), create(&late.user, &number.to_string())).await.expect(201).body);
        late.elsewhere.delete(&path).await.expect(204);
        late.deliver().await;
        late.elsewhere.get(&path).await.expect(403);
    }
}

#[tokio::test]
async fn a_late_deletion_does_not_delete_a_task_that_was_made_anew() {
    let late = Late::start().await;
    late.user.delete(&late.task().await).await.expect(204);
    for way in WAYS {
        let task = create(&late.elsewhere, "key").await.expect(201).body;
        for condition in [None, Some("*")] {
            let deleted = async {
                match condition {
                    Some(etag) => with_header(&late.user, Method::DELETE, &path(&task), ("if-match", etag), None).await,
                    None => late.user.delete(&path(&task)).await,
                }
            };
            late.held(way(Hold::next()), deleted).await.expect(204);
            create(&late.elsewhere, "key").await.expect(201);
            late.deliver().await;
            late.elsewhere.get(&path(&task)).await.expect(200);
        }
        late.elsewhere.delete(&path(&task)).await.expect(204);
    }
}

#[tokio::test]
async fn a_late_sign_up_does_not_bring_a_deleted_account_back() {
    let late = Late::start().await;
    let (here, elsewhere) = (&late.watch.api, &late.elsewhere.api);
    here.sign_up(&fresh_email()).await.expect(201);
    for way in WAYS {
        let email = fresh_email();
        let account = late.held(way(Hold::next()), here.sign_up(&email)).await.expect(201).body;
        let token = elsewhere.sign_in(&email, PASSWORD).await.expect(200).token();
        let id = account["id"].as_str().unwrap().to_owned();
        let user = User { api: elsewhere.clone(), id, email, token };
        user.delete("").await.expect(204);
        late.deliver().await;
        user.get("").await.expect(401);
        elsewhere.sign_in(&user.email, PASSWORD).await.expect(401);
    }
}

#[tokio::test]
async fn a_late_change_of_an_address_does_not_revert_a_later_one() {
    let late = Late::start().await;
    let change = |email: &str| json!({"current_password": PASSWORD, "email": email});
    late.user.put("", &change(&late.user.email)).await.expect(200);
    for way in WAYS {
        let emails = [fresh_email(), fresh_email()];
        late.held(way(Hold::next_after(1)), late.user.put("", &change(&emails[0]))).await.expect(200);
        late.elsewhere.put("", &change(&emails[1])).await.expect(200);
        late.deliver().await;
        assert_eq!(late.elsewhere.get("").await.expect(200).body["email"], emails[1]);
        late.elsewhere.api.sign_in(&emails[0], PASSWORD).await.expect(401);
    }
}

#[tokio::test]
async fn a_late_change_of_a_password_does_not_revert_a_later_one() {
    /// What is set late.
    const OLD: &str = "an old password";
    let mut late = Late::start().await;
    let change = |current: &str, password: &str| json!({"current_password": current, "password": password});
    late.user.put("", &json!({"current_password": PASSWORD, "email": late.user.email})).await.expect(200);
    for way in WAYS {
        late.held(way(Hold::next_after(1)), late.user.put("", &change(PASSWORD, OLD))).await.expect(200);
        let sign_in = |password| late.elsewhere.api.sign_in(&late.user.email, password);
        let token = sign_in(OLD).await.expect(200).token();
        User { token, ..late.elsewhere.clone() }.put("", &change(OLD, PASSWORD)).await.expect(200);
        late.deliver().await;
        sign_in(OLD).await.expect(401);
        late.user.token = sign_in(PASSWORD).await.expect(200).token();
    }
}

#[tokio::test]
async fn a_late_sign_in_counts_nothing_for_an_account_that_is_gone() {
    let late = Late::start().await;
    let (here, email) = (&late.watch.api, &late.user.email);
    here.sign_in(email, "wrong password").await.expect(401);
    assert!(counts_of(email).await > 0);
    late.held(Hold::next(), here.sign_in(email, "wrong password")).await.expect(401);
    late.elsewhere.delete("").await.expect(204);
    assert_eq!(counts_of(email).await, 0);
    late.deliver().await;
    assert_eq!(counts_of(email).await, 0);
}

#[tokio::test]
async fn a_late_success_does_not_forget_the_failures_after_it() {
    let late = Late::start().await;
    let (here, elsewhere, email) = (&late.watch.api, &late.elsewhere.api, &late.user.email);
    elsewhere.sign_in(email, "wrong password").await.expect(401);
    here.sign_in(email, PASSWORD).await.expect(200);
    elsewhere.sign_in(email, "wrong password").await.expect(401);
    late.held(Hold::next_after(1), here.sign_in(email, PASSWORD)).await.expect(200);
    set_signin_failures(email, 20, 20, 0).await;
    elsewhere.sign_in(email, PASSWORD).await.expect(429);
    late.deliver().await;
    elsewhere.sign_in(email, PASSWORD).await.expect(429);
}

#[tokio::test]
async fn what_was_answered_with_503_is_not_done_later() {
    let late = Late::start().await;
    let path = late.task().await;
    late.user.put(&path, &json!({"title": "to warm up"})).await.expect(200);
    late.user.task("to warm up").await;
    late.relay.hold(Some(Hold::all_after(0)));
    let (old, new) = (json!({"title": "old"}), json!({"title": "new"}));
    let (updated, created) = tokio::join!(late.user.put(&path, &old), late.user.post("/tasks", &new));
    updated.expect(503);
    created.expect(503);
    let before = late.elsewhere.get("/tasks").await.expect(200).body;
    assert!(late.relay.deliver().await > 1);
    assert_eq!(late.elsewhere.get("/tasks").await.expect(200).body, before);
}
