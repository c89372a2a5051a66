//! The Lambda service: the `Invoke` API for clients, and the runtime API for functions.
//!
//! The emulator, `cargo lambda watch` (1.9.2), starts the functions and queues their events. Responses bypass it: it
//! acknowledges a response before it has read it to the end, and loses some of those that are longer than a few KiB. So
//! a function sends its response to this service, which keeps it and sends the emulator the request id instead. When the
//! emulator returns this id to the caller, the caller gets the response for it here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{
        Response, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    },
    response::IntoResponse,
    routing::post,
};
use chrono::Utc;
use uuid::Uuid;

/// The emulator's path prefix of the runtime API of a function, as in its `AWS_LAMBDA_RUNTIME_API`.
const RUNTIME_API: &str = "/.rt";

/// The functions of one emulator.
#[derive(Debug)]
pub struct Lambda {
    /// Its URL, such as `http://127.0.0.1:9004`.
    emulator: String,
    http: reqwest::Client,
    /// Responses that no caller has taken yet, by request id.
    responses: Mutex<HashMap<String, Bytes>>,
}

impl Lambda {
    /// For the emulator on this port of 127.0.0.1.
    pub fn new(port: u16) -> Self {
        Self { emulator: format!("http://127.0.0.1:{port}"), http: reqwest::Client::new(), responses: Mutex::default() }
    }

    /// Invokes a function, in a trace of its own and without a timeout: it may have to be compiled first.
    ///
    /// # Errors
    /// There is no such function, it failed, or the emulator is gone.
    pub async fn invoke(&self, function: &str, event: Bytes) -> Result<Bytes> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.emulator);
        let id = self.http.post(url).header("x-amzn-trace-id", new_trace()).body(event).send().await?.text().await?;
        match self.responses().remove(&id) {
            Some(response) => Ok(response),
            // Then it is an error message.
            None => bail!("{function} did not respond: {id}"),
        }
    }

    /// The service for functions and callers.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/2015-03-31/functions/{function}/invocations", post(invoke))
            .route(&format!("{RUNTIME_API}/{{function}}/2018-06-01/runtime/invocation/{{id}}/response"), post(respond))
            .fallback(forward)
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }

    fn responses(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        self.responses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forwards a request to the emulator.
    async fn forward(&self, request: Request) -> Result<Response<Body>> {
        let (mut parts, body) = request.into_parts();
        for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let request = self.http.request(parts.method, format!("{}{}", self.emulator, parts.uri)).headers(parts.headers);
        let reply = request.body(body).send().await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = reply.status();
        response.headers_mut().extend(reply.headers().clone());
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        *response.body_mut() = Body::from(reply.bytes().await?);
        Ok(response)
    }
}

/// X-Ray's header, which Lambda makes for each invocation: the time, and 96 random bits.
fn new_trace() -> String {
    let random = Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{};Sampled=0", Utc::now().timestamp(), &random[..24])
}

/// Arguments for `cargo lambda watch` that make the functions use the runtime API on this port instead of the emulator's.
/// It starts them with `cargo run`, so they set cargo's `runner`.
pub fn runner(port: u16) -> [String; 2] {
    let script = format!(
        r#"export AWS_LAMBDA_RUNTIME_API="http://127.0.0.1:{port}{RUNTIME_API}/$AWS_LAMBDA_FUNCTION_NAME" && exec "$0" "$@""#
    );
    ["--config".to_owned(), format!("target.'cfg(all())'.runner = ['sh', '-c', '{script}']")]
}

async fn invoke(State(lambda): State<Arc<Lambda>>, Path(function): Path<String>, event: Bytes) -> Response<Body> {
    into_response(lambda.invoke(&function, event).await.context("the invocation failed"))
}

async fn respond(
    State(lambda): State<Arc<Lambda>>,
    Path((_, id)): Path<(String, String)>,
    mut request: Request,
) -> Response<Body> {
    let forwarded = async {
        let response = axum::body::to_bytes(std::mem::take(request.body_mut()), usize::MAX).await?;
        *request.body_mut() = Body::from(id.clone());
        lambda.responses().insert(id.clone(), response);
        lambda.forward(request).await
    }
    .await;
    if !forwarded.as_ref().is_ok_and(|reply| reply.status().is_success()) {
        // The caller is gone.
        lambda.responses().remove(&id);
    }
    into_response(forwarded)
}

async fn forward(State(lambda): State<Arc<Lambda>>, request: Request) -> Response<Body> {
    into_response(lambda.forward(request).await)
}

fn into_response(result: Result<impl IntoResponse>) -> Response<Body> {
    match result {
        Ok(response) => response.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}
