//! `DELETE /users/{user_id}/tasks/{task_id}`: delete one of the caller's tasks.

use api::{Authenticated, Problem, Request, Response, no_content};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 204; 403 when the caller has no such task; 412 when its version is not in `If-Match`.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = state.caller_and_task(request)?; // 401, 400, 403
    let precondition = request.if_match()?; // 400
    state.db.delete_task(caller, task, &precondition).await?; // 401, 403, 412, 503
    Ok(no_content())
}
