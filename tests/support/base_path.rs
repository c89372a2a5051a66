//! The API behind a base path: a reverse proxy that strips it, as API mappings and most proxies do.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Response, StatusCode, header},
};

use crate::{api::Api, origins::serve};

/// A host that has the shared API at `/v1` and at `/v2`, and nothing else.
#[derive(Debug)]
pub struct Host {
    origin: String,
    outside: Paths,
}

/// Requested paths that are not the API's.
type Paths = Arc<Mutex<Vec<String>>>;

impl Host {
    pub async fn start() -> Self {
        let outside = Paths::default();
        let origin = serve(Router::new().fallback(forward).with_state(Arc::clone(&outside))).await;
        Self { origin, outside }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Checks that no client was led out of the base path.
    #[track_caller]
    pub fn assert_nothing_outside(&self) {
        let outside = self.outside.lock().expect("the paths");
        assert!(outside.is_empty(), "{outside:?}");
    }
}

/// Forwards what is below a base path, without it.
async fn forward(State(outside): State<Paths>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let rest = ["/v1", "/v2"].iter().find_map(|base| parts.uri.path().strip_prefix(base));
    let Some(path) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        outside.lock().expect("the paths").push(parts.uri.to_string());
        return Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).expect("a response");
    };
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Without a trailing slash: some proxies remove it, and the emulator has no route with one.
    let target = format!("/{}{query}", path.trim_matches('/'));
    let mut forwarded = Api::shared().request(parts.method, &target);
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
