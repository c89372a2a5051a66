//! The API behind a base path: a reverse proxy that strips it, as API mappings and most proxies do.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header},
};

use crate::{
    api::Api,
    origins::{serve, serve_http2, serve_https},
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
    /// The headers that have been sent.
    headers: Mutex<HashSet<(HeaderName, HeaderValue)>>,
    deployed: Mutex<Option<Deployed>>,
}

/// The page's files as if another release of them were deployed: the same, but for the version.
#[derive(Clone, Debug)]
struct Deployed {
    version: String,
    /// The version that the functions have.
    real: String,
    /// The page and its service worker are of the other release, what they load is not, as may be during a deployment.
    is_half: bool,
}

/// A request that the host has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Method and path.
    pub route: String,
    /// Without its `?`.
    pub query: String,
    /// The `Cookie` header; empty if there was none.
    pub cookie: String,
    /// The status of the response.
    pub status: u16,
    /// How long it was over HTTP/2: the body, the headers that are new, and some bytes for the status and each header that
    /// was sent before.
    pub bytes: usize,
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

    /// The same over HTTP/2.
    pub async fn start_http2(apis: &[(&str, &Api)]) -> Self {
        let inner = Inner::new(apis);
        Self { origin: serve_http2(inner.router()).await, inner }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Received> {
        self.inner.requests.lock().expect("the requests").clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.inner.requests.lock().expect("the requests").clear();
    }

    /// Pretends that a release of the page of another version is deployed, wholly or by half: a canary that has answered
    /// the requests for the page and for its service worker, and no others.
    pub async fn deploy(&self, version: &str, is_half: bool) {
        let real = page_version(&self.inner.apis[0].1).await;
        let deployed = Deployed { version: version.to_owned(), real, is_half };
        *self.inner.deployed.lock().expect("the release") = Some(deployed);
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
        let (outside, requests, headers, deployed) = Default::default();
        Arc::new(Self { apis, outside, requests, headers, deployed })
    }

    fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(forward).with_state(Arc::clone(self))
    }
}

impl Deployed {
    /// What to ask the functions for: their version if it is the one deployed, and one they do not know if it is theirs.
    fn target(&self, target: &str) -> String {
        let theirs = if self.is_half { "of-another-release" } else { self.real.as_str() };
        target.replace(&self.real, "of-another-release").replace(&self.version, theirs)
    }

    fn body(&self, body: Vec<u8>) -> Vec<u8> {
        String::from_utf8(body)
            .map_or_else(|binary| binary.into_bytes(), |text| text.replace(&self.real, &self.version).into_bytes())
    }
}

/// The version of the page that an API serves.
pub async fn page_version(api: &Api) -> String {
    let page = api.request(Method::GET, "/").send().await.expect("an answer").text().await.expect("a page");
    let version = page.split_once("<meta name=\"version\" content=\"").and_then(|(_, rest)| rest.split_once('"'));
    version.expect("a version").0.to_owned()
}

/// What HTTP/2 adds to a response (RFC 9113, section 4.1): two frames' headers, and the status.
const FRAME: usize = 2 * 9 + 1;
/// What a header takes that was sent before, and what a new one takes beside its text (RFC 7541, section 6).
const INDEX: usize = 3;

/// Forwards what is below a base path, without it.
async fn forward(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let cookie = parts.headers.get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let route = format!("{} {}", parts.method, parts.uri.path());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let found = inner.apis.iter().find_map(|(base, api)| Some((api, parts.uri.path().strip_prefix(base.as_str())?)));
    let Some((api, path)) = found.filter(|(_, rest)| rest.is_empty() || rest.starts_with('/')) else {
        inner.outside.lock().expect("the paths").push(parts.uri.to_string());
        return Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).expect("a response");
    };
    // Without a trailing slash: some proxies remove it, and the emulator has no route with one.
    let mut target =
        format!("/{}{}", path.trim_matches('/'), parts.uri.query().map(|it| format!("?{it}")).unwrap_or_default());
    let deployed = inner.deployed.lock().expect("the release").clone();
    let mut dropped = vec![header::HOST];
    if let Some(deployed) = &deployed {
        target = deployed.target(&target);
        dropped.extend([header::ACCEPT_ENCODING, header::IF_NONE_MATCH]);
    }
    let mut forwarded = api.request(parts.method, &target);
    for (name, value) in parts.headers.iter().filter(|(name, _)| !dropped.contains(name)) {
        forwarded = forwarded.header(name, value);
    }
    let answer = forwarded.body(to_bytes(body, usize::MAX).await.expect("a body")).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let mut response = Response::builder().status(status);
    let mut dropped = vec![header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
    dropped.extend(deployed.as_ref().map(|_| header::ETAG));
    let mut bytes = FRAME;
    for (name, value) in answer.headers().iter().filter(|(name, _)| !dropped.contains(name)) {
        let is_new = inner.headers.lock().expect("the headers").insert((name.clone(), value.clone()));
        bytes += if is_new { name.as_str().len() + value.len() } else { 0 } + INDEX;
        response = response.header(name, value);
    }
    let mut body = answer.bytes().await.expect("a body").to_vec();
    if let Some(deployed) = &deployed {
        body = deployed.body(body);
    }
    bytes += body.len();
    inner.requests.lock().expect("the requests").push(Received { route, query, cookie, status, bytes });
    response.body(Body::from(body)).expect("a response")
}
