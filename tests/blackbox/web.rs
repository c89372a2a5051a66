//! The page's files, as a browser fetches them.

use std::collections::BTreeMap;

use regex::Regex;
use reqwest::{Response, header::HeaderMap};
use serde_json::Value;
use tests::api::Api;

async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Api::shared().request(reqwest::Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("a reply")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

/// The page: its text, its version, and the files that it loads, by name.
struct Page {
    text: String,
    version: String,
    files: BTreeMap<String, String>,
}

impl Page {
    async fn load() -> Self {
        let text = get("/", &[]).await.text().await.expect("text");
        let found = |pattern: &str| {
            let pattern = Regex::new(pattern).expect("a pattern");
            pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect::<Vec<_>>()
        };
        let version = found(r#"<meta name="version" content="([0-9a-f]{16})">"#).remove(0);
        let by_query = found(r#""\?asset=([^"&]+)&amp;version=[0-9a-f]{16}""#).into_iter().map(|name| {
            let path = format!("/?asset={name}&version={version}");
            (name, path)
        });
        let program = ("web.js".to_owned(), format!("/web/releases/{version}/web.js"));
        let files = by_query.chain([program]).collect();
        Self { text, version, files }
    }
}

#[tokio::test]
async fn every_file_of_the_page_exists_and_has_the_right_type() {
    let page = Page::load().await;
    for (name, path) in &page.files {
        let media_type = match name.rsplit_once('.').expect("an extension").1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "png" => "image/png",
            "svg" => "image/svg+xml",
            _ => "application/manifest+json",
        };
        let file = get(path, &[]).await;
        assert_eq!((file.status().as_u16(), header(file.headers(), "content-type")), (200, media_type), "{path}");
    }
    assert_eq!(get("/web/index.html", &[]).await.status(), 404);
    let manifest = get(&page.files["manifest.webmanifest"], &[]).await;
    let base = manifest.url().clone();
    let manifest: Value = serde_json::from_str(&manifest.text().await.expect("text")).expect("JSON");
    for icon in manifest["icons"].as_array().expect("icons") {
        let url = base.join(icon["src"].as_str().expect("a reference")).expect("a URL");
        let file = get(&format!("/?{}", url.query().expect("a query")), &[]).await;
        assert_eq!(header(file.headers(), "content-type"), icon["type"].as_str().expect("a type"), "{icon}");
        assert!(header(file.headers(), "cache-control").contains("immutable"), "{icon}");
    }
}

/// Otherwise the browser would learn of a module only from the one that imports it: a round trip later.
#[tokio::test]
async fn the_page_loads_one_script_and_others_may_import_a_module() {
    for (name, imports) in [("web.js", false), ("api.js", false), ("forms.js", true)] {
        let text = get(&format!("/web/{name}"), &[]).await.text().await.expect("text");
        assert_eq!(text.contains("from \"./") || text.contains("from\"./"), imports, "{name}");
    }
}

#[tokio::test]
async fn only_its_own_origin_can_run_scripts_in_the_page_and_none_can_frame_it() {
    let hash = Regex::new(" 'sha256-[A-Za-z0-9+/]{43}='").expect("a pattern");
    for path in ["/", "/web/web.js", "/?asset=sw.js"] {
        let response = get(path, &[]).await;
        // The hash is of the page's one inline script: `shell` runs it.
        let policy = header(response.headers(), "content-security-policy").to_owned();
        assert_eq!(hash.find_iter(&policy).count(), 1, "{policy}");
        assert_eq!(
            hash.replace(&policy, ""),
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        assert_eq!(header(response.headers(), "x-content-type-options"), "nosniff");
        let text = response.text().await.expect("text");
        for inline in ["<style", " style=", " onclick=", "javascript:", "innerHTML"] {
            assert!(!text.contains(inline), "{inline} in {path}");
        }
    }
}

#[tokio::test]
async fn the_page_is_small_and_its_files_are_kept_for_a_year() {
    let page = Page::load().await;
    let compressed = [("accept-encoding", "gzip, deflate, br")];
    let answer = get("/", &compressed).await;
    assert_eq!(header(answer.headers(), "cache-control"), "no-cache");
    let mut bytes = answer.bytes().await.expect("a body").len();
    for (name, path) in page.files.iter().filter(|(name, _)| !name.ends_with(".png")) {
        let first = get(path, &compressed).await;
        assert_eq!(header(first.headers(), "content-encoding"), "br", "{path}");
        assert_eq!(header(first.headers(), "cache-control"), "public, max-age=31536000, immutable", "{path}");
        let tag = header(first.headers(), "etag").to_owned();
        let content = first.bytes().await.expect("a body");
        bytes += content.len();
        let again = get(path, &[compressed[0], ("if-none-match", &tag)]).await;
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.bytes().await.expect("a body").len(), 0, "{path}");

        // Under any other name the same, for those that import it and for a page of another release.
        for other in
            [format!("/?asset={name}"), format!("/web/{name}"), format!("/web/releases/0123456789abcdef/{name}")]
        {
            let answer = get(&other, &compressed).await;
            assert_eq!(
                (answer.status().as_u16(), header(answer.headers(), "cache-control")),
                (200, "no-cache"),
                "{other}"
            );
            assert_eq!(answer.bytes().await.expect("a body"), content, "{other}");
        }
    }
    assert!(bytes < 55_000, "{bytes} bytes for the whole page, without what it asks the API");
    assert!(page.text.contains(&format!("?asset=style.css&amp;version={}", page.version)));
}

/// Otherwise a release with a fault could not be replaced.
#[tokio::test]
async fn the_service_worker_is_asked_for_again() {
    let page = Page::load().await;
    let worker = get("/?asset=sw.js", &[]).await;
    assert_eq!(header(worker.headers(), "cache-control"), "no-cache");
    let text = worker.text().await.expect("text");
    assert!(text.contains(&page.version) && !text.contains("__"), "{text}");
}
