//! Properties that hold for any event.

use auth::{PublicKeys, SigningKey, TokenLifetime, TokenPolicy, Verifier};
use domain::{PasswordAttempt, TaskId, Title, UserId};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::{
    AccountChanges, NewAccount, Problem, Request, Response, TaskFields, TaskQuery,
    cursor::{decode_cursor, encode_cursor},
    invoke, no_content, optional, required,
};

/// Any JSON, some of it made of words that the API uses.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        known_word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((prop_oneof![any::<String>(), known_word()], inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn known_word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "title",
        "description",
        "completed",
        "status",
        "in_progress",
        "priority",
        "due_date",
        "2026-03-01T17:00:00+01:00",
        "tags",
        "email",
        "password",
        "current_password",
        "ada@example.com",
        "a\0b",
        "correct horse",
        "headers",
        "body",
        "rawPath",
        "rawQueryString",
        "pathParameters",
        "isBase64Encoded",
        "requestContext",
        "http",
        "method",
        "sourceIp",
        "requestId",
        "authorization",
        "content-type",
        "application/json",
        "user_id",
        "task_id",
        "refresh_token",
        "task-api=x",
        "limit=1",
        "status=pending,completed&priority=1,2&tag=home,A&q=a+b",
        "due_after=2026-03-01T17:00:00Z&sort=-due_date",
        "cursor=AAAA",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "W/\"a\", *",
    ])
    .prop_map(str::to_owned)
}

/// A replacement for a member of an event: null more often than anything else.
fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![2 => Just(Value::Null), 1 => any_json()]
}

/// Members of an event, by JSON pointer (RFC 6901).
const MEMBERS: [&str; 13] = [
    "/rawPath",
    "/rawQueryString",
    "/headers",
    "/headers/content-type",
    "/cookies",
    "/pathParameters",
    "/pathParameters/user_id",
    "/body",
    "/isBase64Encoded",
    "/requestContext",
    "/requestContext/requestId",
    "/requestContext/http",
    "/requestContext/http/sourceIp",
];

/// An event of the gateway, with any values where a client chooses them.
fn any_event() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![any::<String>(), known_word()];
    let body = prop_oneof![any::<String>(), any_json().prop_map(|json| json.to_string())];
    let header = (text(), prop_oneof![4 => text().prop_map(Value::from), 1 => replacement()]);
    let replaced = vec((prop::sample::select(&MEMBERS), replacement()), 0..3);
    (text(), text(), vec(header, 0..5), proptest::option::of(body), any::<bool>(), text(), replaced).prop_map(
        |(path, query, headers, body, base64, id, replaced)| {
            let mut event = json!({
                "version": "2.0", "rawPath": path, "rawQueryString": query, "body": body, "isBase64Encoded": base64,
                "pathParameters": {"user_id": id, "task_id": "6f1c3b1e-5f5a-4b57-9d2e-3c1d2b0a9f00"},
                "headers": {"content-type": "application/json"}, "cookies": ["task-api=x"],
                "requestContext": {"requestId": "r", "http": {"method": "PUT", "sourceIp": "192.0.2.1"}},
            });
            for (name, value) in headers {
                event["headers"][name] = value;
            }
            for (member, value) in replaced {
                if let Some(member) = event.pointer_mut(member) {
                    *member = value;
                }
            }
            event
        },
    )
}

/// Runs every parser, so that no error hides another parser's panic.
async fn parse_all(verifier: &Verifier, request: &Request) -> Result<Response, Problem> {
    let outcomes = [
        request.bearer_token().map_or(Err(Problem::TokenMissing), |token| {
            verifier.verify(token).map(drop).map_err(|_| Problem::TokenInvalid)
        }),
        request.path_id("user_id", UserId::parse).map(drop),
        request.path_id("task_id", TaskId::parse).map(drop),
        TaskQuery::parse(request).map(drop),
        request.idempotency_key().map(drop),
        request.if_match().map(drop),
        request.if_none_match().map(drop),
        request.json(optional("refresh_token")).and_then(|token| request.refresh_token(token)).map(drop),
        request.json(NewAccount).map(drop),
        request.json((required::<Title>("title"), TaskFields)).map(drop),
        request.json((required::<PasswordAttempt>("current_password"), AccountChanges)).map(drop),
    ];
    match outcomes.into_iter().find_map(Result::err) {
        Some(problem) => Err(problem),
        None => Ok(no_content()),
    }
}

impl crate::State for Verifier {
    const SETTINGS: &'static [crate::Setting] = &[];

    async fn new(_: &crate::Settings) -> Result<Self, crate::Error> {
        let policy = TokenPolicy { issuer: "i".into(), audience: "a".into(), lifetime: TokenLifetime::default() };
        let keys: PublicKeys = SigningKey::generate().unwrap().public().to_string().parse().unwrap();
        Ok(Verifier::new(&keys, &policy).unwrap())
    }
}

fn answer(event: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answer = runtime.block_on(async {
        let verifier = <Verifier as crate::State>::start().await.unwrap();
        invoke(&verifier, parse_all, event.to_string().as_bytes()).await
    });
    serde_json::from_slice(&answer.unwrap()).unwrap()
}

proptest! {
    #[test]
    fn whatever_a_client_sends_is_answered_in_the_contracts_words(event in any_event()) {
        let answer = answer(&event);
        let status = answer["statusCode"].as_u64().unwrap();
        prop_assert!([400, 401, 413, 415, 422].contains(&status), "{answer}");
        let problem: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        prop_assert_eq!(&problem["status"], &json!(status));
    }

    #[test]
    fn an_event_of_any_other_shape_is_answered_too(event in any_json()) {
        let status = answer(&event)["statusCode"].as_u64().unwrap();
        prop_assert!([400, 401, 413, 415, 422].contains(&status), "{event}");
    }

    #[test]
    fn a_cursor_is_read_only_in_the_form_it_is_written_in(text in "[A-Za-z0-9_-]{30,34}|.*") {
        if let Some(position) = decode_cursor(&text, "") {
            prop_assert_eq!(encode_cursor(position, ""), text);
        }
    }
}
