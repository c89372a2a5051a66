//! Bytes that reach the database late: an attempt that was given up and arrives after all loses, duplicates, reverts and
//! resurrects nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, reply, task_path},
    database::{connect_to_stack, failures_condition, set_signin_failures},
    relay::{Hold, Relay},
    server::{Settings, TestServer},
};
use tokio::time::sleep;

/// An API with a relay before its database.
struct Fixture {
    relay: Relay,
    server: TestServer,
    user: User,
    /// The same user at the shared API, whose connections are not disturbed.
    elsewhere: User,
}

/// How an attempt is given up: because it times out, or because the connection closes at once.
const GIVEN_UP_BY: [fn(Hold) -> Hold; 2] = [|hold| hold, Hold::disconnecting];

impl Fixture {
    async fn start() -> Self {
        let (relay, settings) = Settings::shared().with_relay().await;
        let server = TestServer::start(&settings);
        let user = server.user().await;
        Self { relay, elsewhere: user.via(&Api::shared()), server, user }
    }

    /// Sends a request of which one attempt is held; the reply comes from another attempt.
    async fn held(&self, hold: Hold, request: impl Future<Output = Reply>) -> Reply {
        self.relay.hold(Some(hold));
        let reply = request.await;
        self.relay.wait_until_held().await;
        reply
    }

    /// Delivers what was held, and waits until the database has processed it.
    async fn deliver(&self) {
        assert_eq!(self.relay.deliver().await, 1);
    }

    /// Creates a task through the shared API; its path.
    async fn task(&self) -> String {
        task_path(&self.elsewhere.task("before").await)
    }
}

