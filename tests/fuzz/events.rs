//! Any event, to any function, on the real database: the answer is one of the contract's, and never a 500.
#![no_main]

use std::{any::Any, sync::LazyLock};

use arbitrary::Arbitrary;
use base64::{Engine, prelude::BASE64_STANDARD};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

include!(concat!(env!("OUT_DIR"), "/functions.rs"));

/// A function's state, started with its first event. Each function's is of another type.
type AnyState = OnceCell<Box<dyn Any + Send + Sync>>;

async fn answer_with<S, H>(state: &AnyState, handle: H, event: &[u8]) -> Option<Vec<u8>>
where
    S: api::State,
    H: for<'a> api::Handler<'a, S>,
{
    let start = async || Box::new(S::start().await.unwrap()) as Box<dyn Any + Send + Sync>;
    let state = state.get_or_init(start).await.downcast_ref::<S>().unwrap();
    api::invoke(state, handle, event).await.ok()
}

/// What a client can choose, with some of it right more often than chance would have it.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    function: u8,
    user: Id<'a>,
    task: Id<'a>,
    token: Token<'a>,
    media_type: Option<&'a str>,
    headers: Vec<(&'a str, Scalar<'a>)>,
    query: &'a str,
    body: Body<'a>,
    cookies: Vec<&'a str>,
    /// Members of the event, each by its place in [`MEMBERS`], and what stands there instead.
    replaced: Vec<(u8, Scalar<'a>)>,
}

/// The members of the event, by JSON pointer (RFC 6901).
const MEMBERS: [&str; 16] = [
    "",
    "/routeKey",
    "/rawPath",
    "/rawQueryString",
    "/headers",
    "/headers/content-type",
    "/cookies",
    "/pathParameters",
    "/pathParameters/user_id",
    "/pathParameters/task_id",
    "/body",
    "/isBase64Encoded",
    "/requestContext",
    "/requestContext/requestId",
    "/requestContext/http",
    "/requestContext/http/sourceIp",
];

#[derive(Arbitrary, Debug)]
enum Id<'a> {
    Mine,
    Any(&'a str),
    Missing,
}

#[derive(Arbitrary, Debug)]
enum Token<'a> {
    Mine,
    Any(&'a str),
    Missing,
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Missing,
    Text(&'a str),
    Base64(&'a [u8]),
    /// Fields the API knows, with any values.
    Fields(Vec<(Field, Scalar<'a>)>),
}

#[derive(Arbitrary, Debug)]
enum Field {
    Email,
    Cookie,
    RefreshToken,
    Title,
    Description,
    Completed,
    Status,
    Priority,
    DueDate,
    Tags,
}

#[derive(Arbitrary, Debug)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    Texts(Vec<&'a str>),
}

struct Session {
    runtime: tokio::runtime::Runtime,
    user: String,
    task: String,
    token: String,
}

/// A user who is signed in and has a task.
static SESSION: LazyLock<Session> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (user, task, token) = runtime.block_on(async {
        let account = json!({"email": format!("fuzz-{}@example.com", std::process::id()), "password": "correct horse"});
        let event = |body: &Value, user: &str, token: &str| {
            json!({
                "headers": {"content-type": "application/json", "authorization": format!("Bearer {token}")},
                "pathParameters": {"user_id": user},
                "body": body.to_string(),
            })
            .to_string()
        };
        let body = |answer: Option<Vec<u8>>| -> Value {
            let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
            serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        signup::answer(event(&account, "", "").as_bytes()).await;
        let session = body(signin::answer(event(&account, "", "").as_bytes()).await);
        let (user, token) = (text(&session["user_id"]), text(&session["token"]));
        let task = body(task_create::answer(event(&json!({"title": "x"}), &user, &token).as_bytes()).await);
        (user, text(&task["id"]), token)
    });
    Session { runtime, user, task, token }
});

fn event(input: &Input<'_>, session: &Session) -> Value {
    let mut headers: Map<String, Value> =
        input.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_json())).collect();
    headers.insert("content-type".to_owned(), json!(input.media_type.unwrap_or("application/json")));
    match input.token {
        Token::Mine => drop(headers.insert("authorization".to_owned(), json!(format!("Bearer {}", session.token)))),
        Token::Any(token) => drop(headers.insert("authorization".to_owned(), json!(format!("Bearer {token}")))),
        Token::Missing => {}
    }
    let mut path = Map::new();
    for (name, id, mine) in [("user_id", &input.user, &session.user), ("task_id", &input.task, &session.task)] {
        match id {
            Id::Mine => drop(path.insert(name.to_owned(), json!(mine))),
            Id::Any(text) => drop(path.insert(name.to_owned(), json!(text))),
            Id::Missing => {}
        }
    }
    let body = match &input.body {
        Body::Missing => None,
        Body::Text(text) => Some((*text).to_owned()),
        Body::Base64(bytes) => Some(BASE64_STANDARD.encode(bytes)),
        Body::Fields(fields) => Some(Value::from(fields.iter().map(member).collect::<Map<_, _>>()).to_string()),
    };
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/users", "rawQueryString": input.query,
        "headers": headers, "cookies": input.cookies, "pathParameters": path, "body": body,
        "isBase64Encoded": matches!(input.body, Body::Base64(_)),
        "requestContext": {"requestId": "fuzz", "http": {"method": "POST", "sourceIp": "192.0.2.1"}},
    });
    for (member, value) in &input.replaced {
        if let Some(member) = event.pointer_mut(MEMBERS[usize::from(*member) % MEMBERS.len()]) {
            *member = value.to_json();
        }
    }
    event
}

fn member((field, value): &(Field, Scalar<'_>)) -> (String, Value) {
    let name = match field {
        Field::Email => "email",
        Field::Cookie => "cookie",
        Field::RefreshToken => "refresh_token",
        Field::Title => "title",
        Field::Description => "description",
        Field::Completed => "completed",
        Field::Status => "status",
        Field::Priority => "priority",
        Field::DueDate => "due_date",
        Field::Tags => "tags",
    };
    (name.to_owned(), value.to_json())
}

impl Scalar<'_> {
    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Number(value) => json!(value),
            Self::Text(text) => json!(text),
            Self::Texts(texts) => json!(texts),
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let session = &*SESSION;
    let event = event(&input, session).to_string();
    let answer = session.runtime.block_on(answer(input.function.into(), event.as_bytes())).expect("an event is read");
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let status = answer["statusCode"].as_u64().expect("a status");
    assert!([200, 201, 202, 204, 304, 400, 401, 403, 404, 409, 412, 413, 415, 422, 429].contains(&status), "{event}\n{answer}");
    if status >= 400 {
        let problem: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("a problem");
        assert_eq!(problem["status"], json!(status));
    }
});
