//! `GET /users/{user_id}/sessions`: where the caller is signed in.

use api::{Authenticated, Problem, Request, Response, ok};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the sessions, the last used first.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    Ok(ok(&state.db.sessions(caller).await?)) // 401, 503
}
