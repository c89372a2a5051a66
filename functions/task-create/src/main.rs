//! `POST /users/{user_id}/tasks`: make a task.

use api::{App, Problem, Request, Response, created, nullable, ok, required, tagged};
use db::Created;
use domain::{Description, NewTask, Title};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 201 with the task; 200 when the `Idempotency-Key` has made it before; 422 when it has made another.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = app.caller(request)?; // 401, 400, 403
    let key = request.idempotency_key()?; // 400
    let (title, description) = request.json((required::<Title>("title"), nullable::<Description>("description")))?; // 400, 413, 415, 422
    let new = NewTask::new(caller.user, key, title, description.flatten());
    let created_or_found = app.db.create_task(caller, &new).await?; // 401, 422, 503
    Ok(match created_or_found {
        Created::Found(task) if key.is_some() => tagged(ok(&task), task.version()),
        // Found without a key, it was made by an earlier attempt of this very request.
        Created::New(task) | Created::Found(task) => {
            tagged(created(&format!("/users/{}/tasks/{}", caller.user, task.id), &task), task.version())
        }
    })
}
