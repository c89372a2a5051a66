//! `PUT /users/password-reset`: set a new password with the token of a mail.

use api::{Problem, Public, Request, Response, SecurityEvent, no_content, required};
use domain::{ChosenPassword, ResetToken};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 204; 401 when the token is wrong, used or old. Every session of the account ends.
async fn handle(state: &Public, request: &Request) -> Result<Response, Problem> {
    let (token, password) = request.json((required::<ResetToken>("token"), required::<ChosenPassword>("password")))?; // 400, 413, 415, 422
    let reset = state.db.find_password_reset(&token).await?; // 401, 503
    request.record_user(reset.user());
    let password = password.for_account(reset.email()).map_err(|rule| Problem::invalid_field("password", rule))?; // 422
    let hash = auth::hash_password(password).await;
    state.db.reset_password(reset, &hash).await?; // 401, 503
    request.record_event(SecurityEvent::PasswordReset);
    Ok(no_content())
}
