//! `GET /users/{user_id}/tasks`: the caller's tasks, newest first, page by page.

use api::{Authenticated, Problem, Request, Response, decode_cursor, encode_cursor, ok, with_next_link};
use domain::{PageRequest, PageSize, whole_number};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with an array of tasks, with a `Link` to the next page if there is one; 400 for an invalid parameter.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    let page_request = page_request(request)?; // 400
    let page = state.db.list_tasks(caller, page_request).await?; // 401, 503
    let response = ok(&page.tasks);
    Ok(match page.next {
        Some(next) => with_next_link(response, &next_query(&page_request, &encode_cursor(next))),
        None => response,
    })
}

/// `?completed=true|false`, `?limit=1..100`, `?cursor=…`.
fn page_request(request: &Request) -> Result<PageRequest, Problem> {
    let [completed, limit, cursor] = request.query(["completed", "limit", "cursor"])?;
    let completed = completed.map(|text| text.parse().map_err(|_| "must be true or false"));
    let size = limit.map(|text| whole_number(&text).and_then(PageSize::new).ok_or("must be a number from 1 to 100"));
    let after = cursor.map(|text| decode_cursor(&text).ok_or("must come from the Link of an earlier page"));
    Ok(PageRequest {
        completed: completed.transpose().map_err(|error| Problem::BadParameter("completed", error))?,
        size: size.transpose().map_err(|error| Problem::BadParameter("limit", error))?.unwrap_or_default(),
        after: after.transpose().map_err(|error| Problem::BadParameter("cursor", error))?,
    })
}

/// The query of the next page.
fn next_query(page: &PageRequest, cursor: &str) -> String {
    let completed = page.completed.map(|completed| format!("completed={completed}&")).unwrap_or_default();
    format!("{completed}limit={}&cursor={cursor}", page.size.get())
}
