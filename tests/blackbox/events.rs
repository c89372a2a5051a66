//! Events that a gateway could send to a function, but no HTTP client can cause here.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tests::api::{Api, PASSWORD, User, fresh_email};

/// Invokes a function, whose answer must be one of the API's.
async fn invoke(function: &str, event: &Value) -> Value {
    let answer = tests::api::invoke(function, event).await;
    let status = answer["statusCode"].as_u64().unwrap_or_else(|| panic!("{event}\n{answer}"));
    assert!([200, 201, 204, 400, 401, 403, 409, 413, 415, 422, 429].contains(&status), "{event}\n{answer}");
    assert_eq!(answer["headers"]["cache-control"], "no-store", "{event}\n{answer}");
    answer
}

/// An event that creates a task.
fn event(user: &User, body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "POST /users/{user_id}/tasks",
        "rawPath": user.path("/tasks"),
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "authorization": format!("Bearer {}", user.token)},
        "pathParameters": {"user_id": user.id},
        "requestContext": {"requestId": "from-the-gateway", "http": {"method": "POST", "sourceIp": "192.0.2.1"}},
        "body": body,
        "isBase64Encoded": false,
    })
}

fn body_of(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_base64_body_is_decoded() {
    let user = Api::shared().user().await;
    let mut encoded = event(&user, &BASE64_STANDARD.encode(json!({"title": "ünïcode"}).to_string()));
    encoded["isBase64Encoded"] = json!(true);
    let answer = invoke("task-create", &encoded).await;
    assert_eq!((&answer["statusCode"], &body_of(&answer)["title"]), (&json!(201), &json!("ünïcode")));

    for bytes in [&b"{\"title\": \"\xff\"}"[..], b"{\"title\": \"\xe2\x82\"}", b"\xfe\xff\0{\0}", b""] {
        encoded["body"] = BASE64_STANDARD.encode(bytes).into();
        assert_eq!(invoke("task-create", &encoded).await["statusCode"], 400, "{bytes:?}");
    }
    encoded["body"] = json!("no base64!");
    assert_eq!(invoke("task-create", &encoded).await["statusCode"], 400);
    encoded["body"] = BASE64_STANDARD.encode(format!("{{\"title\": \"{}\"}}", "a".repeat(65536))).into();
    assert_eq!(invoke("task-create", &encoded).await["statusCode"], 413);
}

#[tokio::test]
async fn members_of_an_event_that_are_missing_null_or_of_another_type_are_handled() {
    let user = Api::shared().user().await;
    let good = event(&user, "{\"title\": \"x\"}");
    for (without, status) in [
        ("version", 201),
        ("routeKey", 201),
        ("rawPath", 201),
        ("rawQueryString", 201),
        ("isBase64Encoded", 201),
        ("requestContext", 201),
        ("headers", 401),
        ("pathParameters", 400),
        ("body", 400),
    ] {
        let mut event = good.clone();
        event[without] = Value::Null;
        assert_eq!(invoke("task-create", &event).await["statusCode"], status, "{without} is null");
        event.as_object_mut().unwrap().remove(without);
        assert_eq!(invoke("task-create", &event).await["statusCode"], status, "no {without}");
    }
    for (member, status) in [
        ("/headers/host", 201),
        ("/pathParameters/proxy", 201),
        ("/requestContext/requestId", 201),
        ("/requestContext/http", 201),
        ("/requestContext/http/method", 201),
        ("/requestContext/http/sourceIp", 201),
        ("/isBase64Encoded", 201),
        ("/headers/authorization", 401),
        ("/headers/content-type", 415),
        ("/pathParameters/user_id", 400),
        ("/body", 400),
    ] {
        for value in [Value::Null, json!(0), json!(["x"]), json!({"x": null})] {
            let mut event = good.clone();
            event["headers"]["host"] = json!("api.example.com");
            event["pathParameters"]["proxy"] = json!("x");
            *event.pointer_mut(member).unwrap() = value.clone();
            assert_eq!(invoke("task-create", &event).await["statusCode"], status, "{member}: {value}");
        }
    }
    for function in [
        "signup",
        "signin",
        "password-reset-request",
        "password-reset",
        "user-get",
        "user-update",
        "tasks-list",
        "task-get",
        "health",
    ] {
        for event in [json!({}), Value::Null, json!([null]), json!("x")] {
            invoke(function, &event).await;
        }
    }
}

#[tokio::test]
async fn unusual_headers_and_paths_are_tolerated() {
    let user = Api::shared().user().await;
    for (name, value) in [
        ("host", "näme.example:99999"),
        ("host", ""),
        ("host", "a b/c?d#e"),
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-port", "-1"),
        ("x-\u{0}", "\u{0}"),
        ("schlüssel", "wert\r\nset-cookie: a=b"),
        ("", ""),
        ("user-agent", "\u{202e}"),
    ] {
        let mut event = event(&user, "{\"title\": \"x\"}");
        event["headers"][name] = json!(value);
        event["cookies"] = json!(["a=b", ""]);
        assert_eq!(invoke("task-create", &event).await["statusCode"], 201, "{name:?}: {value:?}");
    }
    for path in ["", "//", "/users/%zz", "/\u{0}", "https://example.com/users", &"/a".repeat(5000)] {
        let mut event = event(&user, "{\"title\": \"x\"}");
        event["rawPath"] = json!(path);
        assert_eq!(invoke("task-create", &event).await["statusCode"], 201, "{path:?}");
    }
    let mut upper_case = event(&user, "{\"title\": \"x\"}");
    upper_case["headers"] =
        json!({"AUTHORIZATION": format!("bearer {}", user.token), "Content-Type": "application/json"});
    assert_eq!(invoke("task-create", &upper_case).await["statusCode"], 201);
}

#[tokio::test]
async fn a_nul_in_a_path_or_a_query_is_a_400() {
    let user = Api::shared().user().await;
    let mut path = event(&user, "{\"title\": \"x\"}");
    path["pathParameters"]["user_id"] = json!(format!("{}\0", user.id));
    assert_eq!(invoke("task-create", &path).await["statusCode"], 400);
    for query in ["cursor=%00", "%00=1", "completed=true%00", "\u{0}"] {
        let mut list = event(&user, "");
        list["rawQueryString"] = json!(query);
        assert_eq!(invoke("tasks-list", &list).await["statusCode"], 400, "{query:?}");
    }
}

#[tokio::test]
async fn a_problem_has_the_gateways_request_id() {
    let user = Api::shared().user().await;
    let answer = invoke("task-create", &event(&user, "")).await;
    assert_eq!(body_of(&answer)["request_id"], "from-the-gateway");
    assert_eq!(answer["headers"]["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_header_cannot_spoof_the_clients_address() {
    // 10 failures from one address throttle it, whatever the headers say.
    let body = json!({"email": fresh_email(), "password": PASSWORD}).to_string();
    let attempt = async |source_ip: &str, forwarded: &str| {
        let event = json!({
            "headers": {"content-type": "application/json", "x-forwarded-for": forwarded, "forwarded": forwarded},
            "requestContext": {"http": {"sourceIp": source_ip}},
            "body": body,
        });
        invoke("signin", &event).await["statusCode"].clone()
    };
    for number in 0..10 {
        assert_eq!(attempt("192.0.2.1", &format!("198.51.100.{number}")).await, 401);
    }
    // The first delay of a second may pass before the next attempt, but every delay is twice as long as the last.
    let mut more = 10..20;
    while attempt("192.0.2.1", &format!("198.51.100.{}", more.next().expect("it is never throttled"))).await != 429 {}
    assert_eq!(attempt("192.0.2.2", "192.0.2.1").await, 401, "another client is not throttled");
}
