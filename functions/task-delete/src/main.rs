//! `DELETE /users/{user_id}/tasks/{task_id}`: remove one of the caller's tasks.

use api::{App, Problem, Request, Response, no_content};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 204; 403 when the caller has no such task; 412 when it is in another state than `If-Match` asks for.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = app.caller_of_task(request)?; // 401, 400, 403
    let precondition = request.if_match()?; // 400
    app.db.delete_task(caller, task, &precondition).await?; // 401, 403, 412, 503
    Ok(no_content())
}
