//! Pages of other origins than the API's, and the gateway that lets them in.

use std::{fs, net::Ipv4Addr, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Response, header},
    response::Html,
    routing::get,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tower_http::cors::CorsLayer;

use crate::{api::Api, template::Template, workspace::root};

/// An empty page with a copy of the page's client beside it, `/api.js`, on a port of its own. Its origin.
pub async fn elsewhere() -> String {
    let client = fs::read_to_string(root().join("functions/web/assets/api.js")).expect("the client");
    let script = [(header::CONTENT_TYPE, "text/javascript")];
    let page = Html("<!doctype html><title>Elsewhere</title>");
    serve(Router::new().route("/", get(page)).route("/api.js", get((script, client)))).await
}

/// The shared API behind API Gateway's part in CORS, with the settings of `template.yaml`, for pages of one origin.
///
/// `cargo lambda watch` cannot show whether they suffice: it lets every page in, and read none of the headers.
pub async fn gateway(origin: &str) -> String {
    let template = Template::read();
    let settings = &template.properties("Api")["CorsConfiguration"];
    let cors = CorsLayer::new()
        .allow_origin(origin.parse::<HeaderValue>().expect("an origin"))
        .allow_methods(list(&settings["AllowMethods"]))
        .allow_headers(list::<HeaderName>(&settings["AllowHeaders"]))
        .expose_headers(list::<HeaderName>(&settings["ExposeHeaders"]))
        .max_age(Duration::from_secs(settings["MaxAge"].as_u64().expect("seconds")));
    serve(Router::new().fallback(forward).layer(cors)).await
}

fn list<T: std::str::FromStr>(names: &Value) -> Vec<T> {
    let names = names.as_array().expect("a list").iter().filter_map(Value::as_str);
    names.map(|name| name.parse().ok().expect("a name")).collect()
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// Passes a request on to the API, and its answer back, without what the API says of CORS itself: as the gateway does.
async fn forward(request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut passed = Api::shared().request(parts.method, &parts.uri.to_string());
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != header::HOST) {
        passed = passed.header(name, value);
    }
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let answer = passed.body(body).send().await.expect("an answer");
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        let is_cors = name.as_str().starts_with("access-control-");
        if !is_cors && name != header::TRANSFER_ENCODING && name != header::CONTENT_LENGTH {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.expect("a body"))).expect("a response")
}
