//! The connection between a function and the database: round trips, and what happens when it breaks.

use std::{net::Ipv4Addr, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, User, fresh_email, task_path},
    database::connect_to_stack,
    relay::Relay,
    server::{Settings, TestServer},
    workspace::{Route, routes},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::password_resets::mail_to;

/// An API with a relay before its pooler.
async fn relayed() -> (Relay, TestServer) {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    (relay, server)
}

#[tokio::test]
async fn a_warm_request_is_one_round_trip_on_every_route() {
    let (relay, server) = relayed().await;
    let user = server.user().await;
    let mut routes = routes();
    routes.sort_by_key(|route| route.function == "user-delete");
    for route in routes {
        // Warm up with another user, whom it may delete.
        let other = server.user().await;
        request(&other, &route).await;
        let before = relay.round_trips();
        request(&user, &route).await;
        let expected = match route.function.as_str() {
            // Between the two, bcrypt.
            "signin" | "user-update" | "password-reset" => 2,
            "docs" | "jwks" | "web" => 0,
            _ => 1,
        };
        assert_eq!(relay.round_trips() - before, expected, "{route:?}");
    }
}

/// Sends a request that succeeds.
async fn request(user: &User, route: &Route) {
    let new_account = json!({"email": fresh_email(), "password": PASSWORD});
    let body = match route.function.as_str() {
        "signup" => Some(new_account),
        "signin" => Some(json!({"email": user.email, "password": PASSWORD})),
        "password-reset-request" => Some(json!({"email": user.email})),
        "password-reset" => {
            let token = mail_to(&Api::shared().user().await.email).await.token();
            Some(json!({"token": token, "password": "another password"}))
        }
        "user-update" => Some(json!({"current_password": PASSWORD, "email": user.email})),
        "task-create" => Some(json!({"title": "x"})),
        "task-update" => Some(json!({"title": "y"})),
        _ => None,
    };
    // Through the shared API, so that only the request itself passes the relay. In a session of its own, which it may end.
    let session = Api::shared().sign_in(&user.email, PASSWORD).await.expect(200);
    let elsewhere = User { token: session.token(), ..user.via(&Api::shared()) };
    let task = if route.path.contains("{task_id}") {
        elsewhere.task("x").await["id"].as_str().unwrap().to_owned()
    } else {
        String::new()
    };
    let body = match route.function.as_str() {
        "token-refresh" => Some(json!({"refresh_token": session.refresh_token()})),
        _ => body,
    };
    let path = route.path_of(&user.id, &task);
    let reply = user.api.send(route.method(), &path, Some(&elsewhere.token), body.as_ref()).await;
    assert!(reply.status < 300, "{route:?}: {reply:?}");
}

#[tokio::test]
async fn a_sign_in_is_two_round_trips_at_most() {
    let (relay, server) = relayed().await;
    let user = server.user().await;
    let round_trips = async |password: &str, status: u16| {
        let before = relay.round_trips();
        user.api.sign_in(&user.email, password).await.expect(status);
        relay.round_trips() - before
    };
    round_trips(PASSWORD, 200).await;
    assert_eq!(round_trips(PASSWORD, 200).await, 2, "the account, and the session");
    assert_eq!(round_trips("wrong password", 401).await, 2, "counted");
    assert_eq!(round_trips("wrong password", 401).await, 1, "counted by the statement that reads the account");
    assert_eq!(round_trips(PASSWORD, 200).await, 2, "the failures are cleared with the second");
}

#[tokio::test]
async fn a_lost_connection_is_reopened() {
    let (relay, server) = relayed().await;
    let user = server.user().await;
    user.get("").await.expect(200);
    let connections = relay.connections();
    for _ in 0..3 {
        relay.cut();
        user.get("").await.expect(200);
    }
    assert_eq!(relay.connections() - connections, 3);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_retried_and_done_once() {
    let (relay, server) = relayed().await;
    let user = server.user().await;
    let elsewhere = user.via(&Api::shared());

    let lost = async |method: Method, rest: &str, body: Option<Value>| {
        relay.lose_next_answer();
        user.send(method, rest, body.as_ref()).await
    };
    user.get("/tasks").await.expect(200);
    user.task("warm up").await;
    let created = lost(Method::POST, "/tasks", Some(json!({"title": "once"}))).await.expect(201).body;
    let list = elsewhere.get("/tasks").await.expect(200).body;
    assert_eq!(list.as_array().unwrap().iter().filter(|task| task["title"] == "once").count(), 1);
    assert_eq!(list[0], created);

    let path = task_path(&created);
    user.put(&path, &json!({"title": "twice"})).await.expect(200);
    lost(Method::PUT, &path, Some(json!({"completed": true}))).await.expect(200);
    let warm_up = task_path(&list[1]);
    user.delete(&warm_up).await.expect(204);
    lost(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(elsewhere.get("/tasks").await.expect(200).body, json!([]));

    user.api.sign_up(&fresh_email()).await.expect(201);
    let email = fresh_email();
    relay.lose_next_answer();
    user.api.sign_up(&email).await.expect(201);
    user.api.sign_up(&email).await.expect(409);

    // The first round trip reads the hash, the second writes; here the first answer is lost.
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
async fn a_deletion_that_was_never_sent_is_not_taken_for_a_retry() {
    let (relay, server) = relayed().await;
    let user = server.user().await;
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
async fn a_retried_sign_up_does_not_conflict_with_its_own_first_attempt() {
    let (api, email) = (Api::shared(), fresh_email());
    let session = connect_to_stack().await;
    let sql = format!("BEGIN; INSERT INTO users (email, password_hash) VALUES ('{email}', repeat('x', 60))");
    session.batch_execute(&sql).await.unwrap();
    // Long enough for a second attempt to wait behind the first one, which has timed out.
    let (reply, ()) = tokio::join!(api.sign_up(&email), async {
        sleep(Duration::from_secs(6)).await;
        session.batch_execute("ROLLBACK").await.unwrap();
    });
    reply.expect(201);
    api.sign_in(&email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_outage_within_the_budget_is_retried_and_a_longer_one_is_a_503() {
    let (relay, server) = relayed().await;
    let user = server.user().await;
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
async fn a_connection_that_drops_everything_is_replaced() {
    let (relay, server) = relayed().await;
    let user = server.user().await;
    user.task("before").await;
    relay.black_hole(true);
    let body = json!({"title": "once"});
    let (reply, ()) = tokio::join!(user.post("/tasks", &body), async {
        sleep(Duration::from_secs(1)).await;
        relay.black_hole(false);
    });
    reply.expect(201);
    // It is closed, too: otherwise it would keep a file descriptor for good.
    let closed = timeout(Duration::from_secs(20), async {
        while relay.open() > 1 {
            sleep(Duration::from_millis(10)).await;
        }
    });
    closed.await.expect("the abandoned connection is closed");
    let list = user.via(&Api::shared()).get("/tasks").await.expect(200).body;
    assert_eq!(list.as_array().unwrap().iter().filter(|task| task["title"] == "once").count(), 1);
}

#[tokio::test]
async fn an_untrusted_server_gets_no_credentials_and_the_client_a_503() {
    let settings = Settings::shared();
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
            assert!(!String::from_utf8_lossy(&heard).contains("task_api"), "not even the user name is sent");
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
        let server = TestServer::start(&settings);
        let reply = server.api.send(Method::GET, "/health", None, None).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, "1"), "{why}: {reply:?}");
        assert!(server.output().contains(logged), "{why}: {}", server.output());
    }
    assert!(!heard.is_finished());
    heard.abort();
}
