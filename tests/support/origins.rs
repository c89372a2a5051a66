//! Hosts beside the API's.

use std::{
    fs,
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{Router, http::header, response::Html, routing::get, serve::Listener};
use native_tls::Identity;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_native_tls::{TlsAcceptor, TlsStream};

use crate::{database::ca_file, workspace::root};

/// Serves a router on a port of its own; its origin.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// The same over TLS, with the certificate of the stack's servers.
pub async fn serve_https(router: Router) -> String {
    serve_tls(router, &["http/1.1"]).await
}

/// The same over HTTP/2, as API Gateway does.
pub async fn serve_http2(router: Router) -> String {
    serve_tls(router, &["h2"]).await
}

async fn serve_tls(router: Router, protocols: &[&str]) -> String {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = tcp.local_addr().expect("an address");
    let acceptor = tls_acceptor(protocols);
    let (sender, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((client, peer)) = tcp.accept().await {
            // A browser opens connections in advance, so no handshake may wait for another.
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move { acceptor.accept(client).await.map(|client| sender.send((client, peer))) });
        }
    });
    tokio::spawn(async move { axum::serve(TlsListener { accepted, address }, router).await });
    format!("https://{address}")
}

/// Accepts with the certificate of the stack's servers, and one of these protocols.
pub(crate) fn tls_acceptor(protocols: &[&str]) -> TlsAcceptor {
    let ca = ca_file();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| fs::read(ca.with_file_name(name)));
    let identity = Identity::from_pkcs8(&certificate.expect("a certificate"), &key.expect("a key"));
    let mut builder = native_tls::TlsAcceptor::builder(identity.expect("an identity"));
    builder.accept_alpn(protocols).build().expect("TLS").into()
}

struct TlsListener {
    accepted: mpsc::UnboundedReceiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(client) => client,
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
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
