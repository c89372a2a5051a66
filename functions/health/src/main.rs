//! `GET /health`: whether the API and its database are there.
//! `HEAD /health`: the same, without a body.

use api::{Open, Problem, Request, Response, ok};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 when the database answered; 503 when it did not.
async fn handle(app: &Open, _: &Request) -> Result<Response, Problem> {
    app.db.ping().await?; // 503
    Ok(ok(&json!({ "status": "ok" })))
}
