//! `POST /users/{user_id}/tasks`: create a task.

use api::{Authenticated, Problem, Request, Response, TaskFields, created, ok, required, with_etag};
use db::Created;
use domain::{NewTask, TaskValues, Title};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 201 with the task; 200 when the `Idempotency-Key` has created it before; 409 when the account is full; 422 when the key
/// has created another.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    let key = request.idempotency_key()?; // 400
    let (title, changes) = request.json((required::<Title>("title"), TaskFields))?; // 400, 413, 415, 422
    let new = NewTask::new(caller.user(), key, TaskValues::new(title, changes));
    let result = state.db.create_task(caller, &new, state.task_limit).await?; // 401, 409, 422, 503
    Ok(match result {
        Created::Found(task) if key.is_some() => with_etag(ok(&task), task.version),
        // Without a key, an earlier attempt of this very request has created it.
        Created::New(task) | Created::Found(task) => {
            with_etag(created(&request.relative(&format!("tasks/{}", task.id)), &task), task.version)
        }
    })
}
