//! `POST /users/signin`: get a token.

use api::{Issuer, Problem, Request, Response, SecurityEvent, ok, required};
use domain::{Caller, Email, PasswordAttempt};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with a token; 401 when the address or the password is wrong, in the same time and words for both; 429 after
/// too many failures, right password or not.
async fn handle(app: &Issuer, request: &Request) -> Result<Response, Problem> {
    let (email, password) = request.json((required::<Email>("email"), required::<PasswordAttempt>("password")))?; // 400, 413, 415, 422
    let state = app.db.signin_state(&email, &request.client()).await?; // 503
    if let Some(wait) = state.blocked_for {
        return Err(Problem::TooManyAttempts(wait)); // 429
    }

    if let Some(account) = &state.account {
        request.note_user(account.id);
    }
    let hash = state.account.as_ref().map(|account| account.password_hash.clone());
    let matches = auth::verify(password, hash).await;
    let Some(account) = state.account.as_ref().filter(|_| matches) else {
        app.db.count_signin_failure(&state).await?; // 503
        return Err(Problem::WrongCredentials); // 401
    };
    app.db.forget_signin_failures(&state).await?; // 503

    request.note_event(SecurityEvent::SignedIn);
    let token = app.signer.issue(Caller { user: account.id, token_version: account.token_version })?;
    Ok(ok(&json!({
        "token": token.value,
        "token_type": "Bearer",
        "expires_in": token.lifetime.as_secs(),
        "user_id": account.id,
    })))
}
