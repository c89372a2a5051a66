//! The HTTP API: routing, CORS and the gateway's own error responses.

use std::{collections::HashMap, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use serde_json::{Value, json};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use uuid::Uuid;

use crate::{
    event::{self, REQUEST_ID},
    lambda::Lambda,
    template::{Route, Template},
};

/// API Gateway's limit, in bytes.
const MAX_BODY: usize = 10 * 1024 * 1024;

struct Api {
    routes: HashMap<Method, matchit::Router<Target>>,
    lambda: Arc<Lambda>,
}

/// A route and its function's name.
struct Target {
    route: Route,
    function: String,
}

/// The HTTP API of a template, for pages of these origins; `*` allows all.
///
/// # Errors
/// A route, the `CorsConfiguration` or an origin is invalid.
pub fn router(template: &Template, origins: &[String], lambda: Arc<Lambda>) -> Result<Router> {
    let mut routes: HashMap<Method, matchit::Router<Target>> = HashMap::new();
    for function in template.functions() {
        for route in &function.routes {
            let target = Target { route: route.clone(), function: function.name.clone() };
            routes.entry(route.method.parse()?).or_default().insert(&route.path, target)?;
        }
    }
    let cors = cors(&template.properties("Api")["CorsConfiguration"], origins).context("CorsConfiguration")?;
    Ok(Router::new().fallback(handle).layer(cors).with_state(Arc::new(Api { routes, lambda })))
}

/// From the template, except for the origins, which are a parameter of it.
fn cors(settings: &Value, origins: &[String]) -> Result<CorsLayer> {
    let listed = || origins.iter().map(|origin| origin.trim()).filter(|origin| !["", "*"].contains(origin));
    let any = listed().next().is_none() || origins.iter().any(|origin| origin.trim() == "*");
    let allowed = if any { Any.into() } else { AllowOrigin::list(parse_all::<HeaderValue>(listed())?) };
    let names = |name: &str| settings[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(parse_all::<Method>(names("AllowMethods"))?)
        .allow_headers(parse_all::<HeaderName>(names("AllowHeaders"))?)
        .expose_headers(parse_all::<HeaderName>(names("ExposeHeaders"))?)
        .max_age(Duration::from_secs(settings["MaxAge"].as_u64().context("MaxAge")?)))
}

fn parse_all<'a, T: FromStr>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<T>> {
    texts.map(|text| text.parse().map_err(|_| anyhow!("{text:?} is invalid"))).collect()
}

async fn handle(
    State(api): State<Arc<Api>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let id = Uuid::new_v4().to_string();
    let mut response = match api.route(request, client, &id).await {
        Ok(response) => response,
        Err(status) => problem(status, &id),
    };
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

impl Api {
    async fn route(&self, request: Request, client: SocketAddr, id: &str) -> Result<Response<Body>, StatusCode> {
        let (parts, body) = request.into_parts();
        // API Gateway answers 404, not 405, to another method.
        let found = self.routes.get(&parts.method).and_then(|routes| routes.at(parts.uri.path()).ok());
        let found = found.filter(|found| found.params.iter().all(|(_, value)| !value.is_empty()));
        let Target { route, function } = found.ok_or(StatusCode::NOT_FOUND)?.value;
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        let event = event::from_request(route, &parts, &body, client.ip().to_canonical(), id);
        let result = self.lambda.invoke(function, Bytes::from(event.to_string())).await;
        result.and_then(|response| event::to_response(&response)).map_err(|error| {
            eprintln!("{} {}: {error:#}", route.method, route.path);
            StatusCode::INTERNAL_SERVER_ERROR
        })
    }
}

/// The gateway's own error response. In the cloud it is `{"message": "Not Found"}` and the like; here it has the form of
/// the functions' problems.
fn problem(status: StatusCode, id: &str) -> Response<Body> {
    let detail = match status {
        StatusCode::NOT_FOUND => "There is no such route.",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is longer than 10 MiB.",
        _ => "The function failed: see its log.",
    };
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({
        "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail, "request_id": id,
    });
    (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