async fn with_header(user: &User, method: Method, rest: &str, header: (&str, &str), body: Option<&Value>) -> Reply {
    let request = user.request(method, rest).header(header.0, header.1);
    reply(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn create(user: &User, key: &str) -> Reply {
    user.create_with_key(key, &json!({"title": "once"})).await
}

/// How many rows count failed sign-ins of an e-mail address.
async fn failure_rows(email: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM signin_failures AS counted WHERE {}", failures_condition(email));
    connect_to_stack().await.query_typed(&sql, &[]).await.unwrap()[0].get(0)
}

#[tokio::test]
async fn a_late_update_of_a_task_does_not_revert_a_later_one() {
    let late = Fixture::start().await;
    let path = late.task().await;
    late.user.put(&path, &json!({"title": "warm up"})).await.expect(200);
    for give_up in GIVEN_UP_BY {
        late.held(give_up(Hold::next()), late.user.put(&path, &json!({"title": "old"}))).await.expect(200);
        late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
        late.deliver().await;
        assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new");
    }
}

#[tokio::test]
async fn a_late_rest_of_an_update_does_not_revert_a_later_one() {
    let late = Fixture::start().await;
    let path = late.task().await;
    late.user.put(&path, &json!({"title": "warm up"})).await.expect(200);
    // 20,000 bytes are two TLS records. PostgreSQL starts to read, and waits for the rest.
    let description = "\u{1F980}".repeat(5000);
    for bytes in [1_000, 17_000] {
        let old = json!({"title": "old", "description": description});
        let request = late.user.request(Method::PUT, &path);
        late.relay.hold(Some(Hold::next_but(bytes)));
        reply(request.json(&old)).await.expect(200);
        late.relay.wait_until_held().await;
        assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "old", "after {bytes} bytes");
        late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
        late.deliver().await;
        assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new", "after {bytes} bytes");
    }
}

#[tokio::test]
async fn a_late_conditional_update_does_not_revert_a_later_one() {
    let late = Fixture::start().await;
    let path = late.task().await;
    let update = async |etag: &str| {
        with_header(&late.user, Method::PUT, &path, ("if-match", etag), Some(&json!({"title": "old"}))).await
    };
    update("*").await.expect(200);
    for give_up in GIVEN_UP_BY {
        let etag = late.elsewhere.get(&path).await.expect(200).header("etag").to_owned();
        for condition in [&etag, "*"] {
            late.held(give_up(Hold::next()), update(condition)).await.expect(200);
            late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
            late.deliver().await;
            assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new", "If-Match: {condition}");
        }
    }
}

#[tokio::test]
async fn a_delivery_during_the_retry_is_processed_once_and_in_order() {
    let late = Fixture::start().await;
    let path = late.task().await;
    let old = json!({"title": "old"});
    late.user.put(&path, &old).await.expect(200);
    create(&late.user, "warm-up").await.expect(201);
    let delivered = async || {
        late.relay.wait_until_held().await;
        sleep(Duration::from_millis(300)).await;
        late.deliver().await;
    };
    let changes = async || {
        late.relay.hold(Some(Hold::next().disconnecting()));
        late.user.put(&path, &old).await.expect(200);
        late.elsewhere.put(&path, &json!({"title": "new"})).await.expect(200);
    };
    tokio::join!(changes(), delivered());
    assert_eq!(late.elsewhere.get(&path).await.expect(200).body["title"], "new");

    for key in [None, Some("key")] {
        let created = async || {
            late.relay.hold(Some(Hold::next().disconnecting()));
            let reply = match key {
                Some(key) => create(&late.user, key).await,
                None => late.user.post("/tasks", &json!({"title": "once"})).await,
            };
            late.elsewhere.delete(&task_path(&reply.body)).await.expect(204);
        };
        tokio::join!(created(), delivered());
        let tasks = late.elsewhere.get("/tasks").await.expect(200).body;
        assert_eq!(tasks.as_array().unwrap().len(), 2, "{tasks}");
    }
}

#[tokio::test]
async fn a_late_creation_does_not_resurrect_a_deleted_task() {
    let late = Fixture::start().await;
    late.user.task("warm up").await;
    for (number, give_up) in GIVEN_UP_BY.into_iter().enumerate() {
        let task = late.held(give_up(Hold::next()), late.user.post("/tasks", &json!({"title": "once"}))).await;
        let path = task_path(&task.expect(201).body);
        late.elsewhere.delete(&path).await.expect(204);
        late.deliver().await;
        late.elsewhere.get(&path).await.expect(403);

        let path = task_path(
            &late.held(give_up(Hold::next()), create(&late.user, &number.to_string())).await.expect(201).body,
        );
        late.elsewhere.delete(&path).await.expect(204);
        late.deliver().await;
        late.elsewhere.get(&path).await.expect(403);
    }
}

#[tokio::test]
async fn a_late_deletion_does_not_delete_a_recreated_task() {
    let late = Fixture::start().await;
    late.user.delete(&late.task().await).await.expect(204);
    for give_up in GIVEN_UP_BY {
        let task = create(&late.elsewhere, "key").await.expect(201).body;
        for condition in [None, Some("*")] {
            let deleted = async {
                match condition {
                    Some(etag) => {
                        with_header(&late.user, Method::DELETE, &task_path(&task), ("if-match", etag), None).await
                    }
                    None => late.user.delete(&task_path(&task)).await,
                }
            };
            late.held(give_up(Hold::next()), deleted).await.expect(204);
            create(&late.elsewhere, "key").await.expect(201);
            late.deliver().await;
            late.elsewhere.get(&task_path(&task)).await.expect(200);
        }
        late.elsewhere.delete(&task_path(&task)).await.expect(204);
    }
}

#[tokio::test]
async fn a_late_sign_up_does_not_resurrect_a_deleted_account() {
    let late = Fixture::start().await;
    let (here, elsewhere) = (&late.server.api, &late.elsewhere.api);
    here.sign_up(&fresh_email()).await.expect(201);
    for give_up in GIVEN_UP_BY {
        let email = fresh_email();
        let account = late.held(give_up(Hold::next()), here.sign_up(&email)).await.expect(201).body;
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
async fn a_late_change_of_email_does_not_revert_a_later_one() {
    let late = Fixture::start().await;
    let change = |email: &str| json!({"current_password": PASSWORD, "email": email});
    late.user.put("", &change(&late.user.email)).await.expect(200);
    for give_up in GIVEN_UP_BY {
        let emails = [fresh_email(), fresh_email()];
        late.held(give_up(Hold::next_after(1)), late.user.put("", &change(&emails[0]))).await.expect(200);
        late.elsewhere.put("", &change(&emails[1])).await.expect(200);
        late.deliver().await;
        assert_eq!(late.elsewhere.get("").await.expect(200).body["email"], emails[1]);
        late.elsewhere.api.sign_in(&emails[0], PASSWORD).await.expect(401);
    }
}

#[tokio::test]
async fn a_late_change_of_a_password_does_not_revert_a_later_one() {
    const OLD: &str = "an old password";
    let mut late = Fixture::start().await;
    let change = |current: &str, password: &str| json!({"current_password": current, "password": password});
    late.user.put("", &json!({"current_password": PASSWORD, "email": late.user.email})).await.expect(200);
    for give_up in GIVEN_UP_BY {
        late.held(give_up(Hold::next_after(1)), late.user.put("", &change(PASSWORD, OLD))).await.expect(200);
        let sign_in = |password| late.elsewhere.api.sign_in(&late.user.email, password);
        let token = sign_in(OLD).await.expect(200).token();
        User { token, ..late.elsewhere.clone() }.put("", &change(OLD, PASSWORD)).await.expect(200);
        late.deliver().await;
        sign_in(OLD).await.expect(401);
        late.user.token = sign_in(PASSWORD).await.expect(200).token();
    }
}

#[tokio::test]
async fn a_late_failed_sign_in_is_not_counted_for_a_deleted_account() {
    let late = Fixture::start().await;
    let (here, email) = (&late.server.api, &late.user.email);
    here.sign_in(email, "wrong password").await.expect(401);
    assert!(failure_rows(email).await > 0);
    late.held(Hold::next(), here.sign_in(email, "wrong password")).await.expect(401);
    late.elsewhere.delete("").await.expect(204);
    assert_eq!(failure_rows(email).await, 0);
    late.deliver().await;
    assert_eq!(failure_rows(email).await, 0);
}

#[tokio::test]
async fn a_late_success_does_not_reset_the_failures_after_it() {
    let late = Fixture::start().await;
    let (here, elsewhere, email) = (&late.server.api, &late.elsewhere.api, &late.user.email);
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
    let late = Fixture::start().await;
    let path = late.task().await;
    late.user.put(&path, &json!({"title": "warm up"})).await.expect(200);
    late.user.task("warm up").await;
    late.relay.hold(Some(Hold::all_after(0)));
    let (old, new) = (json!({"title": "old"}), json!({"title": "new"}));
    let (updated, created) = tokio::join!(late.user.put(&path, &old), late.user.post("/tasks", &new));
    updated.expect(503);
    created.expect(503);
    let before = late.elsewhere.get("/tasks").await.expect(200).body;
    assert!(late.relay.deliver().await > 1);
    assert_eq!(late.elsewhere.get("/tasks").await.expect(200).body, before);
}
