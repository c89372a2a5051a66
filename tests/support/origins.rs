//! Hosts beside the API's.

use std::{fs, net::Ipv4Addr};

use axum::{Router, http::header, response::Html, routing::get};
use tokio::net::TcpListener;

use crate::workspace::root;

/// Serves a router on a port of its own; its origin.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// The page's client.
pub const CLIENT: &str = "functions/web/assets/api.js";

/// The client of the first release, which others have copied.
pub const FIRST_CLIENT: &str = "tests/first_release/api.js";

/// Serves an empty page with a copy of the page's client beside it, `/api.js`; its origin.
pub async fn serve_empty_page() -> String {
    serve_empty_page_with(CLIENT).await
}

/// As [`serve_empty_page`], with a client of this path in the checkout.
pub async fn serve_empty_page_with(client: &str) -> String {
    let client = fs::read_to_string(root().join(client)).expect("the client");
    let script = [(header::CONTENT_TYPE, "text/javascript")];
    let page = Html("<!doctype html><title>Empty</title>");
    serve(Router::new().route("/", get(page)).route("/api.js", get((script, client)))).await
}
