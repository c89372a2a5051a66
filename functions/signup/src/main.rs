//! `POST /users/signup`: create an account.

use api::{NewAccount, Problem, Public, Request, Response, SecurityEvent, created};
use domain::UserId;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 201 with the account; 409 when the address has one already.
async fn handle(state: &Public, request: &Request) -> Result<Response, Problem> {
    let (email, password) = request.json(NewAccount)?; // 400, 413, 415, 422
    let hash = auth::hash_password(password).await;
    let user = state.db.create_user(UserId::random(), &email, &hash).await?; // 409, 503
    request.record_user(user.id);
    request.record_event(SecurityEvent::AccountCreated);
    let account = json!({ "id": user.id, "email": user.email, "created_at": user.created_at });
    Ok(created(&request.relative(&user.id.to_string()), &account))
}
