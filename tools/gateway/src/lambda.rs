//! The Lambda service: functions are invoked here by name, and ask here for what they are invoked with.
//!
//! `cargo lambda watch` (1.9.2) starts the functions and queues what they are invoked with. Their answers take a way
//! around it: it acknowledges one before it has read all of it, and then loses some of those that are longer than a few
//! KiB. So a function gives its answer to this service, which keeps it and passes on a receipt; who has invoked the
//! function gets the receipt from the emulator, and the answer for it here.

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

/// The path below which the emulator has the runtime API of each function, as in its `AWS_LAMBDA_RUNTIME_API`.
const RUNTIME: &str = "/.rt";

/// The functions under one emulator.
#[derive(Debug)]
pub struct Lambda {
    /// Where the emulator is: `http://127.0.0.1:9004`.
    emulator: String,
    http: reqwest::Client,
    /// Answers that nobody has fetched yet, by their receipts.
    answers: Mutex<HashMap<String, Bytes>>,
}

impl Lambda {
    /// The functions under the emulator on this port of 127.0.0.1.
    pub fn on(port: u16) -> Self {
        Self { emulator: format!("http://127.0.0.1:{port}"), http: reqwest::Client::new(), answers: Mutex::default() }
    }

    /// Hands a function an event, and waits for its answer for as long as it takes: it may have to be compiled first.
    ///
    /// # Errors
    /// There is no such function, it has failed, or the emulator is gone.
    pub async fn invoke(&self, function: &str, event: Bytes) -> Result<Bytes> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.emulator);
        let receipt = self.http.post(url).body(event).send().await?.text().await?;
        match self.answers().remove(&receipt) {
            Some(answer) => Ok(answer),
            None => bail!("{function} gave no answer: {receipt}"),
        }
    }

    /// The service as functions and those who invoke them see it.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/2015-03-31/functions/{function}/invocations", post(invoke))
            .route(&format!("{RUNTIME}/{{function}}/2018-06-01/runtime/invocation/{{id}}/response"), post(keep))
            .fallback(pass_on)
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to the emulator, and its answer back.
    async fn pass_on(&self, request: Request) -> Result<Response<Body>> {
        let (mut parts, body) = request.into_parts();
        for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let passed = self.http.request(parts.method, format!("{}{}", self.emulator, parts.uri)).headers(parts.headers);
        let answer = passed.body(body).send().await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        response.headers_mut().extend(answer.headers().clone());
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        *response.body_mut() = Body::from(answer.bytes().await?);
        Ok(response)
    }
}

/// Arguments for `cargo lambda watch`, by which the functions find the runtime API on this port, not the emulator's: it
/// starts them with `cargo run`, and this is what cargo runs them by.
pub fn runner(port: u16) -> [String; 2] {
    let script = format!(
        r#"export AWS_LAMBDA_RUNTIME_API="http://127.0.0.1:{port}{RUNTIME}/$AWS_LAMBDA_FUNCTION_NAME" && exec "$0" "$@""#
    );
    ["--config".to_owned(), format!("target.'cfg(all())'.runner = ['sh', '-c', '{script}']")]
}

async fn invoke(State(lambda): State<Arc<Lambda>>, Path(function): Path<String>, event: Bytes) -> Response<Body> {
    answer(lambda.invoke(&function, event).await.context("the invocation failed"))
}

async fn keep(
    State(lambda): State<Arc<Lambda>>,
    Path((_, receipt)): Path<(String, String)>,
    mut request: Request,
) -> Response<Body> {
    let passed = async {
        let whole = axum::body::to_bytes(std::mem::take(request.body_mut()), usize::MAX).await?;
        *request.body_mut() = Body::from(receipt.clone());
        lambda.answers().insert(receipt.clone(), whole);
        lambda.pass_on(request).await
    }
    .await;
    if !passed.as_ref().is_ok_and(|response| response.status().is_success()) {
        // Whoever has invoked the function is gone.
        lambda.answers().remove(&receipt);
    }
    answer(passed)
}

async fn pass_on(State(lambda): State<Arc<Lambda>>, request: Request) -> Response<Body> {
    answer(lambda.pass_on(request).await)
}

fn answer(outcome: Result<impl IntoResponse>) -> Response<Body> {
    match outcome {
        Ok(response) => response.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}
