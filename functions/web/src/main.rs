//! `GET /`: the page to use the API in a browser.
//! `GET /web/{asset}`: what the page loads.

use api::{Problem, Request, Response, Static};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Loads and connects to its own origin only, without inline scripts or styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[tokio::main]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the file; 304 when the client has it; 404 when there is none of this name.
async fn handle(_: &Static, request: &Request) -> Result<Response, Problem> {
    FILES.serve(request, POLICY) // 304, 400, 404
}
