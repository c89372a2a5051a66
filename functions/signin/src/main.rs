//! `POST /users/signin`: begin a session, and get a token.

use api::{Keeping, Problem, Request, Response, SecurityEvent, TokenIssuer, optional, required, session};
use domain::{Email, PasswordAttempt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with a token and a refresh token; 401 when the address or the password is wrong, with the same answer after the same
/// time; 429 after too many failures, whether the password is right or not.
async fn handle(state: &TokenIssuer, request: &Request) -> Result<Response, Problem> {
    let (email, password, in_cookie) = request.json((
        required::<Email>("email"),
        required::<PasswordAttempt>("password"),
        optional::<bool>("cookie"),
    ))?; // 400, 413, 415, 422
    let user_agent = request.user_agent();
    let open = state.db.sign_in(&email, password, request.client_address(), user_agent.as_ref()).await?; // 401, 429, 503
    request.record_event(SecurityEvent::SignedIn);
    let keeping = if in_cookie == Some(true) { Keeping::Cookie } else { Keeping::Body };
    session(&state.signer, request, &open, keeping)
}
