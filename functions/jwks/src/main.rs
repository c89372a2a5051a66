//! `GET /.well-known/jwks.json`: the public keys that verify the API's tokens.

use std::time::Duration;

use api::{Keys, Problem, Request, Response, ok, with_max_age};

/// Shorter than the time between accepting a new key and signing tokens with it.
const MAX_AGE: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with a JSON Web Key Set.
async fn handle(state: &Keys, _: &Request) -> Result<Response, Problem> {
    Ok(with_max_age(ok(&state.public.to_jwks()?), MAX_AGE))
}
