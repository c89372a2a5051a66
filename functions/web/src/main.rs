//! `GET /`: the page to use the API in a browser.
//! `GET /web/{asset}`: what the page loads.
//! `GET /web/releases/{version}/{asset}`: the same, to be kept for a year.

use api::{Problem, Request, Response, Static};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    api::serve(handle).await
}

/// 200 with the file; 304 when the client has it; 404 when there is none of this name.
async fn handle(_: &Static, request: &Request) -> Result<Response, Problem> {
    FILES.serve(request, &policy()) // 304, 400, 404
}

/// Loads and connects to its own origin only, without inline styles and with no inline script but its own.
fn policy() -> String {
    format!(
        "default-src 'none'; script-src 'self'{}; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        FILES.inline_scripts
    )
}
