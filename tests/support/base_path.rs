//! The API behind a base path: a reverse proxy that strips it, as API mappings and most proxies do.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Response, StatusCode, header},
};

use crate::{
    api::Api,
    origins::{serve, serve_https},
};

/// A host that has APIs at base paths, and nothing else.
#[derive(Debug)]
pub struct Host {
    origin: String,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// With their base paths.
    apis: Vec<(String, Api)>,
    /// Requested paths that are not the APIs'.
    outside: Mutex<Vec<String>>,
    requests: Mutex<Vec<Received>>,
}

/// A request that the host has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Method and path.
    pub route: String,
    /// The `Cookie` header; empty if there was none.
    pub cookie: String,
}

impl Host {
    /// With the shared API at `/v1` and at `/v2`.
    pub async fn start() -> Self {
        let inner = Inner::new(&[("/v1", &Api::shared()), ("/v2", &Api::shared())]);
        Self { origin: serve(inner.router()).await, inner }
    }

    /// Over TLS, with these APIs at their base paths.
    pub async fn start_https(apis: &[(&str, &Api)]) -> Self {
        let inner = Inner::new(apis);
        Self { origin: serve_https(inner.router()).await, inner }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Received> {
        self.inner.requests.lock().expect("the requests").clone()
    }

    /// Checks that no client was led out of the base path.
    #[track_caller]
    pub fn assert_nothing_outside(&self) {
        let outside = self.inner.outside.lock().expect("the paths");
        assert!(outside.is_empty(), "{outside:?}");
    }
}

impl Inner {
    fn new(apis: &[(&str, &Api)]) -> Arc<Self> {
        let apis = apis.iter().map(|(base, api)| ((*base).to_owned(), (*api).clone())).collect();
        Arc::new(Self { apis, outside: Mutex::default(), requests: Mutex::default() })
    }

    fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(forward).with_state(Arc::clone(self))
    }
}

/// Forwards what is below a base path, without it.
async fn forward(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let cookie = parts.headers.get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let route = format!("{} {}", parts.method, parts.uri.path());
    inner.requests.lock().expect("the requests").push(Received { route, cookie });
    let found = inner.apis.iter().find_map(|(base, api)| Some((api, parts.uri.path().strip_prefix(base.as_str())?)));
    let Some((api, path)) = found.filter(|(_, rest)| rest.is_empty() || rest.starts_with('/')) else {
        inner.outside.lock().expect("the paths").push(parts.uri.to_string());
        return Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).expect("a response");
    };
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Without a trailing slash: some proxies remove it, and the emulator has no route with one.
    let target = format!("/{}{query}", path.trim_matches('/'));
    let mut forwarded = api.request(parts.method, &target);
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != header::HOST) {
        forwarded = forwarded.header(name, value);
    }
    let answer = forwarded.body(to_bytes(body, usize::MAX).await.expect("a body")).send().await.expect("an answer");
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != header::TRANSFER_ENCODING && name != header::CONTENT_LENGTH {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.expect("a body"))).expect("a response")
}
