//! Behind Neon's proxy, which has one SQLSTATE for all that it says itself: a wrong password, a used-up quota, a compute
//! that does not wake. What a request makes of each, and what is then in the log.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{
    api::{Api, Reply, User},
    database::{Migrate, direct_url, migrations},
    proxy::{Moment, Proxy},
    store::ParameterStore,
    watch::{Settings, Watch},
};
use tokio::time::sleep;

use crate::secrets::{role, superuser, url_as};

/// Where the functions look up the database's address.
const PARAMETER: &str = "/task-api/DATABASE_URL";

/// How long it may take until all is well again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the proxy says while the control plane cannot tell it where the compute is.
const PASSING: &str = "Control plane request failed";

/// The API with the proxy before its database, whose address it has from a Parameter Store.
struct Behind {
    watch: Watch,
    user: User,
    proxy: Proxy,
    store: ParameterStore,
    /// What may be in no line of the log.
    secrets: Vec<String>,
}

impl Behind {
    /// Starts everything, and `GET /users/{user_id}`, whose function has then its connection through the proxy.
    async fn proxy_before(url: &str) -> Self {
        let (proxy, url) = Proxy::before(url).await;
        let store = ParameterStore::start().await;
        let settings = Settings::of_the_stack().with("DATABASE_URL", &url);
        let watch = Watch::start(&store.holding(&settings, &["DATABASE_URL"]).await);
        let user = watch.user().await;
        user.get("").await.expect(200);
        let secrets = vec![password(&url), user.email.clone()];
        Self { watch, user, proxy, store, secrets }
    }

    /// The same, before the stack's own pooler.
    async fn the_proxy() -> Self {
        Self::proxy_before(Settings::of_the_stack().get("DATABASE_URL")).await
    }

    /// The same, for a role that then gets another password, which is stored. Who is in is put out.
    async fn the_proxy_after_a_rotation(name: &str) -> Self {
        let database = superuser().await;
        role(&database, name, "the-0ld-0ne").await;
        let mut behind = Self::proxy_before(&url_as(name, "the-0ld-0ne")).await;
        database.batch_execute(&format!("ALTER ROLE {name} PASSWORD 'the-n3w-0ne'")).await.unwrap();
        behind.store.put(PARAMETER, &behind.proxy.url(&url_as(name, "the-n3w-0ne"))).await;
        behind.secrets.push("the-n3w-0ne".to_owned());
        behind.proxy.cut();
        behind
    }

    /// `GET` below the account's path; the reply and the request's line in the log.
    async fn get(&self, rest: &str) -> (Reply, Value) {
        let reply = self.user.get(rest).await;
        (reply, self.watch.requests().pop().unwrap())
    }

