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
    /// The last segment of its path.
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
    /// 200 with the file that the path names, or 304 when the client has it.
    ///
    /// Clients may keep it, and have to ask whether it has changed before they use it again: a page and what it loads
    /// are always of one release. `policy` is the `Content-Security-Policy`.
    ///
    /// # Errors
    /// 404 when there is no such file; 400 for an `If-None-Match` that cannot be read.
    pub fn serve(&self, request: &Request, policy: &'static str) -> Result<Response, Problem> {
        let file = self.0.iter().find(|file| file.name == request.file_name()).ok_or(Problem::NoSuchFile)?;
        let known = request.if_none_match()?;
        Ok(unless_known(file.response(policy, accepts_gzip(request)), known.as_ref()))
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
    let weight = |coding: &str| {
        request.header("accept-encoding").unwrap_or_default().split(',').find_map(|element| {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            name.trim().eq_ignore_ascii_case(coding).then(|| {
                let weight = parameters.trim().strip_prefix("q=").or(parameters.trim().strip_prefix("Q="));
                weight.map_or(1.0, |weight| weight.trim().parse::<f32>().unwrap_or(0.0))
            })
        })
    };
    weight("gzip").or(weight("x-gzip")).or(weight("*")).is_some_and(|weight| weight > 0.0)
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

    fn serve(path: &str, headers: serde_json::Value) -> Response {
        let request = request(json!({"rawPath": path, "headers": headers}));
        FILES.serve(&request, "default-src 'self'").unwrap_or_else(|problem| problem.respond(&request))
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn the_last_segment_of_the_path_names_the_file() {
        for path in ["/", "/web/", ""] {
            assert_eq!(serve(path, json!({})).body(), &Body::Text("page".to_owned()), "{path:?}");
        }
        let image = serve("/web/a.png", json!({"accept-encoding": "gzip"}));
        assert_eq!(image.body(), &Body::Binary(b"\xff".to_vec()));
        assert_eq!([header(&image, "content-type"), header(&image, "vary")], ["image/png", ""]);
        for path in ["/web/b.png", "/a.png/b", "/web/A.png", "/web/..%2fa.png"] {
            assert_eq!(serve(path, json!({})).status(), 404, "{path:?}");
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
