//! The page's files, as a browser fetches them.

use std::collections::{BTreeMap, BTreeSet};

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
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

/// The links to the page's own files: by query in the page, by path in its scripts.
fn links(text: &str) -> BTreeSet<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    let own = quoted.filter_map(|link| match link.strip_prefix("./") {
        Some(name) => Some(format!("/web/{name}")),
        None => ["?asset=", "web/"].iter().any(|start| link.starts_with(start)).then(|| format!("/{link}")),
    });
    own.collect()
}

/// Everything the page loads: path, headers and text.
async fn load() -> BTreeMap<String, (HeaderMap, String)> {
    let mut files = BTreeMap::new();
    let mut left = BTreeSet::from(["/".to_owned()]);
    while let Some(link) = left.pop_first() {
        let file = get(&link, &[]).await;
        assert_eq!(file.status(), 200, "{link}");
        let (headers, text) = (file.headers().clone(), file.text().await.expect("text"));
        let links = links(&text);
        files.insert(link, (headers, text));
        left.extend(links.into_iter().filter(|link| !files.contains_key(link)));
    }
    files
}

#[tokio::test]
async fn every_file_of_the_page_exists_and_has_the_right_type() {
    let files = load().await;
    for (link, (headers, _)) in &files {
        let media_type = match link.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(header(headers, "content-type"), media_type, "{link}");
    }
    let names =
        ["account.js", "api.js", "forms.js", "session.js", "tasks.js", "web.js"].map(|name| format!("/web/{name}"));
    let by_query = ["/", "/?asset=start.js", "/?asset=style.css"].map(str::to_owned);
    assert_eq!(files.into_keys().collect::<BTreeSet<_>>(), by_query.into_iter().chain(names).collect());
    assert_eq!(get("/web/index.html", &[]).await.status(), 404);
}

#[tokio::test]
async fn only_its_own_origin_can_run_scripts_in_the_page_and_none_can_frame_it() {
    for path in ["/", "/web/web.js", "/?asset=start.js"] {
        let response = get(path, &[]).await;
        assert_eq!(
            header(response.headers(), "content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        assert_eq!(header(response.headers(), "x-content-type-options"), "nosniff");
        let text = response.text().await.expect("text");
        for inline in ["<style", " style=", " onclick=", "javascript:", "innerHTML"] {
            assert!(!text.contains(inline), "{inline} in {path}");
        }
    }
}

#[tokio::test]
async fn the_page_is_small_and_cached() {
    let mut bytes = 0;
    for path in load().await.keys() {
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
