//! The OpenAPI document agrees with the routes, the domain and the API's answers, and the page shows it.

use std::collections::BTreeSet;

use api::Code;
use domain::{Description, Email, PageSize, Password, Priority, SearchWords, Sort, Status, Summary, Tag, Tags, Title};
use regex::Regex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    api::{Api, Reply, reply},
    workspace::{Route, openapi, root, routes, variable},
};

/// The operations of the document, by method and path.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let methods = |(path, item)| {
        let item: &Value = item;
        let operations = item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters");
        operations.map(move |(method, operation)| (method.to_uppercase(), String::clone(path), operation))
    };
    document["paths"].as_object().unwrap().iter().flat_map(methods).collect()
}

fn pattern(schema: &Value) -> Regex {
    Regex::new(schema["pattern"].as_str().unwrap()).unwrap()
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let document = openapi();
    let documented = operations(&document).into_iter().map(|(method, path, _)| (method, path));
    let routed = routes().into_iter().map(|Route { method, path, .. }| (method, path));
    assert_eq!(documented.collect::<BTreeSet<_>>(), routed.collect());
}

#[test]
fn every_operation_documents_its_security_and_its_errors() {
    let document = openapi();
    assert_eq!(document["security"], json!([{"bearer": []}]));
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let is_protected = path.contains("{user_id}");
        let security = if is_protected { Value::Null } else { json!([]) };
        assert_eq!(operation["security"], security, "{method} {path}");
        let mut failures = vec!["500"];
        if is_protected {
            failures.extend(["400", "401", "403", "503"]);
        }
        if operation["requestBody"].is_object() {
            failures.extend(["400", "413", "415", "422", "503"]);
        }
        for failure in failures {
            assert!(operation["responses"][failure].is_object(), "{method} {path} does not document {failure}");
        }
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
    }
}

#[test]
fn the_document_explains_what_a_503_means_for_a_change() {
    let description = openapi()["components"]["responses"]["Unavailable"]["description"].as_str().unwrap().to_owned();
    assert!(description.contains("may have been made or not; it is not made later"), "{description}");
}

