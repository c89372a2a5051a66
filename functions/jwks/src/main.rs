//! `GET /.well-known/jwks.json`: the public keys, for whoever verifies the API's tokens.

use std::time::Duration;

use api::{Keys, Problem, Request, Response, cached_for, ok};

/// How long the keys may be kept: less than a new key is accepted before tokens are signed with it.
const KEPT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with a JSON Web Key Set.
async fn handle(app: &Keys, _: &Request) -> Result<Response, Problem> {
    Ok(cached_for(ok(&app.public.to_jwks()?), KEPT))
}
