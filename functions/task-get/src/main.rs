//! `GET /users/{user_id}/tasks/{task_id}`: one of the caller's tasks.

use api::{Authenticated, Problem, Request, Response, ok, unless_known, with_etag};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the task, or 304 when the client has this version; 403 when the caller has no such task.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = state.caller_and_task(request)?; // 401, 400, 403
    let known = request.if_none_match()?; // 400
    let task = state.db.task(caller, task).await?; // 401, 403, 503
    Ok(unless_known(with_etag(ok(&task), task.version), known.as_ref()))
}
