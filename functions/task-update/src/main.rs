//! `PUT /users/{user_id}/tasks/{task_id}`: change one of the caller's tasks.

use api::{Authenticated, Problem, Request, Response, nullable, ok, optional, with_etag};
use domain::{Description, TaskChanges, Title};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the task: a field left out keeps its value, a null description clears it. 403 when the caller has no such
/// task; 412 when its version is not in `If-Match`; 422 when there is nothing to change.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let (caller, task) = state.caller_and_task(request)?; // 401, 400, 403
    let precondition = request.if_match()?; // 400
    let (title, description, completed) = request.json((
        optional::<Title>("title"),
        nullable::<Description>("description"),
        optional::<bool>("completed"),
    ))?; // 400, 413, 415, 422
    if title.is_none() && description.is_none() && completed.is_none() {
        return Err(Problem::unprocessable_body("must have at least one field")); // 422
    }
    let changes = TaskChanges { title, description, completed };
    let task = state.db.update_task(caller, task, &precondition, &changes).await?; // 401, 403, 412, 503
    Ok(with_etag(ok(&task), task.version()))
}
