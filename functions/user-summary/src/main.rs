//! `GET /users/{user_id}/summary`: how many tasks the caller has, by status and by tag.

use api::{Authenticated, Problem, Request, Response, ok};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the numbers.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    let summary = state.db.summary(caller).await?; // 401, 503
    Ok(ok(&summary))
}
