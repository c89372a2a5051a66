//! `GET /users/{user_id}`: the caller's account.

use api::{App, Problem, Request, Response, ok};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the account.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = app.caller(request)?; // 401, 400, 403
    let user = app.db.user(caller).await?; // 401, 503
    Ok(ok(&user))
}
