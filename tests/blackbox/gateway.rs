//! The local gateway behaves like API Gateway, as far as a client can see.

use std::{collections::BTreeSet, fs};

use futures_util::future::join_all;
use reqwest::{
    Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, fresh_email, reply},
    server::{Settings, TestServer, request_lines},
    template::template,
    workspace::{routes, variable},
};

/// The largest file, of 1.5 MB.
const LARGEST: &str = "/docs/swagger-ui-bundle.js";

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

async fn problem(response: Response) -> Value {
    assert_eq!(header(response.headers(), "content-type"), "application/problem+json", "{response:?}");
    let (status, id) = (response.status(), header(response.headers(), "apigw-requestid").to_owned());
    let problem: Value = response.json().await.unwrap();
    assert_eq!((&problem["status"], &problem["request_id"]), (&json!(status.as_u16()), &json!(id)), "{problem}");
    problem
}

#[tokio::test]
async fn a_path_that_is_no_route_is_a_404_even_if_the_emulator_knows_it() {
    let api = Api::shared();
    for (method, path) in [
        (Method::GET, "/users"),
        (Method::GET, "/tasks"),
        (Method::GET, "/users//tasks"),
        (Method::GET, "/health/"),
        (Method::GET, "/Health"),
        (Method::POST, "/"),
        (Method::POST, "/health"),
        (Method::PATCH, "/health"),
        (Method::HEAD, "/docs"),
        (Method::TRACE, "/health"),
        (Method::GET, "/lambda-url/health"),
        (Method::POST, "/2015-03-31/functions/health/invocations"),
        (Method::GET, "/.rt/2018-06-01/runtime/invocation/next"),
    ] {
        let response = api.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{method} {path}");
        if method != Method::HEAD {
            let text = problem(response).await.to_string();
            assert!(!text.contains("signup"), "it names a route: {text}");
        }
    }
}

