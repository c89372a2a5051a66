//! `GET /docs`: the API's documentation, to read and to try.
//! `GET /docs/{asset}`: what that page loads.
//! `GET /openapi.json`: the OpenAPI document.

use api::{Problem, Request, Response, Static};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Swagger UI's style sheet has icons in `data:` URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the file; 304 when the client has it; 404 when there is none of this name.
async fn handle(_: &Static, request: &Request) -> Result<Response, Problem> {
    FILES.serve(request, POLICY) // 304, 400, 404
}
