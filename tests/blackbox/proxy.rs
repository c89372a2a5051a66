//! Neon's proxy, which has one SQLSTATE for all of its errors: a wrong password, an exceeded quota, a compute that does
//! not wake. What requests do about each, and what is logged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{
    api::{Api, Reply, User},
    database::{Migrate, connect_as_superuser, create_functions_role, direct_url, migrations, url_as},
    proxy::{Phase, Proxy},
    server::{Settings, TestServer},
    store::ParameterStore,
};
use tokio::time::sleep;

/// The parameter that holds the database's URL.
const PARAMETER: &str = "/task-api/DATABASE_URL";

const TIMEOUT: Duration = Duration::from_secs(60);

/// A transient error: the proxy does not get the compute's address from the control plane.
const TRANSIENT: &str = "Control plane request failed";

/// An API with the proxy before its database, whose URL is in a Parameter Store.
struct Fixture {
    server: TestServer,
    user: User,
    proxy: Proxy,
    store: ParameterStore,
    /// What must not be in the log.
    secrets: Vec<String>,
}

impl Fixture {
    /// Starts everything, and the function of `GET /users/{user_id}` with a connection through the proxy.
    async fn in_front_of(url: &str) -> Self {
        let (proxy, url) = Proxy::in_front_of(url).await;
        let store = ParameterStore::start().await;
        let settings = Settings::shared().with("DATABASE_URL", &url);
        let server = TestServer::start(&store.move_settings(&settings, &["DATABASE_URL"]).await);
        let user = server.user().await;
        user.get("").await.expect(200);
        let secrets = vec![password(&url), user.email.clone()];
        Self { server, user, proxy, store, secrets }
    }

    /// The same in front of the stack's pooler.
    async fn start() -> Self {
        Self::in_front_of(Settings::shared().get("DATABASE_URL")).await
    }

    /// The same for a role that gets a new password, which is stored; open connections are closed.
    async fn after_rotation(name: &str) -> Self {
        let database = connect_as_superuser().await;
        create_functions_role(&database, name, "the-0ld-0ne").await;
        let mut fixture = Self::in_front_of(&url_as(name, "the-0ld-0ne")).await;
        database.batch_execute(&format!("ALTER ROLE {name} PASSWORD 'the-n3w-0ne'")).await.unwrap();
        fixture.store.put(PARAMETER, &fixture.proxy.url(&url_as(name, "the-n3w-0ne"))).await;
        fixture.secrets.push("the-n3w-0ne".to_owned());
        fixture.proxy.cut();
        fixture
    }

    /// `GET` below the account's path; the reply, and the request's line in the log.
    async fn get(&self, rest: &str) -> (Reply, Value) {
        let reply = self.user.get(rest).await;
        (reply, self.server.requests().pop().unwrap())
    }

