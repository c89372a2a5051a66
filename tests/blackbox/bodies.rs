//! Valid and invalid bodies on every route that takes one.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tests::api::{Api, PASSWORD, Reply, User, fresh_email, reply, task_path};

struct Route {
    method: Method,
    path: String,
    required: Vec<&'static str>,
    /// The fields that hold a string, required or not.
    strings: Vec<&'static str>,
    /// A valid body, and the status it gets.
    good: Value,
    status: u16,
}

fn routes(user: &User, task: &Value) -> [Route; 7] {
    let new_account = || json!({"email": fresh_email(), "password": PASSWORD});
    [
        Route {
            method: Method::POST,
            path: "/users/signup".to_owned(),
            required: vec!["email", "password"],
            strings: vec!["email", "password"],
            good: new_account(),
            status: 201,
        },
        Route {
            method: Method::POST,
            path: "/users/signin".to_owned(),
            required: vec!["email", "password"],
            strings: vec!["email", "password"],
            good: json!({"email": user.email, "password": PASSWORD}),
            status: 200,
        },
        Route {
            method: Method::POST,
            path: "/users/password-reset".to_owned(),
            required: vec!["email"],
            strings: vec!["email"],
            good: json!({"email": fresh_email()}),
            status: 202,
        },
        Route {
            method: Method::PUT,
            path: "/users/password-reset".to_owned(),
            required: vec!["token", "password"],
            strings: vec!["token", "password"],
            good: json!({"token": "of no mail", "password": PASSWORD}),
            status: 401,
        },
        Route {
            method: Method::PUT,
            path: user.path(""),
            required: vec!["current_password"],
            strings: vec!["current_password", "email", "password"],
            good: json!({"current_password": PASSWORD, "email": fresh_email()}),
            status: 200,
        },
        Route {
            method: Method::POST,
            path: user.path("/tasks"),
            required: vec!["title"],
            strings: vec!["title", "description"],
            good: json!({"title": "x", "description": "y"}),
            status: 201,
        },
        Route {
            method: Method::PUT,
            path: user.path(&task_path(task)),
            required: vec![],
            strings: vec!["title", "description"],
            good: json!({"title": "x", "description": "y", "completed": true}),
            status: 200,
        },
    ]
}

async fn send(user: &User, route: &Route, media_type: Option<&str>, body: impl Into<Vec<u8>>) -> Reply {
    let mut request = user.api.request(route.method.clone(), &route.path).bearer_auth(&user.token).body(body.into());
    if let Some(media_type) = media_type {
        request = request.header(CONTENT_TYPE, media_type);
    }
    reply(request).await
}

async fn user_and_routes() -> (User, [Route; 7]) {
    let user = Api::shared().user().await;
    let task = user.task("x").await;
    let routes = routes(&user, &task);
    (user, routes)
}

/// The valid body with one field changed.
fn with(route: &Route, field: &str, value: Value) -> Vec<u8> {
    let mut body = route.good.clone();
    body[field] = value;
    body.to_string().into()
}

#[tokio::test]
async fn a_body_must_be_declared_as_json() {
    let (user, routes) = user_and_routes().await;
    for route in routes {
        let good = route.good.to_string();
        for media_type in
            [None, Some("text/plain"), Some("application/jsonx"), Some("application/problem+json"), Some("")]
        {
            let status = send(&user, &route, media_type, good.clone()).await.status;
            assert_eq!(status, 415, "{} with {media_type:?}", route.path);
        }
        let status = send(&user, &route, Some("Application/JSON ; charset=utf-8"), good).await.status;
        assert_eq!(status, route.status, "{}", route.path);
    }
}

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_a_longer_one_is_not() {
    let (user, routes) = user_and_routes().await;
    for route in routes {
        let mut body = route.good.to_string().into_bytes();
        body.resize(64 * 1024, b' ');
        let read = send(&user, &route, Some("application/json"), body.clone()).await.status;
        assert_eq!(read, route.status, "{}", route.path);
        body.push(b' ');
        assert_eq!(send(&user, &route, Some("application/json"), body).await.status, 413, "{}", route.path);
    }
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_a_400() {
    let (user, routes) = user_and_routes().await;
    for route in &routes {
        let good = route.good.to_string();
        let first = route.strings[0];
        let inside = |text: &str| format!("{},{text}}}", &good[..good.len() - 1]);
        let mut bodies: Vec<(String, Vec<u8>)> = [
            "",
            " ",
            "null",
            "true",
            "1",
            "\"text\"",
            "[]",
            "[{}]",
            "{",
            "{]",
            "{'a': 1}",
            "{\"a\": NaN}",
            "{\"a\": 01}",
            "{\"a\": \"\u{1}\"}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": \"\\x\"}",
            "// {}",
            "\u{feff}{}",
            "{\"a\": 1e999}",
        ]
        .map(|text| (text.to_owned(), text.as_bytes().to_vec()))
        .into();
        bodies.extend([
            ("deep nesting".to_owned(), inside(&format!("\"a\": {}{}", "[".repeat(10_000), "]".repeat(10_000))).into()),
            ("trailing bytes".to_owned(), format!("{good}x").into()),
            ("two objects".to_owned(), format!("{good}{good}").into()),
            ("a trailing comma".to_owned(), inside("").into()),
            ("a field twice".to_owned(), inside(&format!("\"{first}\": \"again\"")).into()),
            (
                "a field twice, once escaped".to_owned(),
                inside(&format!("\"\\u{:04x}{}\": \"x\"", u32::from(first.as_bytes()[0]), &first[1..])).into(),
            ),
            ("an unknown field".to_owned(), with(route, "admin", json!(true))),
            ("a field in another case".to_owned(), with(route, &first.to_uppercase(), json!("x"))),
            ("a field with a NUL in its name".to_owned(), with(route, "a\0", json!("x"))),
        ]);
        for field in &route.strings {
            for value in [json!(1), json!(true), json!([]), json!({}), json!(["x"])] {
                bodies.push((format!("{field}: {value}"), with(route, field, value)));
            }
        }
        for field in &route.required {
            let mut body = route.good.clone();
            body.as_object_mut().unwrap().remove(*field);
            bodies.push((format!("no {field}"), body.to_string().into()));
            bodies.push((format!("{field}: null"), with(route, field, Value::Null)));
        }
        for (what, body) in bodies {
            let reply = send(&user, route, Some("application/json"), body).await;
            assert_eq!(reply.status, 400, "{} {} with {what}: {reply:?}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn a_nul_in_a_string_is_a_422_on_every_field() {
    let (user, routes) = user_and_routes().await;
    for route in &routes {
        for field in &route.strings {
            let reply = send(&user, route, Some("application/json"), with(route, field, json!("nul \0 byte"))).await;
            assert_eq!(reply.expect(422).fields(), [*field], "{}", route.path);
        }
    }
}

#[tokio::test]
async fn a_wrong_type_is_reported_before_an_invalid_value() {
    let user = Api::shared().user().await;
    let reply = user.post("/tasks", &json!({"title": "", "description": 1, "colour": "red"})).await.expect(400);
    let detail = reply.body["detail"].as_str().unwrap();
    assert!(detail.contains("\"description\"") && detail.contains("\"colour\""), "{detail}");
}
