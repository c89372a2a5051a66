//! `DELETE /users/{user_id}/sessions/{session_id}`: end one of the caller's sessions.
//! `DELETE /users/{user_id}/sessions`: end all of them.

use api::{Authenticated, Problem, Request, Response, SecurityEvent, no_content, without_cookie};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 204; 403 when the caller has no such session. If the request's own session ends, the cookie goes with it.
async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
    let (caller, session) = state.caller_and_session(request)?; // 401, 400, 403
    match session {
        Some(id) => state.db.end_session(caller, id).await?, // 401, 403, 503
        None => state.db.end_all_sessions(caller).await?,    // 401, 503
    }
    request.record_event(if session.is_some() { SecurityEvent::SignedOut } else { SecurityEvent::AllSessionsEnded });
    let is_own = session.is_none() || session == caller.session();
    Ok(if is_own { without_cookie(no_content(), request) } else { no_content() })
}
