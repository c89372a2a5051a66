//! `POST /users/signin`: get a token.

use api::{Problem, Request, Response, SecurityEvent, TokenIssuer, ok, required};
use domain::{Email, PasswordAttempt};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with a token; 401 when the address or the password is wrong, with the same answer after the same time; 429 after
/// too many failures, whether the password is right or not.
async fn handle(state: &TokenIssuer, request: &Request) -> Result<Response, Problem> {
    let (email, password) = request.json((required::<Email>("email"), required::<PasswordAttempt>("password")))?; // 400, 413, 415, 422
    let account = state.db.sign_in(&email, password, request.client_address()).await?; // 401, 429, 503
    request.record_user(account.user());
    request.record_event(SecurityEvent::SignedIn);
    let token = state.signer.issue(account.user(), account.token_version())?;
    Ok(ok(&json!({
        "token": token.value,
        "token_type": "Bearer",
        "expires_in": token.lifetime.as_secs(),
        "user_id": account.user(),
    })))
}
