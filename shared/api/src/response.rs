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

use crate::Request;

/// What a function answers.
pub type Response = http::Response<Body>;

/// 200 with a body.
pub fn ok(body: &impl Serialize) -> Response {
    with_json(StatusCode::OK, body)
}

/// 201 with a body, and where it can be found from now on: relative to the request's path as the contract writes it.
///
/// The client resolves the `Location` against the URL it has sent the request to (RFC 9110, section 10.2.2), so it holds
/// behind any stage, base path and proxy.
pub fn created(request: &Request, location: &str, body: &impl Serialize) -> Response {
    let mut response = with_json(StatusCode::CREATED, body);
    // Ids and words of ours: always a good header value.
    if let Ok(location) = HeaderValue::from_str(&request.relative(location)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The response with a `Link` to the next page of a list (RFC 8288): the same list, with another query.
///
/// A reference that is a query alone keeps the path of the URL it is resolved against, the request's, whatever it is.
pub fn with_next(mut response: Response, query: &str) -> Response {
    if let Ok(link) = HeaderValue::from_str(&format!("<?{query}>; rel=\"next\"")) {
        response.headers_mut().insert(LINK, link);
    }
    response
}

/// The response as one that anybody may keep for a while.
pub fn cached_for(mut response: Response, time: Duration) -> Response {
    if let Ok(directive) = HeaderValue::from_str(&format!("public, max-age={}", time.as_secs())) {
        response.headers_mut().insert(CACHE_CONTROL, directive);
    }
    response
}

/// 204.
pub fn no_content() -> Response {
    bare(StatusCode::NO_CONTENT, Body::Empty)
}

/// Any status with a JSON body.
pub(crate) fn with_json(status: StatusCode, body: &impl Serialize) -> Response {
    // Serialising into memory fails only for a map with keys that are no strings; there is none.
    let body = serde_json::to_string(body).unwrap_or_default();
    let mut response = bare(status, Body::Text(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response with the headers that all have.
pub(crate) fn bare(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let mut set = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    set(CACHE_CONTROL, "no-store");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // A browser that has been here over TLS never comes back without (RFC 6797), for two years.
    set(STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains");
    // What is no page is never shown as one.
    set(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    response
}
