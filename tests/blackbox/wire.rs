//! The wire between a function and the database: what goes over it, and what happens when it breaks.

use std::{net::Ipv4Addr, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, User, fresh_email},
    database::{connect, direct_url},
    relay::Relay,
    watch::{Settings, Watch},
    workspace::{Route, routes},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{sleep, timeout},
};

/// The API with a relay between it and the pooler.
async fn relayed() -> (Relay, Watch) {
    let (relay, settings) = Settings::of_the_stack().relayed().await;
    let watch = Watch::start(&settings);
    (relay, watch)
}

#[tokio::test]
async fn a_warm_request_is_one_round_trip_on_every_route() {
    let (relay, watch) = relayed().await;
    let user = watch.user().await;
    let mut routes = routes();
    routes.sort_by_key(|route| route.function == "user-delete");
    for route in routes {
        // Once to warm it up, for a user it may delete, then once to count.
        let victim = watch.user().await;
        request(&victim, &route).await;
        let before = relay.round_trips();
        request(&user, &route).await;
        let expected = match route.function.as_str() {
            "user-update" => 2, // the hash must be read before it can be verified
            "docs" | "jwks" | "web" => 0,
            _ => 1,
        };
        assert_eq!(relay.round_trips() - before, expected, "{route:?}");
    }
}

/// A request that succeeds.
async fn request(user: &User, route: &Route) {
    let new_account = json!({"email": fresh_email(), "password": PASSWORD});
    let body = match route.function.as_str() {
        "signup" => Some(new_account),
        "signin" => Some(json!({"email": user.email, "password": PASSWORD})),
        "user-update" => Some(json!({"current_password": PASSWORD, "email": user.email})),
        "task-create" => Some(json!({"title": "x"})),
        "task-update" => Some(json!({"title": "y"})),
        _ => None,
    };
    // Made elsewhere: only the request itself goes over the wire.
    let task = if route.path.contains("{task_id}") {
        let elsewhere = user.at(&Api::shared());
        elsewhere.task("x").await["id"].as_str().unwrap().to_owned()
    } else {
        String::new()
    };
    let path = route.path_of(&user.id, &task);
    let reply = user.api.send(route.method(), &path, Some(&user.token), body.as_ref()).await;
    assert!(reply.status < 300, "{route:?}: {reply:?}");
}

#[tokio::test]
async fn a_failed_sign_in_is_a_second_round_trip_and_so_is_forgetting_it() {
    let (relay, watch) = relayed().await;
    let user = watch.user().await;
    let round_trips = async |password: &str, status: u16| {
        let before = relay.round_trips();
        user.api.sign_in(&user.email, password).await.expect(status);
        relay.round_trips() - before
    };
    round_trips(PASSWORD, 200).await;
    assert_eq!(round_trips(PASSWORD, 200).await, 1);
    assert_eq!(round_trips("wrong password", 401).await, 2, "counted");
    assert_eq!(round_trips("wrong password", 401).await, 1, "counted while the account was looked up");
    assert_eq!(round_trips(PASSWORD, 200).await, 2, "forgotten");
    assert_eq!(round_trips(PASSWORD, 200).await, 1);
}

