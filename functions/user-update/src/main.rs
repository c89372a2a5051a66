//! `PUT /users/{user_id}`: change the caller's address or password, against the current password.

use api::{App, Problem, Request, Response, SecurityEvent, ok, optional, required};
use domain::{Email, Password, PasswordAttempt, UserChanges};

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the account; 401 when the current password is wrong; 409 when the new address has an account.
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

    let hash = app.db.password_hash(caller).await?; // 401, 503
    if !auth::verify(current, Some(hash)).await {
        return Err(Problem::WrongCurrentPassword); // 401
    }
    let (event, password_hash) = match password {
        Some(password) => (SecurityEvent::PasswordChanged, Some(auth::hash(password).await)),
        None => (SecurityEvent::EmailChanged, None),
    };
    let user = app.db.update_user(caller, &UserChanges { email, password_hash }).await?; // 401, 409, 503
    request.note_event(event);
    Ok(ok(&user))
}
