//! `DELETE /users/{user_id}`: delete the caller's account with all its tasks and sessions.

use api::{Authenticated, Problem, Request, Response, SecurityEvent, no_content, without_cookie};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 204.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    state.db.delete_user(caller).await?; // 401, 503
    request.record_event(SecurityEvent::AccountDeleted);
    Ok(without_cookie(no_content(), request))
}
