//! `PUT /users/{user_id}`: change the caller's address or password, given the current password.
//! `PATCH /users/{user_id}`: the same.

use api::{AccountChanges, Authenticated, Problem, Request, Response, SecurityEvent, ok, required};
use domain::{PasswordAttempt, UserChanges};
use mail::Mailing;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the account; 401 when the current password is wrong; 409 when the new address has an account; 429 after too
/// many failures in this session.
///
/// A new password ends every other session of the account. The old address is told of a new one.
async fn handle(state: &Mailing<Authenticated>, request: &Request) -> Result<Response, Problem> {
    let caller = state.inner.caller(request)?; // 401, 400, 403
    let (current, (email, password)) =
        request.json((required::<PasswordAttempt>("current_password"), AccountChanges))?; // 400, 413, 415, 422
    let event = match (&email, &password) {
        (None, None) => return Err(Problem::unprocessable_body("must change the email or the password")), // 422
        (Some(_), None) => SecurityEvent::EmailChanged,
        (None, Some(_)) => SecurityEvent::PasswordChanged,
        (Some(_), Some(_)) => SecurityEvent::EmailAndPasswordChanged,
    };
    let reauthenticated = state.inner.db.reauthenticate(caller, current).await?; // 401, 429, 503
    let old_email = reauthenticated.email().clone();
    let password_hash = match password.map(|chosen| chosen.for_account(&old_email)).transpose() {
        Ok(None) => None,
        Ok(Some(password)) => Some(auth::hash_password(password).await),
        Err(rule) => return Err(Problem::invalid_field("password", rule)), // 422
    };
    let user = state.inner.db.update_user(reauthenticated, &UserChanges { email, password_hash }).await?; // 401, 409, 503
    request.record_event(event);
    state.tell_old_address(&old_email, &user.email).await;
    Ok(ok(&user))
}
