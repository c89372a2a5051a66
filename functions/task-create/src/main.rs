//! `POST /users/{user_id}/tasks`: create a task.

use api::{Authenticated, Problem, Request, Response, created, nullable, ok, required, with_etag};
use db::Created;
use domain::{Description, NewTask, Title};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 201 with the task; 200 when the `Idempotency-Key` has created it before; 422 when it has created another.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    let key = request.idempotency_key()?; // 400
    let (title, description) = request.json((required::<Title>("title"), nullable::<Description>("description")))?; // 400, 413, 415, 422
    let new = NewTask::new(caller.user(), key, title, description.flatten());
    let result = state.db.create_task(caller, &new).await?; // 401, 422, 503
    Ok(match result {
        Created::Found(task) if key.is_some() => with_etag(ok(&task), task.version()),
        // Without a key, an earlier attempt of this very request has created it.
        Created::New(task) | Created::Found(task) => {
            with_etag(created(&request.relative(&format!("tasks/{}", task.id)), &task), task.version())
        }
    })
}
