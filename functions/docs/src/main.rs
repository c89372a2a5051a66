//! `GET /docs`: the contract, to read and to try.
//! `GET /docs/{asset}`: what that page is made of.
//! `GET /openapi.json`: the contract, for programs.

use api::{Problem, Request, Response, Static};
use docs_files::FILES;

/// Swagger UI draws some of its icons from `data:` URLs in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the file, or 304 when the client has it; 404 when there is none.
async fn handle(_: &Static, request: &Request) -> Result<Response, Problem> {
    FILES.serve(request, POLICY) // 400, 404
}
