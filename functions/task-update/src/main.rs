//! `PUT /users/{user_id}/tasks/{task_id}`: change one of the caller's tasks.
//! `PATCH /users/{user_id}/tasks/{task_id}`: the same.

use api::{Authenticated, Problem, Request, Response, TaskFields, ok, optional, with_etag};
use domain::{TaskChanges, Title};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the task: a field left out keeps its value, null clears it. 403 when the caller has no such task; 412 when its
/// version is not in `If-Match`; 422 when there is nothing to change.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = state.caller_and_task(request)?; // 401, 400, 403
    let precondition = request.if_match()?; // 400
    let (title, changes) = request.json((optional::<Title>("title"), TaskFields))?; // 400, 413, 415, 422
    let changes = TaskChanges { title, ..changes };
    if changes == TaskChanges::default() {
        return Err(Problem::unprocessable_body("must have at least one field")); // 422
    }
    let task = state.db.update_task(caller, task, &precondition, &changes).await?; // 401, 403, 412, 503
    Ok(with_etag(ok(&task), task.version))
}