    /// Repeats a `GET` until it succeeds.
    async fn wait_until_ok(&self, rest: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while self.user.get(rest).await.status != 200 {
            assert!(Instant::now() < deadline, "still failing: {}", self.server.output());
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Checks that no secret is in the log, and returns its causes of failed attempts: errors of the server and timeouts,
    /// not those of lost connections.
    fn causes(&self) -> Vec<String> {
        let log = self.server.output();
        for secret in &self.secrets {
            assert!(!log.contains(secret), "{secret:?} in {log}");
        }
        causes(&log)
    }
}

fn causes(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let attempts = lines.filter(|line| line["level"] == "WARN");
    let causes = attempts.filter_map(|line| Some(line["cause"].as_str()?.to_owned()));
    causes.filter(|cause| cause.starts_with("SQLSTATE") || cause.starts_with("no answer")).collect()
}

fn password(url: &str) -> String {
    url.parse::<reqwest::Url>().unwrap().password().unwrap().to_owned()
}

async fn drop_role(name: &str) {
    connect_as_superuser().await.batch_execute(&format!("DROP ROLE {name}")).await.unwrap();
}

#[tokio::test]
async fn a_rotated_password_is_found_within_one_request_and_with_one_call_to_the_store() {
    let fixture = Fixture::after_rotation("rotated_at_once").await;
    let calls = fixture.store.calls();
    fixture.user.get("").await.expect(200);
    assert_eq!(fixture.store.calls() - calls, 1);
    assert_eq!(fixture.causes(), ["SQLSTATE XX000: password authentication failed for user 'rotated_at_once'"]);
    fixture.proxy.cut();
    fixture.user.get("").await.expect(200);
    assert_eq!(fixture.store.calls() - calls, 1);
    drop(fixture);
    drop_role("rotated_at_once").await;
}

#[tokio::test]
async fn a_new_password_that_the_proxy_refuses_for_seconds_is_retried_within_one_request() {
    let fixture = Fixture::after_rotation("rotated_early").await;
    let message = "password authentication failed for user 'rotated_early'";
    fixture.proxy.refuse(Phase::Password, message);
    let (reply, ()) = tokio::join!(fixture.user.get(""), async {
        sleep(Duration::from_secs(3)).await;
        fixture.proxy.stop_refusing();
    });
    reply.expect(200);
    assert!(fixture.proxy.refusals() > 0, "the new password was refused as well");
    assert!(fixture.causes().iter().all(|cause| *cause == format!("SQLSTATE XX000: {message}")));
    drop(fixture);
    drop_role("rotated_early").await;
}

#[tokio::test]
async fn a_removed_endpoint_is_replaced_by_the_stored_one() {
    let fixture = Fixture::start().await;
    fixture.proxy.refuse(Phase::Password, "password authentication failed for user 'x'");
    fixture.store.put(PARAMETER, Settings::shared().get("DATABASE_URL")).await;
    let calls = fixture.store.calls();
    fixture.proxy.cut();
    fixture.user.get("").await.expect(200);
    assert_eq!((fixture.store.calls() - calls, fixture.proxy.refusals()), (1, 1));
}

#[tokio::test]
async fn a_compute_that_wakes_within_the_budget_is_waited_for_without_reading_the_store() {
    let fixture = Fixture::start().await;
    fixture.user.task("asleep for 0 s").await;
    let mut acknowledged = vec!["asleep for 0 s".to_owned()];
    for (seconds, read, write) in [(4, 200, 201), (9, 200, 201), (12, 503, 503)] {
        let (calls, causes) = (fixture.store.calls(), fixture.causes().len());
        fixture.proxy.suspend();
        let title = format!("asleep for {seconds} s");
        let body = json!({ "title": title });
        let requests = async { tokio::join!(fixture.user.get(""), fixture.user.post("/tasks", &body)) };
        let wake_up = async {
            sleep(Duration::from_secs(seconds)).await;
            if read == 200 {
                fixture.proxy.wake();
            }
        };
        let ((reading, writing), ()) = tokio::join!(requests, wake_up);
        // The others wake it only now, however long the answers took.
        fixture.proxy.wake();
        assert_eq!((reading.status, writing.status), (read, write), "{seconds} s");
        assert_eq!(fixture.store.calls(), calls, "{seconds} s: a timeout is no refusal");
        if write == 201 {
            acknowledged.push(title);
        }
        let causes = fixture.causes().split_off(causes);
        assert!(causes.contains(&"no answer in 3 s, while connecting".to_owned()), "{seconds} s: {causes:?}");
        assert!(causes.iter().all(|cause| cause.ends_with(", while connecting")), "{seconds} s: {causes:?}");
        for line in fixture.server.requests().iter().filter(|line| line["status"] == 503) {
            assert!(line["cause"].as_str().is_some_and(|cause| cause.ends_with(", while connecting")), "{line}");
        }
    }
    fixture.wait_until_ok("").await;
    let tasks = fixture.user.via(&Api::shared()).get("/tasks?limit=100").await.expect(200).body;
    let titles: Vec<_> = tasks.as_array().unwrap().iter().rev().map(|task| task["title"].as_str().unwrap()).collect();
    assert_eq!(titles, acknowledged, "a write answered with 503 is not made later");
}

#[tokio::test]
async fn an_unreachable_compute_is_retried() {
    let fixture = Fixture::start().await;
    fixture.proxy.refuse_next(2, Phase::Compute, "Couldn't connect to compute node");
    fixture.proxy.cut();
    fixture.user.get("").await.expect(200);
    assert_eq!(fixture.proxy.refusals(), 2);
    assert_eq!(fixture.causes(), ["SQLSTATE XX000: Couldn't connect to compute node"; 2]);
}

#[tokio::test]
async fn the_migrator_retries_an_unreachable_compute() {
    let (proxy, url) = Proxy::in_front_of(&direct_url()).await;
    for (phase, refusals) in [(Phase::Startup, 2), (Phase::Compute, 4)] {
        proxy.refuse_next(2, phase, TRANSIENT);
        let status = Migrate::new(&url, &migrations()).unwrap().run(&["status"]).await.unwrap();
        status.success();
        assert_eq!(proxy.refusals(), refusals);
    }
}

#[tokio::test]
async fn errors_of_the_proxy_before_a_statement_are_logged_on_one_line() {
    let fixture = Fixture::start().await;
    let mut expected = Vec::new();
    for (phase, message) in [
        (Phase::Startup, TRANSIENT),
        (Phase::Startup, "Control plane request failed: endpoint is disabled"),
        (Phase::Startup, "Too many connections to this endpoint. Please try again later."),
        (
            Phase::Startup,
            "Your account or project has exceeded the compute time quota. Upgrade your plan to increase limits.",
        ),
        (Phase::Password, "password authentication failed for user 'task_api'"),
        (Phase::Password, "SASL authentication failed"),
        (Phase::Compute, "Couldn't connect to compute node"),
        (Phase::Compute, ""),
        (Phase::Startup, "two\nlines\r\n{\"level\":\"ERROR\",\"message\":\"request\"}\u{2028}\u{1b}[2J\u{7f}\t\"\\"),
        (Phase::Startup, "é, 漢字, 🦀"),
    ] {
        fixture.proxy.refuse_next(1, phase, message);
        fixture.proxy.cut();
        fixture.user.get("").await.expect(200);
        expected.push(format!("SQLSTATE XX000: {message}"));
        assert_eq!(fixture.causes(), expected);
    }
    assert_eq!(fixture.server.requests().len(), expected.len() + 1, "a message forged a request's line");
}

#[tokio::test]
async fn of_errors_of_the_proxy_after_a_statement_only_the_sqlstate_is_logged() {
    let mut fixture = Fixture::start().await;
    fixture.secrets.push("qu0ted".to_owned());
    fixture.user.task("warm up").await;
    fixture.proxy.refuse_next(1, Phase::Statement, "lost the compute: SELECT 'qu0ted'");
    fixture.user.get("").await.expect(200);
    fixture.proxy.refuse_next(1, Phase::Statement, "lost the compute: INSERT … ('qu0ted')");
    fixture.user.task("once").await;
    assert_eq!(fixture.proxy.refusals(), 2);
    assert_eq!(fixture.causes(), ["SQLSTATE XX000"; 2]);
    let tasks = fixture.user.via(&Api::shared()).get("/tasks").await.expect(200).body;
    assert_eq!(tasks.as_array().unwrap().iter().filter(|task| task["title"] == "once").count(), 1);
}

#[tokio::test]
async fn an_attempt_that_times_out_is_logged() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    let user = server.user().await;
    user.get("").await.expect(200);
    relay.black_hole(true);
    let (reply, ()) = tokio::join!(user.get(""), async {
        sleep(Duration::from_secs(1)).await;
        relay.black_hole(false);
    });
    reply.expect(200);
    let causes = causes(&server.output());
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(causes[0].starts_with("no answer in 2 s, while waiting for the answer"), "{causes:?}");
}

#[tokio::test]
async fn a_lasting_refusal_is_cached_for_seconds_and_then_retried() {
    let fixture = Fixture::start().await;
    let quota = "Your account or project has exceeded the compute time quota.";
    fixture.proxy.refuse(Phase::Startup, quota);
    // A function that has not started yet, and so has no connection that it would find closed.
    let (reply, line) = fixture.get("/tasks").await;
    reply.expect(503);
    assert!(line["attempts"].as_u64() > Some(1), "{line}");
    assert_eq!(line["cause"], format!("SQLSTATE XX000: {quota}"));

    let refusals = fixture.proxy.refusals();
    let (calls, causes) = (fixture.store.calls(), fixture.causes().len());
    for _ in 0..3 {
        let (reply, line) = fixture.get("/tasks").await;
        reply.expect(503);
        assert_eq!(line["attempts"], 0, "{line}");
        assert_eq!(line["cause"], format!("SQLSTATE XX000: {quota}"), "cached");
    }
    assert_eq!((fixture.proxy.refusals(), fixture.store.calls(), fixture.causes().len()), (refusals, calls, causes));

    let retried = loop {
        let (reply, line) = fixture.get("/tasks").await;
        reply.expect(503);
        if line["attempts"] != 0 {
            break line;
        }
        sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(retried["attempts"], 1, "{retried}");
    assert_eq!(fixture.proxy.refusals() - refusals, 1);
    let (_, line) = fixture.get("/tasks").await;
    assert_eq!(line["attempts"], 0, "cached again: {line}");

    fixture.proxy.stop_refusing();
    fixture.wait_until_ok("/tasks").await;
    fixture.proxy.cut();
    fixture.proxy.refuse_next(2, Phase::Startup, TRANSIENT);
    fixture.user.get("/tasks").await.expect(200);
}

#[tokio::test]
async fn a_new_url_in_the_store_is_found_while_a_refusal_is_cached() {
    let fixture = Fixture::start().await;
    fixture.proxy.refuse(Phase::Startup, "Control plane request failed: endpoint is disabled");
    fixture.proxy.cut();
    fixture.user.get("").await.expect(503);
    fixture.store.put(PARAMETER, Settings::shared().get("DATABASE_URL")).await;
    fixture.wait_until_ok("").await;
}
