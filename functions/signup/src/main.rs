//! `POST /users/signup`: make an account.

use api::{Open, Problem, Request, Response, SecurityEvent, created, required};
use domain::{Email, Password, UserId};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 201 with the account; 409 when the address has one.
async fn handle(app: &Open, request: &Request) -> Result<Response, Problem> {
    let (email, password) = request.json((required::<Email>("email"), required::<Password>("password")))?; // 400, 413, 415, 422
    let hash = auth::hash(password).await;
    let user = app.db.create_user(UserId::random(), &email, &hash).await?; // 409, 503
    request.note_user(user.id);
    request.note_event(SecurityEvent::AccountCreated);
    let account = json!({ "id": user.id, "email": user.email, "created_at": user.created_at });
    Ok(created(request, &user.id.to_string(), &account))
}
