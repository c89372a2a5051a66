//! `POST /users/token`: get a token for a refresh token.

use api::{Problem, Request, Response, TokenIssuer, optional, session};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with a token and the next refresh token, which is where the last one was: in the body or in the cookie. 401 when the
/// session has ended. The refresh token before the last one gives the last one again, for a minute.
async fn handle(state: &TokenIssuer, request: &Request) -> Result<Response, Problem> {
    let in_body = request.json(optional("refresh_token"))?; // 400, 413, 415, 422
    let (refresh_token, keeping) = request.refresh_token(in_body)?; // 401
    let open =
        state.db.refresh_session(&refresh_token, request.client_address(), request.user_agent().as_ref()).await?; // 401, 503
    session(&state.signer, request, &open, keeping)
}