#[tokio::test]
async fn a_binary_body_reaches_the_function() {
    let api = Api::shared();
    let user = api.user().await;
    let task = user.task("x").await;
    for route in routes().into_iter().filter(|route| ["POST", "PUT", "PATCH"].contains(&route.method.as_str())) {
        let path = route.path_of(&user.id, task["id"].as_str().unwrap());
        for body in [&b"{\"title\": \"\xff\"}"[..], b"\xe2\x82", b"\x1f\x8b\0"] {
            let request = api.request(route.method(), &path).bearer_auth(&user.token);
            let response = request.header(CONTENT_TYPE, "application/json").body(body).send().await.unwrap();
            assert_eq!(response.status(), 400, "{route:?}");
            assert_eq!(header(response.headers(), "cache-control"), "no-store", "the function's own: {route:?}");
            problem(response).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_for_the_gateway_is_a_413() {
    let request = Api::shared().request(Method::POST, "/users/signup").body(vec![b' '; 10 * 1024 * 1024 + 1]);
    // It may answer and close before it has read all of it, which the client may see as an error.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn large_answers_are_complete() {
    let api = Api::shared();
    let get = async |encoding: &str| {
        let request = api.request(Method::GET, LARGEST).header("accept-encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.expect("a complete body")
    };
    for (encoding, length) in [("identity", 1_000_000), ("gzip", 100_000)] {
        let first = get(encoding).await;
        assert!(first.len() > length, "{encoding}: {}", first.len());
        for _ in 0..10 {
            for answer in join_all((0..4).map(|_| get(encoding))).await {
                assert!(answer == first, "{encoding}: {} bytes of {}", answer.len(), first.len());
            }
        }
    }
}

#[tokio::test]
async fn ids_are_decoded_before_a_function_sees_them() {
    let user = Api::shared().user().await;
    let task = user.task("x").await;
    let encoded = |id: &str| id.replace('-', "%2D").replacen('4', "%34", 1);
    let path = format!("/users/{}/tasks/{}", encoded(&user.id), encoded(task["id"].as_str().unwrap()));
    let found = user.api.send(Method::GET, &path, Some(&user.token), None).await.expect(200);
    assert_eq!(found.body, task);
}

#[tokio::test]
async fn each_request_has_an_id_that_is_in_the_log() {
    let api = Api::shared();
    let mut ids = BTreeSet::new();
    for path in ["/users/me", "/users/me", "/docs/nothing.js"] {
        let reply = reply(api.request(Method::GET, path)).await;
        assert_eq!(reply.body["request_id"], reply.header("apigw-requestid"), "{reply:?}");
        ids.insert(reply.header("apigw-requestid").to_owned());
    }
    assert_eq!(ids.len(), 3, "{ids:?}");
    let log = fs::read_to_string(variable("API_LOG")).unwrap();
    let logged = request_lines(&log).into_iter().filter_map(|line| Some(line["request_id"].as_str()?.to_owned()));
    assert!(ids.is_subset(&logged.collect()), "{ids:?}");
}

/// On Linux only, where all of 127.0.0.0/8 is this machine.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_is_identified_by_its_address_and_by_no_header() {
    let email = fresh_email();
    let attempt = async |from: [u8; 4]| {
        let client = reqwest::Client::builder().local_address(std::net::IpAddr::from(from)).build().unwrap();
        let request = client.post(Api::shared().url("/users/signin")).header("x-forwarded-for", "192.0.2.1");
        let body = json!({"email": email, "password": format!("not {PASSWORD}")});
        request.json(&body).send().await.unwrap().status()
    };
    for _ in 0..10 {
        assert_eq!(attempt([127, 0, 0, 1]).await, 401);
    }
    // The first delay of a second may pass before the next attempt, but every delay is twice as long as the last.
    let mut more = 0..10;
    while attempt([127, 0, 0, 1]).await != 429 {
        more.next().expect("it is never throttled");
    }
    assert_eq!(attempt([127, 0, 0, 2]).await, 401, "another client is not throttled");
}

#[tokio::test]
async fn cors_is_as_the_template_configures_it() {
    let template = template();
    let settings = &template.properties("Api")["CorsConfiguration"];
    let listed = |name: &str| {
        let names = settings[name].as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let sent = |headers: &HeaderMap, name: &str| {
        let names = header(headers, name).split(',').map(|name| name.trim().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let server = TestServer::start(&Settings::shared().allow_origin("https://tasks.example.com"));
    for (origin, allowed) in [("https://tasks.example.com", "https://tasks.example.com"), ("https://example.com", "")] {
        let preflight = server.api.request(Method::OPTIONS, "/users/signin").header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "PATCH");
        let preflight = preflight.header("access-control-request-headers", "x-other").send().await.unwrap();
        assert!(preflight.status().is_success(), "{preflight:?}");
        let headers = preflight.headers();
        assert_eq!(header(headers, "access-control-allow-origin"), allowed);
        assert_eq!(sent(headers, "access-control-allow-methods"), listed("AllowMethods"), "whatever was requested");
        assert_eq!(sent(headers, "access-control-allow-headers"), listed("AllowHeaders"), "whatever was requested");
        assert_eq!(header(headers, "access-control-max-age"), settings["MaxAge"].to_string());
        // On every answer: of a function, a problem of a function, and the gateway's own.
        for path in ["/health", "/users/me", "/nothing"] {
            let answer = server.api.request(Method::GET, path).header("origin", origin).send().await.unwrap();
            let headers = answer.headers();
            assert_eq!(header(headers, "access-control-allow-origin"), allowed, "{path}");
            assert_eq!(sent(headers, "access-control-expose-headers"), listed("ExposeHeaders"), "{path}");
            assert!(!headers.contains_key("access-control-allow-credentials"), "{path}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    for status in [200, 503] {
        let get = server.api.request(Method::GET, "/health").send().await.unwrap();
        let head = server.api.request(Method::HEAD, "/health").send().await.unwrap();
        assert_eq!((get.status().as_u16(), head.status().as_u16()), (status, status));
        for name in ["content-type", "cache-control", "x-content-type-options", "retry-after"] {
            assert_eq!(header(head.headers(), name), header(get.headers(), name), "{name}");
        }
        assert_eq!(head.bytes().await.unwrap(), "");
        relay.refuse(true);
        relay.cut();
    }
}
