//! `DELETE /users/{user_id}/tasks/{task_id}`: remove one of the caller's tasks.

use api::{App, Problem, Request, Response, no_content};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 204; 403 when the caller has no such task.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = app.caller_of_task(request)?; // 401, 400, 403
    app.db.delete_task(caller, task).await?; // 401, 403, 503
    Ok(no_content())
}
