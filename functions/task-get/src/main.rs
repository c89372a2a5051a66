//! `GET /users/{user_id}/tasks/{task_id}`: one of the caller's tasks.

use api::{App, Problem, Request, Response, ok, tagged, unless_known};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the task, or 304 when the client has it in this state; 403 when the caller has no such task.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = app.caller_of_task(request)?; // 401, 400, 403
    let known = request.if_none_match()?; // 400
    let task = app.db.task(caller, task).await?; // 401, 403, 503
    Ok(unless_known(tagged(ok(&task), task.version()), known.as_ref()))
}
