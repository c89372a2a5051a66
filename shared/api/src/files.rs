//! Files that are part of a function's binary, and how they are served: whole, compressed, or not at all because the
//! client has them.

use lambda_http::{
    Body,
    http::{
        HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY,
        },
    },
};

use crate::{EntityTag, Problem, Request, Response, response::bare, tagged, unless_known};

/// A file, as `tools/files` puts it into a function.
#[derive(Debug)]
pub struct File {
    /// What it is asked for by; empty for the page.
    pub name: &'static str,
    /// Its `Content-Type`.
    pub media_type: &'static str,
    /// A hash of the content, in hexadecimal digits.
    pub hash: &'static str,
    /// What is in it.
    pub content: &'static [u8],
    /// The same through gzip, unless that would be no shorter.
    pub gzip: Option<&'static [u8]>,
}

/// The files of a function.
///
/// A function that serves files has a library target with nothing in it but
/// `include!(concat!(env!("OUT_DIR"), "/files.rs"));`, and a build script that calls `files::embed`. Its handler:
///
/// ```ignore
/// async fn handle(_: &Static, request: &Request) -> Result<Response, Problem> {
///     FILES.serve(request, "default-src 'self'") // 304, 400, 404
/// }
/// ```
#[derive(Debug)]
pub struct Files(pub &'static [File]);

impl Files {
    /// 200 with the file that is asked for, or 304 when the client has it.
    ///
    /// The route names it in its `{asset}`, or by its last segment; else the query does, as `asset`, and without that it
    /// is the page. A page may be asked for with a slash at the end of its path, or with none, and no path leads to its
    /// files from both: only a reference that is a query alone.
    ///
    /// Clients may keep it, and have to ask whether it has changed before they use it again: a page and what it loads
    /// are always of one release. `policy` is the `Content-Security-Policy`.
    ///
    /// # Errors
    /// 404 when there is no such file; 400 for an `If-None-Match` that cannot be read.
    pub fn serve(&self, request: &Request, policy: &'static str) -> Result<Response, Problem> {
        let file = self.asked_for(request).ok_or(Problem::NoSuchFile)?;
        let known = request.if_none_match()?;
        Ok(unless_known(file.response(policy, accepts_gzip(request)), known.as_ref()))
    }

    fn asked_for(&self, request: &Request) -> Option<&File> {
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
                // Another representation, so another tag (RFC 9110, section 8.8.3.3).
                let tag = EntityTag::strong(format!("{}-gzip", self.hash));
                let mut response = tagged(bare(StatusCode::OK, Body::Binary(gzip.to_vec())), tag);
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            None => {
                let body = match str::from_utf8(self.content) {
                    Ok(text) => Body::Text(text.to_owned()),
                    Err(_) => Body::Binary(self.content.to_vec()),
                };
                tagged(bare(StatusCode::OK, body), EntityTag::strong(self.hash))
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

/// Whether `Accept-Encoding` (RFC 9110, section 12.5.3) names gzip, or everything, and not with a weight of 0.
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

/// Whether a weight (RFC 9110, section 12.4.2: 0 to 1, with up to three digits behind the point) is above 0. What is no
/// weight is not.
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
        FILES.serve(&request, "default-src 'self'").unwrap_or_else(|problem| problem.respond(&request))
    }

    fn serve(path: &str, headers: serde_json::Value) -> Response {
        answer(json!({"rawPath": path, "headers": headers}))
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn the_route_or_the_query_names_the_file_whatever_stands_before() {
        // As at the root, at a stage's address, behind a base path that is left in the path, and one that is not.
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
    fn a_slash_that_was_encoded_is_a_part_of_the_name() {
        let status = |asset: &str| {
            let event = json!({"rawPath": format!("/web/{asset}"), "pathParameters": {"asset": asset}});
            let request = request(event);
            FILES.serve(&request, "").unwrap_or_else(|problem| problem.respond(&request)).status()
        };
        assert_eq!([status("a.png"), status("../a.png"), status("x/a.png")], [200, 404, 404]);
    }

    #[test]
    fn who_takes_gzip_gets_gzip() {
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
