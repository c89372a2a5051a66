//! `GET /users/{user_id}`: the caller's account.

use api::{Authenticated, Problem, Request, Response, ok};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the account.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    let user = state.db.user(caller).await?; // 401, 503
    Ok(ok(&user))
}
