//! `GET /health`: whether the API and its database are available.
//! `HEAD /health`: the same, without a body.

use api::{Problem, Public, Request, Response, ok};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 when the database answered; 503 when it did not.
async fn handle(state: &Public, _: &Request) -> Result<Response, Problem> {
    state.db.ping().await?; // 503
    Ok(ok(&json!({ "status": "ok" })))
}
