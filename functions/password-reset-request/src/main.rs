//! `POST /users/password-reset`: ask for a mail with a link to choose a new password.

use std::time::Duration;

use api::{Problem, Public, Request, Response, SecurityEvent, accepted, required};
use db::ResetRequest;
use domain::{Email, ResetToken};
use mail::{Mail, Mailing};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

/// How long the answer takes at least: it must not tell whether the address has an account, nor whether a mail was sent.
const LEAST_TIME: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 202 after the same time, whether there is an account or not; 501 when no sender of mail is set up.
async fn handle(state: &Mailing<Public>, request: &Request) -> Result<Response, Problem> {
    let started = Instant::now();
    let mailer = state.mailer()?; // 501
    let email = request.json(required::<Email>("email"))?; // 400, 413, 415, 422
    let token = ResetToken::random();
    let outcome = state.inner.db.create_password_reset(&email, &token, request.client_address()).await?; // 503
    if let Some(user) = outcome.user() {
        request.record_user(user);
    }
    request.record_event(match outcome {
        ResetRequest::Throttled(_) => SecurityEvent::PasswordResetThrottled,
        ResetRequest::Granted(_) | ResetRequest::UnknownAddress => SecurityEvent::PasswordResetRequested,
    });
    // After a slow answer of the database, too, there is as much time for a mail.
    let end = (started + LEAST_TIME).max(Instant::now() + mail::TIMEOUT);
    let send = async {
        if let ResetRequest::Granted(_) = outcome {
            mailer.send(&email, &Mail::PasswordReset(token)).await;
        }
    };
    tokio::join!(send, sleep_until(end));
    Ok(accepted(&json!({})))
}
