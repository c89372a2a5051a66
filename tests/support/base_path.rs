//! The API behind a base path: a reverse proxy that takes it off, as API mappings and most proxies do.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Response, StatusCode, header},
};
use tokio::net::TcpListener;

use crate::api::Api;

/// A host that has the shared API at `/v1`, and at `/v2` as well, and nothing else.
#[derive(Debug)]
pub struct Host {
    origin: String,
    strayed: Strayed,
}

/// The paths outside of the API's that somebody has asked for.
type Strayed = Arc<Mutex<Vec<String>>>;

impl Host {
    /// On a port of its own.
    pub async fn start() -> Self {
        let strayed = Strayed::default();
        let router = Router::new().fallback(forward).with_state(Arc::clone(&strayed));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { origin, strayed }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Nobody has been sent to the rest of the host.
    #[track_caller]
    pub fn assert_nobody_strayed(&self) {
        let strayed = self.strayed.lock().expect("the paths");
        assert!(strayed.is_empty(), "{strayed:?}");
    }
}

/// Passes on what is below a base path, without it.
async fn forward(State(strayed): State<Strayed>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let rest = ["/v1", "/v2"].iter().find_map(|base| parts.uri.path().strip_prefix(base));
    let Some(path) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        strayed.lock().expect("the paths").push(parts.uri.to_string());
        return Response::builder().status(StatusCode::NOT_FOUND).body(Body::empty()).expect("a response");
    };
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Without a slash at the end either: some proxies take it off, and the emulator has no route with one.
    let target = format!("/{}{query}", path.trim_matches('/'));
    let mut passed = Api::shared().request(parts.method, &target);
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != header::HOST) {
        passed = passed.header(name, value);
    }
    let answer = passed.body(to_bytes(body, usize::MAX).await.expect("a body")).send().await.expect("an answer");
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != header::TRANSFER_ENCODING && name != header::CONTENT_LENGTH {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.expect("a body"))).expect("a response")
}
