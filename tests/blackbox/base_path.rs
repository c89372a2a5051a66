//! The API behind a base path, as with an API mapping, a stage or a reverse proxy.

use reqwest::{Method, Url};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, fresh_email, invoke, reply},
    base_path::Host,
    operate::smoke,
};

#[tokio::test]
async fn every_reference_of_the_api_stays_below_its_base_path() {
    let host = Host::start().await;
    let api = Api::at(&host.url("/v1"));
    let user = api.user().await;
    let get = async |url: Url| reply(reqwest::Client::new().get(url).bearer_auth(&user.token)).await.expect(200);

    let other = api.sign_up(&fresh_email()).await.expect(201);
    assert_eq!(other.location().as_str(), api.url(&format!("/users/{}", other.body["id"].as_str().unwrap())));
    let mut created = Vec::new();
    for title in ["First", "Second", "Third"] {
        let task = user.post("/tasks", &json!({ "title": title })).await.expect(201);
        assert_eq!(get(task.location()).await.body, task.body);
        created.insert(0, task.body);
    }

    let mut page = user.get("/tasks?limit=1").await.expect(200);
    let mut listed = Vec::new();
    loop {
        listed.extend(page.body.as_array().unwrap().clone());
        let Some(next) = page.next_page() else { break };
        assert!(next.as_str().starts_with(&api.url(&user.path("/tasks?"))), "{next}");
        page = get(next).await;
    }
    assert_eq!(listed, created);
    host.assert_nothing_outside();
}

#[tokio::test]
async fn every_file_is_found_with_and_without_a_trailing_slash_in_its_pages_address() {
    let host = Host::start().await;
    let api = Api::at(&host.url("/v1"));
    for (path, media_type) in [
        ("", "text/html; charset=utf-8"),
        ("/", "text/html; charset=utf-8"),
        ("/?asset=style.css", "text/css; charset=utf-8"),
        ("?asset=sw.js", "text/javascript; charset=utf-8"),
        ("/?asset=manifest.webmanifest&version=x", "application/manifest+json"),
        ("/web/api.js", "text/javascript; charset=utf-8"),
        ("/web/releases/x/api.js", "text/javascript; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/", "text/html; charset=utf-8"),
        ("/docs?asset=docs.css", "text/css; charset=utf-8"),
        ("/docs/?asset=docs.js", "text/javascript; charset=utf-8"),
        ("/docs/icon.svg", "image/svg+xml"),
        ("/openapi.json", "application/json"),
    ] {
        let file = reply(api.request(Method::GET, path)).await.expect(200);
        assert_eq!(file.header("content-type"), media_type, "{path:?}");
    }
    for path in ["/?asset=nothing.js", "/web/nothing.js", "/web/releases/x/nothing.js", "/docs?asset=nothing.js"] {
        reply(api.request(Method::GET, path)).await.expect(404);
    }
}

#[tokio::test]
async fn the_smoke_test_passes_behind_a_base_path() {
    let host = Host::start().await;
    smoke(&Api::at(&host.url("/v1"))).await.success();
    host.assert_nothing_outside();
}

/// Paths as a function sees them: of the `$default` stage, of another one, and with a trailing slash.
#[tokio::test]
async fn a_location_refers_to_what_was_created_whatever_path_the_function_sees() {
    let user = Api::shared().user().await;
    let headers = json!({"content-type": "application/json", "authorization": format!("Bearer {}", user.token)});
    for base in ["", "/dev"] {
        let host = Url::parse("https://example.com").unwrap().join(&format!("{base}/")).unwrap();
        for slash in ["", "/"] {
            let sign_up = json!({
                "rawPath": format!("{base}/users/signup{slash}"),
                "headers": headers,
                "body": json!({"email": fresh_email(), "password": PASSWORD}).to_string(),
            });
            let create = json!({
                "rawPath": format!("{base}{}{slash}", user.path("/tasks")),
                "headers": headers,
                "pathParameters": {"user_id": user.id},
                "body": json!({"title": "x"}).to_string(),
            });
            for (function, event, collection) in
                [("signup", sign_up, "users".to_owned()), ("task-create", create, format!("users/{}/tasks", user.id))]
            {
                let answer = invoke(function, &event).await;
                assert_eq!(answer["statusCode"], 201, "{event}\n{answer}");
                let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
                let asked = host.join(event["rawPath"].as_str().unwrap()).unwrap();
                let location = asked.join(answer["headers"]["location"].as_str().unwrap()).unwrap();
                let id = body["id"].as_str().unwrap();
                assert_eq!(location, host.join(&format!("{collection}/{id}")).unwrap(), "{event}\n{answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_is_found_whatever_path_the_function_sees() {
    for base in ["", "/dev", "/v1"] {
        for (function, path, asset, part) in [
            ("web", "", None, "<!doctype html>"),
            ("web", "/", None, "<!doctype html>"),
            ("web", "/web/api.js", Some("api.js"), "export class TaskApi"),
            ("web", "/web/releases/x/api.js", Some("api.js"), "export class TaskApi"),
            ("docs", "/docs", None, "<!doctype html>"),
            ("docs", "/docs/", None, "<!doctype html>"),
            ("docs", "/docs/docs.js", Some("docs.js"), "openapi.json"),
            ("docs", "/openapi.json", None, "{"),
        ] {
            let event = json!({"rawPath": format!("{base}{path}"), "pathParameters": asset.map(|asset| json!({"asset": asset}))});
            let answer = invoke(function, &event).await;
            assert_eq!(answer["statusCode"], 200, "{event}\n{answer}");
            assert!(answer["body"].as_str().unwrap().contains(part), "{event}\n{answer}");
        }
        let missing = json!({"rawPath": format!("{base}/web/x.js"), "pathParameters": {"asset": "x.js"}});
        assert_eq!(invoke("web", &missing).await["statusCode"], 404, "{missing}");
    }
}
