//! Serving files that are embedded in a function's binary.

use lambda_http::{
    Body,
    http::{
        HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY,
        },
    },
};

use crate::{EntityTag, Problem, Request, Response, response::with_default_headers, unless_known, with_etag};

/// A file that `tools/files` has embedded.
#[derive(Debug)]
pub struct File {
    /// Empty for the page.
    pub name: &'static str,
    pub media_type: &'static str,
    /// A hash of the content, in hexadecimal.
    pub hash: &'static str,
    pub content: &'static [u8],
    /// The compressed content, if it is shorter.
    pub gzip: Option<&'static [u8]>,
    pub brotli: Option<&'static [u8]>,
}

/// The files of a function. Its build script calls `files::embed`, and its `main.rs` has:
///
/// ```ignore
/// include!(concat!(env!("OUT_DIR"), "/files.rs"));
///
/// async fn handle(_: &Static, request: &Request) -> Result<Response, Problem> {
///     FILES.serve(request, "default-src 'self'") // 304, 400, 404
/// }
/// ```
#[derive(Debug)]
pub struct Files {
    /// A hash of all files.
    pub version: &'static str,
    /// What allows the page's inline scripts, for the `script-src` of a policy: ` 'sha256-…'` for each.
    pub inline_scripts: &'static str,
    pub files: &'static [File],
}

impl Files {
    /// 200 with the requested file, or 304 when the client has it.
    ///
    /// The name is the path's `{asset}`, the last segment of the path, or the query's `asset`; without any of these it is
    /// the page. The page uses the query: its own path may end in a slash or not, and no relative path would work from
    /// both.
    ///
    /// A file that is asked for by this version, which is the path's `{version}` or the query's `version`, may be kept for
    /// a year: under that name it never changes. Everything else is revalidated. Of another version there is no content
    /// here; the answer is this version's, so that a page works while two releases run beside each other.
    ///
    /// `policy` is the `Content-Security-Policy`.
    ///
    /// # Errors
    /// 404 when there is no such file; 400 for a malformed `If-None-Match`.
    pub fn serve(&self, request: &Request, policy: &str) -> Result<Response, Problem> {
        let file = self.requested(request).ok_or(Problem::NoSuchFile)?;
        let known = request.if_none_match()?;
        let mut response = file.response(request, policy);
        if !file.name.is_empty() && self.is_current(request) {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOR_A_YEAR));
        }
        Ok(unless_known(response, known.as_ref()))
    }

    fn requested(&self, request: &Request) -> Option<&File> {
        let page = || self.files.iter().find(|file| file.name.is_empty());
        let asset = |name: &str| self.files.iter().find(|file| !name.is_empty() && file.name == name);
        if let Some(name) = request.in_path("asset") {
            return asset(name);
        }
        asset(request.last_segment()).or_else(|| request.in_query("asset").map_or_else(page, |name| asset(&name)))
    }

    fn is_current(&self, request: &Request) -> bool {
        request.in_path("version") == Some(self.version) || request.in_query("version").as_deref() == Some(self.version)
    }
}

const FOR_A_YEAR: &str = "public, max-age=31536000, immutable";

