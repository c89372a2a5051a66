//! The page, as a browser fetches it.

use std::collections::BTreeSet;

use reqwest::{Response, header::HeaderMap};
use tests::api::Api;

async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Api::shared().request(reqwest::Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("a reply")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("a text"))
}

/// The addresses of this page's own that a file names.
fn links(text: &str) -> BTreeSet<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    let own = quoted.filter_map(|link| link.strip_prefix("web/").or(link.strip_prefix("./")));
    own.map(|name| format!("/web/{name}")).collect()
}

#[tokio::test]
async fn everything_the_page_names_is_there_and_of_its_kind() {
    let page = get("/", &[]).await;
    assert_eq!((page.status().as_u16(), header(page.headers(), "content-type")), (200, "text/html; charset=utf-8"));
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut left = links(&page.text().await.expect("a text"));
    while let Some(link) = left.pop_first() {
        let file = get(&link, &[]).await;
        assert_eq!(file.status(), 200, "{link}");
        let kind = if link.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        assert_eq!(header(file.headers(), "content-type"), kind, "{link}");
        found.insert(link);
        left.extend(links(&file.text().await.expect("a text")).difference(&found).cloned());
    }
    let names = ["account.js", "api.js", "forms.js", "session.js", "style.css", "tasks.js", "web.js"];
    assert_eq!(found, names.map(|name| format!("/web/{name}")).into());
    assert_eq!(get("/web/index.html", &[]).await.status(), 404);
}

#[tokio::test]
async fn nothing_but_its_own_origin_can_run_in_the_page_or_frame_it() {
    for path in ["/", "/web/web.js"] {
        let response = get(path, &[]).await;
        assert_eq!(
            header(response.headers(), "content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        assert_eq!(header(response.headers(), "x-content-type-options"), "nosniff");
        let text = response.text().await.expect("a text");
        for inline in ["<style", " style=", " onclick=", "javascript:", "innerHTML"] {
            assert!(!text.contains(inline), "{inline} in {path}");
        }
    }
}

#[tokio::test]
async fn the_page_is_small_and_sent_once() {
    let mut bytes = 0;
    let page = get("/", &[]).await.text().await.expect("a text");
    for path in links(&page).iter().map(String::as_str).chain(["/"]) {
        let first = get(path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(header(first.headers(), "content-encoding"), "gzip", "{path}");
        assert_eq!(header(first.headers(), "cache-control"), "no-cache", "{path}");
        let tag = header(first.headers(), "etag").to_owned();
        bytes += first.bytes().await.expect("a body").len();
        let again = get(path, &[("accept-encoding", "gzip"), ("if-none-match", &tag)]).await;
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.bytes().await.expect("a body").len(), 0, "{path}");
    }
    assert!(bytes < 32 * 1024, "{bytes} bytes for the whole page");
}
