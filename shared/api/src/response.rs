use std::time::Duration;

use lambda_http::{
    Body,
    http::{
        self, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LINK, LOCATION,
            STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        },
    },
};
use serde::Serialize;

pub type Response = http::Response<Body>;

/// 200 with a body.
pub fn ok(body: &impl Serialize) -> Response {
    with_json(StatusCode::OK, body)
}

/// 201 with a body and a `Location`, usually from [`crate::Request::relative`].
///
/// Clients resolve it against the URL they have sent the request to (RFC 9110, section 10.2.2), so a relative one is valid
/// behind any stage, base path and proxy.
pub fn created(location: &str, body: &impl Serialize) -> Response {
    let mut response = with_json(StatusCode::CREATED, body);
    // Made of ids and constants, so always a valid header value.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Adds a `Link` to the next page (RFC 8288).
///
/// The reference is a query only, which keeps the path of the request's URL.
pub fn with_next_link(mut response: Response, query: &str) -> Response {
    if let Ok(link) = HeaderValue::from_str(&format!("<?{query}>; rel=\"next\"")) {
        response.headers_mut().insert(LINK, link);
    }
    response
}

/// Allows public caching (`Cache-Control: public, max-age`).
pub fn with_max_age(mut response: Response, max_age: Duration) -> Response {
    if let Ok(directive) = HeaderValue::from_str(&format!("public, max-age={}", max_age.as_secs())) {
        response.headers_mut().insert(CACHE_CONTROL, directive);
    }
    response
}

/// 202 with a body.
pub fn accepted(body: &impl Serialize) -> Response {
    with_json(StatusCode::ACCEPTED, body)
}

/// 204.
pub fn no_content() -> Response {
    with_default_headers(StatusCode::NO_CONTENT, Body::Empty)
}

pub(crate) fn with_json(status: StatusCode, body: &impl Serialize) -> Response {
    // Only fails for maps with keys other than strings, which no body has.
    let body = serde_json::to_string(body).unwrap_or_default();
    let mut response = with_default_headers(status, Body::Text(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response with the headers that all responses have.
pub(crate) fn with_default_headers(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let mut set = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    set(CACHE_CONTROL, "no-store");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Two years (RFC 6797).
    set(STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains");
    // Nothing but a page is rendered as one.
    set(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    response
}