#[test]
fn the_limits_in_the_document_are_those_of_the_domain() {
    let document = openapi();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Email"]["maxLength"], Email::MAX_BYTES);
    assert_eq!(schemas["NewPassword"]["minLength"], Password::MIN_CHARS);
    assert_eq!(schemas["NewPassword"]["maxLength"], Password::MAX_BYTES);
    assert_eq!(schemas["Description"]["maxLength"], Description::MAX_CHARS);
    assert_eq!(schemas["Priority"]["minimum"], *Priority::RANGE.start());
    assert_eq!(schemas["Priority"]["maximum"], *Priority::RANGE.end());
    assert_eq!(schemas["Status"]["enum"], json!(Status::ALL));
    assert_eq!(schemas["Tag"]["maxLength"], Tag::MAX_CHARS);
    assert_eq!(schemas["Tags"]["maxItems"], Tags::MAX);
    assert_eq!(schemas["Summary"]["properties"]["tags"]["maxItems"], Summary::MAX_TAGS);
    assert_eq!(schemas["ProblemCode"]["enum"], json!(Code::ALL));
    let parameters = document["paths"]["/users/{user_id}/tasks"]["get"]["parameters"].as_array().unwrap();
    let parameter = |name| &parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"];
    assert_eq!(parameter("limit")["maximum"], PageSize::MAX);
    assert_eq!(parameter("limit")["default"], PageSize::default().get());
    assert_eq!(parameter("q")["maxLength"], SearchWords::MAX_CHARS);
    assert_eq!(parameter("sort")["default"], Sort::default().to_string());
    for sort in parameter("sort")["enum"].as_array().unwrap() {
        assert!(Sort::parse(sort.as_str().unwrap()).is_some(), "{sort}");
    }

    let emails = pattern(&schemas["Email"]);
    for text in
        ["a@b.cd", "A.b_c%d+e-f@g-h.i.jk", "a@b.c", "@b.cd", "a@.cd", "a@b@c.de", "ä@b.cd", "a b@c.de", "a@b.c1"]
    {
        assert_eq!(emails.is_match(text), Email::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn a_title_is_valid_in_the_document_if_it_is_valid_in_the_domain() {
    let document = openapi();
    let schema = &document["components"]["schemas"]["Title"];
    assert_eq!((&schema["minLength"], &schema["maxLength"]), (&json!(1), &json!(Title::MAX_CHARS)));
    let pattern = pattern(schema);
    let is_in_document = |text: &str| (1..=Title::MAX_CHARS).contains(&text.chars().count()) && pattern.is_match(text);
    let agree = |text: &str| assert_eq!(is_in_document(text), Title::parse(text).is_ok(), "{text:?}");
    // Every character: alone, at the start, and in the middle of a title.
    for c in '\0'..=char::MAX {
        let alone = c.to_string();
        // The pattern takes every character above U+FFFF for a visible one.
        assert_eq!(is_in_document(&alone), Title::parse(&alone).is_ok() || c > '\u{ffff}', "{c:?}");
        agree(&format!("{c}x"));
        agree(&format!("x{c}y"));
    }
    for length in [0, 1, 2, 499, 500, 501, 502] {
        agree(&"🦀".repeat(length));
        agree(&" ".repeat(length));
        agree(&"\u{200b}".repeat(length));
    }
    agree(" \u{3000}x\n");
    // White space around a title counts in the document only: no title is stored with it.
    let padded = format!(" \u{3000}{}\n", "x".repeat(Title::MAX_CHARS));
    assert!(!is_in_document(&padded) && is_in_document(Title::parse(&padded).unwrap().as_str()));
}

/// Valid and invalid requests, generated by Schemathesis as `tests/schemathesis` configures it. `SCHEMATHESIS_EXAMPLES`
/// sets how many per operation.
#[tokio::test]
async fn the_api_conforms_to_the_openapi() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["schemathesis.toml", "hooks.py"] {
        std::fs::copy(root().join("tests/schemathesis").join(file), folder.path().join(file)).unwrap();
    }
    let api = variable("API_URL");
    let run = tokio::process::Command::new(variable("SCHEMATHESIS"))
        .arg("run")
        .arg(root().join("functions/docs/assets/openapi.json"))
        .args(["--url", &api, "--max-examples"])
        .arg(cli::variable("SCHEMATHESIS_EXAMPLES").unwrap_or("5".into()))
        .args(cli::variable("SCHEMATHESIS_SEED").map(|seed| format!("--seed={}", seed.display())))
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{report}\n{}", String::from_utf8_lossy(&run.stderr));
}

/// A reply, and the length of its body.
async fn get(path: &str, headers: &[(&str, &str)]) -> (Reply, usize) {
    let mut request = Api::shared().request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (url, status, headers) = (response.url().clone(), response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    let body = Value::from(String::from_utf8_lossy(&bytes));
    (Reply { url, status, headers, body }, bytes.len())
}

#[tokio::test]
async fn the_document_is_served_as_it_is_in_the_repository() {
    let served = reply(Api::shared().request(Method::GET, "/openapi.json")).await.expect(200);
    assert_eq!(served.header("content-type"), "application/json");
    assert_eq!(serde_json::from_str::<Value>(served.body.as_str().unwrap()).unwrap(), openapi());
}

#[tokio::test]
async fn the_page_loads_nothing_but_what_the_function_serves() {
    let (page, _) = get("/docs", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    let script = get("/docs?asset=docs.js", &[]).await.0.expect(200);
    let text = format!("{}{}", page.body.as_str().unwrap(), script.body.as_str().unwrap());
    assert!(!text.contains("//cdn") && !text.contains("https:"), "{text}");
    // The page refers to its files by query, its script by path.
    let assets = Regex::new(r#""(\?asset=[^"]+|docs/[^"]+)""#).unwrap();
    let base = page.resolve(".");
    let assets: BTreeSet<String> = assets
        .captures_iter(&text)
        .map(|found| if found[1].starts_with('?') { page.resolve(&found[1]) } else { base.join(&found[1]).unwrap() })
        .map(|url| url.as_str().replacen(Api::shared().base(), "", 1))
        .collect();
    for asset in
        ["/docs?asset=docs.js", "/docs?asset=openapi.json", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"]
    {
        assert!(assets.contains(asset), "{assets:?}");
    }
    for asset in &assets {
        let (plain, length) = get(asset, &[]).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, ""), "{asset}");
        assert_eq!(plain.header("vary").split(',').next(), Some("Accept-Encoding"), "{asset}");
        let (gzip, shorter) = get(asset, &[("accept-encoding", "gzip")]).await;
        assert_eq!((gzip.status, gzip.header("content-encoding")), (200, "gzip"), "{asset}");
        let (brotli, shortest) = get(asset, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!((brotli.status, brotli.header("content-encoding")), (200, "br"), "{asset}");
        assert!(shortest < shorter && shorter < length, "{asset}: {shortest}, {shorter} and {length} bytes");
        assert_ne!(gzip.header("etag"), plain.header("etag"), "{asset}");
        let known = [("accept-encoding", "gzip"), ("if-none-match", gzip.header("etag"))];
        let (unchanged, nothing) = get(asset, &known).await;
        assert_eq!((unchanged.status, nothing), (304, 0), "{asset}");
        assert_eq!(unchanged.header("etag"), gzip.header("etag"), "{asset}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_404() {
    for path in ["/docs/nothing.js", "/docs/DOCS.js", "/docs/..%2fdocs.js"] {
        let status = Api::shared().request(Method::GET, path).send().await.unwrap().status();
        assert!([StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status), "{path}: {status}");
    }
    reply(Api::shared().request(Method::GET, "/docs/nothing.js")).await.expect(404);
    let bad = Api::shared().request(Method::GET, "/docs").header("if-none-match", "x");
    assert!(reply(bad).await.expect(400).body["detail"].as_str().unwrap().contains("If-None-Match"));
}
