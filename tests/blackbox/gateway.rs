//! What stands before the functions: the same as in the cloud, as far as a client can tell.

use std::{collections::BTreeSet, env, fs};

use futures_util::future::join_all;
use reqwest::{
    Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, fresh_email, reply},
    template::template,
    watch::{Settings, Watch, request_lines},
    workspace::routes,
};

/// The longest file there is, of 1.5 MB.
const LONGEST: &str = "/docs/swagger-ui-bundle.js";

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
async fn what_is_no_route_is_a_404_whatever_it_is_to_the_emulator() {
    let api = Api::shared();
    for (method, path) in [
        (Method::GET, "/users"),
        (Method::GET, "/tasks"),
        (Method::GET, "/users//tasks"),
        (Method::GET, "/health/"),
        (Method::GET, "/Health"),
        (Method::POST, "/"),
        (Method::POST, "/health"),
        (Method::PATCH, "/users/signin"),
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
            assert!(!text.contains("signup"), "it names what there is: {text}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_text_comes_to_the_function() {
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
async fn a_body_that_the_gateway_does_not_take_is_a_413() {
    let request = Api::shared().request(Method::POST, "/users/signup").body(vec![b' '; 10 * 1024 * 1024 + 1]);
    // It may answer, and close, before it has read all of it.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn long_answers_come_whole() {
    let api = Api::shared();
    let get = async |encoding: &str| {
        let request = api.request(Method::GET, LONGEST).header("accept-encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.expect("a whole body")
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
    let log = fs::read_to_string(env::var("API_LOG").unwrap()).unwrap();
    let logged = request_lines(&log).into_iter().filter_map(|line| Some(line["request_id"].as_str()?.to_owned()));
    assert!(ids.is_subset(&logged.collect()), "{ids:?}");
}

/// Every loopback address is this machine's on Linux alone.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_is_known_by_its_own_address_and_by_no_header() {
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
    // The first wait is a second, which may pass while others are served; each is twice as long as the one before.
    let mut more = 0..10;
    while attempt([127, 0, 0, 1]).await != 429 {
        more.next().expect("it never has to wait");
    }
    assert_eq!(attempt([127, 0, 0, 2]).await, 401, "another client need not wait");
}

#[tokio::test]
async fn cors_is_what_the_template_says() {
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
    let watch = Watch::start(&Settings::of_the_stack().open_to("https://tasks.example.com"));
    for (origin, allowed) in [("https://tasks.example.com", "https://tasks.example.com"), ("https://example.com", "")] {
        let preflight = watch.api.request(Method::OPTIONS, "/users/signin").header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "PATCH");
        let preflight = preflight.header("access-control-request-headers", "x-other").send().await.unwrap();
        assert!(preflight.status().is_success(), "{preflight:?}");
        let headers = preflight.headers();
        assert_eq!(header(headers, "access-control-allow-origin"), allowed);
        assert_eq!(sent(headers, "access-control-allow-methods"), listed("AllowMethods"), "nothing it only asked for");
        assert_eq!(sent(headers, "access-control-allow-headers"), listed("AllowHeaders"), "nothing it only asked for");
        assert_eq!(header(headers, "access-control-max-age"), settings["MaxAge"].to_string());
        // On every answer: a function's, one of its problems, and the gateway's own.
        for path in ["/health", "/users/me", "/nothing"] {
            let answer = watch.api.request(Method::GET, path).header("origin", origin).send().await.unwrap();
            let headers = answer.headers();
            assert_eq!(header(headers, "access-control-allow-origin"), allowed, "{path}");
            assert_eq!(sent(headers, "access-control-expose-headers"), listed("ExposeHeaders"), "{path}");
            assert!(!headers.contains_key("access-control-allow-credentials"), "{path}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let (relay, settings) = Settings::of_the_stack().relayed().await;
    let watch = Watch::start(&settings);
    for status in [200, 503] {
        let get = watch.api.request(Method::GET, "/health").send().await.unwrap();
        let head = watch.api.request(Method::HEAD, "/health").send().await.unwrap();
        assert_eq!((get.status().as_u16(), head.status().as_u16()), (status, status));
        for name in ["content-type", "cache-control", "x-content-type-options", "retry-after"] {
            assert_eq!(header(head.headers(), name), header(get.headers(), name), "{name}");
        }
        assert_eq!(head.bytes().await.unwrap(), "");
        relay.refuse(true);
        relay.cut();
    }
}