    /// Asks until the answer is 200.
    async fn until_well(&self, rest: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.user.get(rest).await.status != 200 {
            assert!(Instant::now() < deadline, "not well again: {}", self.watch.output());
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Why attempts failed, in the order of the log, as far as the server or the time was the cause: how a connection
    /// that was cut ends is the network's business. No secret is in any line.
    fn causes(&self) -> Vec<String> {
        let log = self.watch.output();
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
    superuser().await.batch_execute(&format!("DROP ROLE {name}")).await.unwrap();
}

#[tokio::test]
async fn a_rotated_password_is_noticed_within_one_request_and_with_one_call_to_the_store() {
    let behind = Behind::the_proxy_after_a_rotation("rotated_at_once").await;
    let calls = behind.store.calls();
    behind.user.get("").await.expect(200);
    assert_eq!(behind.store.calls() - calls, 1);
    assert_eq!(behind.causes(), ["SQLSTATE XX000: password authentication failed for user 'rotated_at_once'"]);
    behind.proxy.cut();
    behind.user.get("").await.expect(200);
    assert_eq!(behind.store.calls() - calls, 1);
    drop(behind);
    drop_role("rotated_at_once").await;
}

#[tokio::test]
async fn a_new_password_that_the_proxy_refuses_for_some_seconds_gets_in_within_one_request() {
    let behind = Behind::the_proxy_after_a_rotation("rotated_early").await;
    let message = "password authentication failed for user 'rotated_early'";
    behind.proxy.refuse(Moment::Password, message);
    let (reply, ()) = tokio::join!(behind.user.get(""), async {
        sleep(Duration::from_secs(3)).await;
        behind.proxy.serve();
    });
    reply.expect(200);
    assert!(behind.proxy.refusals() > 0, "the new password was refused as well");
    assert!(behind.causes().iter().all(|cause| *cause == format!("SQLSTATE XX000: {message}")));
    drop(behind);
    drop_role("rotated_early").await;
}

#[tokio::test]
async fn an_endpoint_that_was_removed_is_left_for_the_one_that_is_stored() {
    let behind = Behind::the_proxy().await;
    behind.proxy.refuse(Moment::Password, "password authentication failed for user 'x'");
    behind.store.put(PARAMETER, Settings::of_the_stack().get("DATABASE_URL")).await;
    let calls = behind.store.calls();
    behind.proxy.cut();
    behind.user.get("").await.expect(200);
    assert_eq!((behind.store.calls() - calls, behind.proxy.refusals()), (1, 1));
}

#[tokio::test]
async fn a_compute_that_wakes_within_the_budget_is_waited_for_and_the_store_is_not_asked() {
    let behind = Behind::the_proxy().await;
    behind.user.task("asleep for 0 s").await;
    let mut acknowledged = vec!["asleep for 0 s".to_owned()];
    for (seconds, read, write) in [(4, 200, 201), (9, 200, 201), (12, 503, 503)] {
        let (calls, causes) = (behind.store.calls(), behind.causes().len());
        behind.proxy.suspend();
        let title = format!("asleep for {seconds} s");
        let body = json!({ "title": title });
        let requests = async { tokio::join!(behind.user.get(""), behind.user.post("/tasks", &body)) };
        let wake_up = async {
            sleep(Duration::from_secs(seconds)).await;
            if read == 200 {
                behind.proxy.wake();
            }
        };
        let ((reading, writing), ()) = tokio::join!(requests, wake_up);
        // Not before they are answered, however long that takes here.
        behind.proxy.wake();
        assert_eq!((reading.status, writing.status), (read, write), "{seconds} s");
        assert_eq!(behind.store.calls(), calls, "{seconds} s: silence is no refusal");
        if write == 201 {
            acknowledged.push(title);
        }
        let causes = behind.causes().split_off(causes);
        assert!(causes.contains(&"no answer in 3 s, while connecting".to_owned()), "{seconds} s: {causes:?}");
        assert!(causes.iter().all(|cause| cause.ends_with(", while connecting")), "{seconds} s: {causes:?}");
        for line in behind.watch.requests().iter().filter(|line| line["status"] == 503) {
            assert!(line["cause"].as_str().is_some_and(|cause| cause.ends_with(", while connecting")), "{line}");
        }
    }
    behind.until_well("").await;
    let tasks = behind.user.at(&Api::shared()).get("/tasks?limit=100").await.expect(200).body;
    let titles: Vec<_> = tasks.as_array().unwrap().iter().rev().map(|task| task["title"].as_str().unwrap()).collect();
    assert_eq!(titles, acknowledged, "what was answered with 503 is not made later");
}

#[tokio::test]
async fn a_compute_that_is_not_reached_at_first_is_asked_again() {
    let behind = Behind::the_proxy().await;
    behind.proxy.refuse_next(2, Moment::Compute, "Couldn't connect to compute node");
    behind.proxy.cut();
    behind.user.get("").await.expect(200);
    assert_eq!(behind.proxy.refusals(), 2);
    assert_eq!(behind.causes(), ["SQLSTATE XX000: Couldn't connect to compute node"; 2]);
}

#[tokio::test]
async fn the_migrator_waits_for_a_compute_that_is_not_reached_at_first() {
    let (proxy, url) = Proxy::before(&direct_url().unwrap()).await;
    for (moment, refusals) in [(Moment::Startup, 2), (Moment::Compute, 4)] {
        proxy.refuse_next(2, moment, PASSING);
        let status = Migrate::new(&url, &migrations()).unwrap().run(&["status"]).await.unwrap();
        status.success().unwrap();
        assert_eq!(proxy.refusals(), refusals);
    }
}

#[tokio::test]
async fn whatever_the_proxy_says_before_a_statement_is_sent_is_the_logs_cause_on_one_line() {
    let behind = Behind::the_proxy().await;
    let mut said = Vec::new();
    for (moment, message) in [
        (Moment::Startup, PASSING),
        (Moment::Startup, "Control plane request failed: endpoint is disabled"),
        (Moment::Startup, "Too many connections to this endpoint. Please try again later."),
        (
            Moment::Startup,
            "Your account or project has exceeded the compute time quota. Upgrade your plan to increase limits.",
        ),
        (Moment::Password, "password authentication failed for user 'task_api'"),
        (Moment::Password, "SASL authentication failed"),
        (Moment::Compute, "Couldn't connect to compute node"),
        (Moment::Compute, ""),
        (Moment::Startup, "two\nlines\r\n{\"level\":\"ERROR\",\"message\":\"request\"}\u{2028}\u{1b}[2J\u{7f}\t\"\\"),
        (Moment::Startup, "é, 漢字, 🦀"),
    ] {
        behind.proxy.refuse_next(1, moment, message);
        behind.proxy.cut();
        behind.user.get("").await.expect(200);
        said.push(format!("SQLSTATE XX000: {message}"));
        assert_eq!(behind.causes(), said);
    }
    assert_eq!(behind.watch.requests().len(), said.len() + 1, "nothing else passes for the line of a request");
}

#[tokio::test]
async fn whatever_the_proxy_says_after_a_statement_was_sent_is_not_logged_but_its_sqlstate_is() {
    let mut behind = Behind::the_proxy().await;
    behind.secrets.push("qu0ted".to_owned());
    behind.user.task("to warm up").await;
    behind.proxy.refuse_next(1, Moment::Statement, "lost the compute: SELECT 'qu0ted'");
    behind.user.get("").await.expect(200);
    behind.proxy.refuse_next(1, Moment::Statement, "lost the compute: INSERT … ('qu0ted')");
    behind.user.task("once").await;
    assert_eq!(behind.proxy.refusals(), 2);
    assert_eq!(behind.causes(), ["SQLSTATE XX000"; 2]);
    let tasks = behind.user.at(&Api::shared()).get("/tasks").await.expect(200).body;
    assert_eq!(tasks.as_array().unwrap().iter().filter(|task| task["title"] == "once").count(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_the_logs_cause() {
    let (relay, settings) = Settings::of_the_stack().relayed().await;
    let watch = Watch::start(&settings);
    let user = watch.user().await;
    user.get("").await.expect(200);
    relay.swallow(true);
    let (reply, ()) = tokio::join!(user.get(""), async {
        sleep(Duration::from_secs(1)).await;
        relay.swallow(false);
    });
    reply.expect(200);
    let causes = causes(&watch.output());
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(causes[0].starts_with("no answer in 2 s, while waiting for the answer"), "{causes:?}");
}

#[tokio::test]
async fn a_refusal_that_lasts_is_remembered_for_some_seconds_and_then_looked_at_again() {
    let behind = Behind::the_proxy().await;
    let quota = "Your account or project has exceeded the compute time quota.";
    behind.proxy.refuse(Moment::Startup, quota);
    // A function of its own, which starts now, and has no connection whose end it has to find out about.
    let (reply, line) = behind.get("/tasks").await;
    reply.expect(503);
    assert!(line["attempts"].as_u64() > Some(1), "{line}");
    assert_eq!(line["cause"], format!("SQLSTATE XX000: {quota}"));

    let refusals = behind.proxy.refusals();
    let (calls, causes) = (behind.store.calls(), behind.causes().len());
    for _ in 0..3 {
        let (reply, line) = behind.get("/tasks").await;
        reply.expect(503);
        assert_eq!(line["attempts"], 0, "{line}");
        assert_eq!(line["cause"], format!("SQLSTATE XX000: {quota}"), "as it was remembered");
    }
    assert_eq!((behind.proxy.refusals(), behind.store.calls(), behind.causes().len()), (refusals, calls, causes));

    let looked_again = loop {
        let (reply, line) = behind.get("/tasks").await;
        reply.expect(503);
        if line["attempts"] != 0 {
            break line;
        }
        sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(looked_again["attempts"], 1, "{looked_again}");
    assert_eq!(behind.proxy.refusals() - refusals, 1);
    let (_, line) = behind.get("/tasks").await;
    assert_eq!(line["attempts"], 0, "remembered again: {line}");

    behind.proxy.serve();
    behind.until_well("/tasks").await;
    behind.proxy.cut();
    behind.proxy.refuse_next(2, Moment::Startup, PASSING);
    behind.user.get("/tasks").await.expect(200);
}

#[tokio::test]
async fn what_is_stored_while_a_refusal_is_remembered_is_found() {
    let behind = Behind::the_proxy().await;
    behind.proxy.refuse(Moment::Startup, "Control plane request failed: endpoint is disabled");
    behind.proxy.cut();
    behind.user.get("").await.expect(503);
    behind.store.put(PARAMETER, Settings::of_the_stack().get("DATABASE_URL")).await;
    behind.until_well("").await;
}
