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
pub struct Files(pub &'static [File]);

impl Files {
    /// 200 with the requested file, or 304 when the client has it.
    ///
    /// The name is the path's `{asset}`, the last segment of the path, or the query's `asset`; without any of these it is
    /// the page. The page uses the query: its own path may end in a slash or not, and no relative path would work from
    /// both.
    ///
    /// Clients must revalidate a cached file, so that a page and its assets are of one release. `policy` is the
    /// `Content-Security-Policy`.
    ///
    /// # Errors
    /// 404 when there is no such file; 400 for a malformed `If-None-Match`.
    pub fn serve(&self, request: &Request, policy: &'static str) -> Result<Response, Problem> {
        let file = self.requested(request).ok_or(Problem::NoSuchFile)?;
        let known = request.if_none_match()?;
        Ok(unless_known(file.response(policy, accepts_gzip(request)), known.as_ref()))
    }

    fn requested(&self, request: &Request) -> Option<&File> {
        let page = || self.0.iter().find(|file| file.name.is_empty());
        let asset = |name: &str| self.0.iter().find(|file| !name.is_empty() && file.name == name);
        if let Some(name) = request.asset_in_path() {
            return asset(name);
        }
        asset(request.last_segment()).or_else(|| request.asset_in_query().map_or_else(page, |name| asset(&name)))
    }
}

impl File {
    fn response(&self, policy: &'static str, accepts_gzip: bool) -> Response {
        let mut response = match self.gzip.filter(|_| accepts_gzip) {
            Some(gzip) => {
                // Another representation needs another tag (RFC 9110, section 8.8.3.3).
                let tag = EntityTag::strong(format!("{}-gzip", self.hash));
                let mut response = with_etag(with_default_headers(StatusCode::OK, Body::Binary(gzip.to_vec())), tag);
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
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
        let mut set = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, self.media_type);
        set(CACHE_CONTROL, "no-cache");
        set(CONTENT_SECURITY_POLICY, policy);
        set(REFERRER_POLICY, "no-referrer");
        if self.gzip.is_some() {
            set(VARY, "Accept-Encoding");
        }
        response
    }
}

/// Whether `Accept-Encoding` (RFC 9110, section 12.5.3) has `gzip` or `*` with a weight above 0.
fn accepts_gzip(request: &Request) -> bool {
    let accepts = |coding: &str| {
        request.header("accept-encoding").unwrap_or_default().split(',').find_map(|element| {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            name.trim().eq_ignore_ascii_case(coding).then(|| {
                let weight = parameters.trim().strip_prefix("q=").or(parameters.trim().strip_prefix("Q="));
                weight.is_none_or(is_above_0)
            })
        })
    };
    accepts("gzip").or(accepts("x-gzip")).or(accepts("*")).unwrap_or(false)
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

    const FILES: Files = Files(&[
        File {
            name: "",
            media_type: "text/html; charset=utf-8",
            hash: "11",
            content: b"page",
            gzip: Some(b"\x1f\x8b"),
        },
        File { name: "a.png", media_type: "image/png", hash: "22", content: b"\xff", gzip: None },
    ]);

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
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (accepted, coding) in [
            ("gzip, deflate, br", "gzip"),
            ("br;q=1.0, GZIP;q=0.001", "gzip"),
            ("*", "gzip"),
            ("", ""),
            ("br", ""),
            ("gzip;q=0, *", ""),
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
            assert_eq!(header(&response, "etag"), if coding.is_empty() { "\"11\"" } else { "\"11-gzip\"" });
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
}