#[tokio::test]
async fn a_connection_that_was_cut_is_opened_again() {
    let (relay, watch) = relayed().await;
    let user = watch.user().await;
    user.get("").await.expect(200);
    let connections = relay.connections();
    for _ in 0..3 {
        relay.cut();
        user.get("").await.expect(200);
    }
    assert_eq!(relay.connections() - connections, 3);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_repeated_and_done_once() {
    let (relay, watch) = relayed().await;
    let user = watch.user().await;
    let elsewhere = user.at(&Api::shared());

    let lost = async |method: Method, rest: &str, body: Option<Value>| {
        relay.lose_next_answer();
        user.send(method, rest, body.as_ref()).await
    };
    user.get("/tasks").await.expect(200);
    user.task("to warm up").await;
    let created = lost(Method::POST, "/tasks", Some(json!({"title": "once"}))).await.expect(201).body;
    let list = elsewhere.get("/tasks").await.expect(200).body;
    assert_eq!(list.as_array().unwrap().iter().filter(|task| task["title"] == "once").count(), 1);
    assert_eq!(list[0], created);

    let path = format!("/tasks/{}", created["id"].as_str().unwrap());
    user.put(&path, &json!({"title": "twice"})).await.expect(200);
    lost(Method::PUT, &path, Some(json!({"completed": true}))).await.expect(200);
    let to_warm_up = format!("/tasks/{}", list[1]["id"].as_str().unwrap());
    user.delete(&to_warm_up).await.expect(204);
    lost(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(elsewhere.get("/tasks").await.expect(200).body, json!([]));

    user.api.sign_up(&fresh_email()).await.expect(201);
    let email = fresh_email();
    relay.lose_next_answer();
    user.api.sign_up(&email).await.expect(201);
    user.api.sign_up(&email).await.expect(409);

    // The first round trip reads the hash, the second writes: either answer may be the one that is lost.
    user.put("", &json!({"current_password": PASSWORD, "email": user.email})).await.expect(200);
    lost(Method::PUT, "", Some(json!({"current_password": PASSWORD, "password": "another password"})))
        .await
        .expect(200);
    let token = elsewhere.api.sign_in(&user.email, "another password").await.expect(200).token();
    let user = User { token, ..user.clone() };
    relay.lose_next_answer();
    user.delete("").await.expect(204);
    elsewhere.api.sign_in(&user.email, "another password").await.expect(401);
}

#[tokio::test]
async fn a_deletion_that_could_not_be_sent_at_first_is_no_repeat() {
    let (relay, watch) = relayed().await;
    let user = watch.user().await;
    let path = format!("/tasks/{}", user.id);
    user.delete(&path).await.expect(403);
    relay.refuse(true);
    relay.cut();
    sleep(Duration::from_millis(200)).await;
    let (reply, ()) = tokio::join!(user.delete(&path), async {
        sleep(Duration::from_secs(1)).await;
        relay.refuse(false);
    });
    reply.expect(403);
}

#[tokio::test]
async fn a_sign_up_that_meets_its_own_first_attempt_is_no_conflict() {
    let (api, email) = (Api::shared(), fresh_email());
    let somebody = connect(&direct_url().unwrap()).await.unwrap();
    let sql = format!("BEGIN; INSERT INTO users (email, password_hash) VALUES ('{email}', repeat('x', 60))");
    somebody.batch_execute(&sql).await.unwrap();
    // Long enough for a second attempt to wait behind the first, which nobody waits for any more.
    let (reply, ()) = tokio::join!(api.sign_up(&email), async {
        sleep(Duration::from_secs(6)).await;
        somebody.batch_execute("ROLLBACK").await.unwrap();
    });
    reply.expect(201);
    api.sign_in(&email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_outage_shorter_than_the_budget_goes_unnoticed_and_a_longer_one_is_a_503() {
    let (relay, watch) = relayed().await;
    let user = watch.user().await;
    user.get("/tasks").await.expect(200);

    relay.refuse(true);
    relay.cut();
    let (reply, ()) = tokio::join!(user.get("/tasks"), async {
        sleep(Duration::from_secs(2)).await;
        relay.refuse(false);
    });
    reply.expect(200);

    relay.refuse(true);
    relay.cut();
    let outage = user.get("/tasks").await.expect(503);
    assert_eq!(outage.header("retry-after"), "1");
    assert!(outage.body["detail"].as_str().unwrap().ends_with("it is not made later."), "{outage:?}");
    relay.refuse(false);
    user.get("/tasks").await.expect(200);
}

#[tokio::test]
async fn a_connection_that_swallows_everything_is_given_up_for_another() {
    let (relay, watch) = relayed().await;
    let user = watch.user().await;
    user.task("before").await;
    relay.swallow(true);
    let body = json!({"title": "once"});
    let (reply, ()) = tokio::join!(user.post("/tasks", &body), async {
        sleep(Duration::from_secs(1)).await;
        relay.swallow(false);
    });
    reply.expect(201);
    // By itself it would wait for its answer, and hold a descriptor, for good.
    let closed = timeout(Duration::from_secs(20), async {
        while relay.open() > 1 {
            sleep(Duration::from_millis(10)).await;
        }
    });
    closed.await.expect("the connection that was given up is closed");
    let list = user.at(&Api::shared()).get("/tasks").await.expect(200).body;
    assert_eq!(list.as_array().unwrap().iter().filter(|task| task["title"] == "once").count(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_gets_no_password_and_the_client_a_503() {
    let settings = Settings::of_the_stack();
    let url: reqwest::Url = settings.get("DATABASE_URL").parse().unwrap();
    // 127.0.0.2 is this machine as well, but the certificate does not name it.
    let elsewhere = Relay::listening_on(Ipv4Addr::new(127, 0, 0, 2), url.port().unwrap()).await;
    let without_tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut plain_url = url.clone();
    plain_url.set_port(Some(without_tls.local_addr().unwrap().port())).unwrap();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok((mut client, _)) = without_tls.accept().await {
            // "N": this server has no TLS (PostgreSQL manual, section "SSL Session Encryption").
            client.write_all(b"N").await.unwrap();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut heard).await;
            assert!(!String::from_utf8_lossy(&heard).contains("task_api"), "not even the user is told");
        }
    });
    for (why, settings, logged) in [
        ("an unknown authority", settings.clone().without("DATABASE_CA_FILE"), "certificate verify failed"),
        (
            "another name",
            settings.clone().with("DATABASE_URL", &elsewhere.url(url.as_str())),
            "certificate verify failed",
        ),
        ("no TLS", settings.clone().with("DATABASE_URL", plain_url.as_str()), "server does not support TLS"),
    ] {
        let watch = Watch::start(&settings);
        let reply = watch.api.send(Method::GET, "/health", None, None).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, "1"), "{why}: {reply:?}");
        assert!(watch.output().contains(logged), "{why}: {}", watch.output());
    }
    assert!(!heard.is_finished());
    heard.abort();
}