impl File {
    fn response(&self, request: &Request, policy: &str) -> Response {
        let compressed = [("br", self.brotli), ("gzip", self.gzip)];
        let accepted = compressed
            .iter()
            .find_map(|(coding, content)| Some((*coding, (*content)?)).filter(|_| accepts(request, coding)));
        let mut response = match accepted {
            Some((coding, content)) => {
                // Another representation needs another tag (RFC 9110, section 8.8.3.3).
                let tag = EntityTag::strong(format!("{}-{coding}", self.hash));
                let mut response = with_etag(with_default_headers(StatusCode::OK, Body::Binary(content.to_vec())), tag);
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
                response
            }
            None => {
                let body = match str::from_utf8(self.content) {
                    Ok(text) => Body::Text(text.to_owned()),
                    Err(_) => Body::Binary(self.content.to_vec()),
                };
                with_etag(with_default_headers(StatusCode::OK, body), EntityTag::strong(self.hash))
            }
        };
        let mut set = |name: HeaderName, value| response.headers_mut().insert(name, value);
        set(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        set(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        set(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // Made of constants and hashes, so always a valid header value; the default forbids everything.
        if let Ok(policy) = HeaderValue::from_str(policy) {
            set(CONTENT_SECURITY_POLICY, policy);
        }
        if self.gzip.is_some() || self.brotli.is_some() {
            set(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        response
    }
}

/// Whether `Accept-Encoding` (RFC 9110, section 12.5.3) has this coding or `*` with a weight above 0.
fn accepts(request: &Request, coding: &str) -> bool {
    let accepts = |coding: &str| {
        request.header("accept-encoding").unwrap_or_default().split(',').find_map(|element| {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            name.trim().eq_ignore_ascii_case(coding).then(|| {
                let weight = parameters.trim().strip_prefix("q=").or(parameters.trim().strip_prefix("Q="));
                weight.is_none_or(is_above_0)
            })
        })
    };
    // `x-gzip` is an old name of `gzip`.
    accepts(coding).or_else(|| accepts(&format!("x-{coding}"))).or_else(|| accepts("*")).unwrap_or(false)
}

/// Whether a weight (RFC 9110, section 12.4.2: 0 to 1, with up to three decimals) is above 0; false if it is malformed.
fn is_above_0(weight: &str) -> bool {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let is_0 = fraction.bytes().all(|byte| byte == b'0');
    is_fraction && (whole == "0" && !is_0 || whole == "1" && is_0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::tests::request;

    const FILES: Files = Files {
        version: "1a",
        inline_scripts: "",
        files: &[
            File {
                name: "",
                media_type: "text/html; charset=utf-8",
                hash: "11",
                content: b"page",
                gzip: Some(b"\x1f\x8b"),
                brotli: Some(b"\x0b"),
            },
            File { name: "a.png", media_type: "image/png", hash: "22", content: b"\xff", gzip: None, brotli: None },
        ],
    };

    fn answer(event: serde_json::Value) -> Response {
        let request = request(event);
        FILES.serve(&request, "default-src 'self'").unwrap_or_else(|problem| problem.respond(&request.id))
    }

    fn serve(path: &str, headers: serde_json::Value) -> Response {
        answer(json!({"rawPath": path, "headers": headers}))
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn the_route_or_the_query_names_the_file_whatever_stands_before() {
        // At the root, at a stage's URL, behind a base path that is kept in the path, and one that is removed.
        for base in ["", "/", "/dev", "/dev/", "/v1/docs", "/v1/docs/"] {
            for query in ["", "utm=a.png"] {
                let page = answer(json!({"rawPath": base, "rawQueryString": query}));
                assert_eq!(page.body(), &Body::Text("page".to_owned()), "{base:?}?{query}");
            }
            let by_query = answer(json!({"rawPath": base, "rawQueryString": "asset=a.png"}));
            let by_route = answer(json!({"rawPath": format!("{base}/x/a.png"), "pathParameters": {"asset": "a.png"}}));
            let by_path = answer(json!({"rawPath": format!("{base}/a.png"), "headers": {"accept-encoding": "gzip"}}));
            for image in [by_query, by_route, by_path] {
                assert_eq!(image.body(), &Body::Binary(b"\xff".to_vec()), "{base:?}");
                assert_eq!([header(&image, "content-type"), header(&image, "vary")], ["image/png", ""]);
            }
            for name in ["b.png", "A.png", "..%2fa.png", "../a.png"] {
                let event = json!({"rawPath": format!("{base}/x/{name}"), "pathParameters": {"asset": name}});
                assert_eq!(answer(event).status(), 404, "{base:?}: {name}");
            }
            for query in ["asset=b.png", "asset=", "asset"] {
                assert_eq!(answer(json!({"rawPath": base, "rawQueryString": query})).status(), 404, "{base:?}?{query}");
            }
        }
    }

    #[test]
    fn an_encoded_slash_is_part_of_the_name() {
        let status = |asset: &str| {
            let event = json!({"rawPath": format!("/web/{asset}"), "pathParameters": {"asset": asset}});
            let request = request(event);
            FILES.serve(&request, "").unwrap_or_else(|problem| problem.respond(&request.id)).status()
        };
        assert_eq!([status("a.png"), status("../a.png"), status("x/a.png")], [200, 404, 404]);
    }

    #[test]
    fn a_file_is_sent_compressed_to_clients_that_accept_it() {
        for (accepted, coding) in [
            ("gzip, deflate, br, zstd", "br"),
            ("br;q=0.001, GZIP;q=1.0", "br"),
            ("br;q=0, GZIP;q=0.001", "gzip"),
            ("gzip, deflate", "gzip"),
            ("x-gzip", "gzip"),
            ("*", "br"),
            ("br;q=0, *", "gzip"),
            ("", ""),
            ("zstd", ""),
            ("br;q=0, gzip;q=0, *", ""),
            ("gzip; q=0.000", ""),
            ("identity, *;q=0", ""),
            ("gzip ; q=1.", "gzip"),
            ("gzip;q=1.000", "gzip"),
            ("gzip;q=+1", ""),
            ("gzip;q=inf", ""),
            ("gzip;q=1e0", ""),
            ("gzip;q=.5", ""),
            ("gzip;q=0.0001", ""),
            ("gzip;q=1.5", ""),
            ("gzip;q=", ""),
        ] {
            let response = serve("/", json!({"accept-encoding": accepted}));
            assert_eq!(header(&response, "content-encoding"), coding, "{accepted:?}");
            assert_eq!(header(&response, "vary"), "Accept-Encoding");
            let tag =
                ["\"11\"", "\"11-gzip\"", "\"11-br\""][["", "gzip", "br"].iter().position(|it| *it == coding).unwrap()];
            assert_eq!(header(&response, "etag"), tag);
        }
    }

    #[test]
    fn a_file_may_be_kept_but_is_asked_for_again() {
        let response = serve("/", json!({}));
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "content-security-policy"), "default-src 'self'");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(serve("/", json!({"if-none-match": "\"11\""})).status(), 304);
        let other_coding = json!({"if-none-match": "\"11\"", "accept-encoding": "gzip"});
        assert_eq!(serve("/", other_coding).status(), 200);
        let same_coding = serve("/", json!({"if-none-match": "\"11\", \"11-gzip\"", "accept-encoding": "gzip"}));
        assert_eq!((same_coding.status().as_u16(), same_coding.body()), (304, &Body::Empty));
        assert_eq!(header(&same_coding, "vary"), "Accept-Encoding");
        assert_eq!(header(&same_coding, "content-encoding"), "");
        assert_eq!(serve("/", json!({"if-none-match": "11"})).status(), 400);
    }

    #[test]
    fn a_file_of_this_version_may_be_kept_for_a_year_and_is_served_for_any() {
        let cached = |path: &str, parameters: serde_json::Value, query: &str| {
            let response = answer(json!({"rawPath": path, "pathParameters": parameters, "rawQueryString": query}));
            assert_eq!(response.status(), 200, "{path}?{query}");
            header(&response, "cache-control").to_owned()
        };
        let by_path =
            |version: &str| cached("/web/releases/x/a.png", json!({"version": version, "asset": "a.png"}), "");
        assert_eq!([by_path("1a"), by_path("1b")], [FOR_A_YEAR, "no-cache"]);
        let by_query = |query: &str| cached("/v1", json!({}), query);
        assert_eq!(by_query("asset=a.png&version=1a"), FOR_A_YEAR);
        for query in ["asset=a.png", "asset=a.png&version=", "asset=a.png&version=1b", "version=1a"] {
            assert_eq!(by_query(query), "no-cache", "{query}");
        }
        let known = answer(json!({
            "rawPath": "/", "rawQueryString": "asset=a.png&version=1a", "headers": {"if-none-match": "\"22\""},
        }));
        assert_eq!((known.status().as_u16(), header(&known, "cache-control")), (304, FOR_A_YEAR));
    }
}
