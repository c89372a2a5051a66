//! `GET /users/{user_id}/tasks`: the caller's tasks, filtered, sorted, and page by page.

use api::{
    Authenticated, EntityTag, Problem, Request, Response, TaskQuery, ok, unless_known, with_etag, with_next_link,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with an array of tasks, with a `Link` to the next page if there is one, or 304 when the client has this page; 400 for
/// an invalid parameter.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let caller = state.caller(request)?; // 401, 400, 403
    let query = TaskQuery::parse(request)?; // 400
    let known = request.if_none_match()?; // 400
    let page = state.db.list_tasks(caller, &query.page).await?; // 401, 503
    let mut response = ok(&page.tasks);
    if let Some(next) = page.next {
        response = with_next_link(response, &query.next(next));
    }
    let tag = EntityTag::of(&response);
    Ok(unless_known(with_etag(response, tag), known.as_ref()))
}
