//! `GET /users/{user_id}/tasks/{task_id}`: one of the caller's tasks.

use api::{App, Problem, Request, Response, ok};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the task; 403 when the caller has no such task.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = app.caller_of_task(request)?; // 401, 400, 403
    let task = app.db.task(caller, task).await?; // 401, 403, 503
    Ok(ok(&task))
}
