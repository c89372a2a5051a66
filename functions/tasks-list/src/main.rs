//! `GET /users/{user_id}/tasks`: the caller's tasks, newest first, page by page.

use api::{App, Problem, Request, Response, ok, read_cursor, with_next, write_cursor};
use domain::{PageRequest, PageSize, UserId, whole_number};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with an array of tasks, and a `Link` to the next page if there is one; 400 for a bad parameter.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = app.caller(request)?; // 401, 400, 403
    let page_request = page_request(request)?; // 400
    let page = app.db.list_tasks(caller, page_request).await?; // 401, 503
    let response = ok(&page.tasks);
    Ok(match page.next {
        Some(next) => with_next(response, &link(caller.user, &page_request, &write_cursor(next))),
        None => response,
    })
}

/// `?completed=true|false`, `?limit=1..100`, `?cursor=…`.
fn page_request(request: &Request) -> Result<PageRequest, Problem> {
    let [completed, limit, cursor] = request.query(["completed", "limit", "cursor"])?;
    let completed = completed.map(|text| text.parse().map_err(|_| "must be true or false"));
    let size = limit.map(|text| whole_number(&text).and_then(PageSize::new).ok_or("must be a number from 1 to 100"));
    let after = cursor.map(|text| read_cursor(&text).ok_or("must come from the Link of an earlier page"));
    Ok(PageRequest {
        completed: completed.transpose().map_err(|fault| Problem::BadParameter("completed", fault))?,
        size: size.transpose().map_err(|fault| Problem::BadParameter("limit", fault))?.unwrap_or_default(),
        after: after.transpose().map_err(|fault| Problem::BadParameter("cursor", fault))?,
    })
}

/// The same list from the cursor on.
fn link(user: UserId, page: &PageRequest, cursor: &str) -> String {
    let completed = page.completed.map(|completed| format!("completed={completed}&")).unwrap_or_default();
    format!("/users/{user}/tasks?{completed}limit={}&cursor={cursor}", page.size.get())
}
