//! `PUT /users/{user_id}`: change the caller's address or password, against the current password.

use api::{App, Problem, Request, Response, SecurityEvent, ok, optional, required};
use domain::{Email, Password, PasswordAttempt, UserChanges};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the account; 401 when the current password is wrong; 409 when the new address has an account; 429 after too
/// many failures, as at signing in.
///
/// A new password ends every token of the account, the caller's own too.
async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = app.caller(request)?; // 401, 400, 403
    let (current, email, password) = request.json((
        required::<PasswordAttempt>("current_password"),
        optional::<Email>("email"),
        optional::<Password>("password"),
    ))?; // 400, 413, 415, 422
    if email.is_none() && password.is_none() {
        return Err(Problem::unprocessable_body("must change the email or the password")); // 422
    }

    let state = app.db.reauthentication_state(caller, &request.client()).await?; // 401, 503
    if let Some(wait) = state.blocked_for {
        return Err(Problem::TooManyAttempts(wait)); // 429
    }
    let hash = state.account.as_ref().map(|account| account.password_hash.clone());
    if !auth::verify(current, hash).await {
        app.db.count_signin_failure(&state).await?; // 503
        return Err(Problem::WrongCurrentPassword); // 401
    }
    app.db.forget_signin_failures(&state).await?; // 503

    let event = match (&email, &password) {
        (Some(_), Some(_)) => SecurityEvent::EmailAndPasswordChanged,
        (None, Some(_)) => SecurityEvent::PasswordChanged,
        _ => SecurityEvent::EmailChanged,
    };
    let password_hash = match password {
        Some(password) => Some(auth::hash(password).await),
        None => None,
    };
    let user = app.db.update_user(caller, &UserChanges { email, password_hash }).await?; // 401, 409, 503
    request.note_event(event);
    Ok(ok(&user))
}
