use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The members that are used of an API Gateway HTTP API's event, payload format 2.0.
///
/// Any JSON is accepted: a member that is missing, null or of another type counts as not sent. So every request gets an
/// answer, however unusual its headers or path.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) route_key: String,
    pub(crate) raw_path: String,
    pub(crate) raw_query_string: String,
    pub(crate) headers: HashMap<String, String>,
    /// Not among the headers, as the gateway sends them.
    pub(crate) cookies: Vec<String>,
    pub(crate) path_parameters: HashMap<String, String>,
    pub(crate) body: Option<String>,
    pub(crate) is_base64_encoded: bool,
    pub(crate) request_id: Option<String>,
    pub(crate) method: String,
    pub(crate) source_ip: String,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl From<Value> for Event {
    fn from(mut event: Value) -> Self {
        let mut context = take(&mut event, "requestContext");
        let mut http = take(&mut context, "http");
        Self {
            route_key: text(&mut event, "routeKey").unwrap_or_default(),
            raw_path: text(&mut event, "rawPath").unwrap_or_default(),
            raw_query_string: text(&mut event, "rawQueryString").unwrap_or_default(),
            headers: texts(&mut event, "headers"),
            cookies: match take(&mut event, "cookies") {
                Value::Array(cookies) => cookies.into_iter().filter_map(into_text).collect(),
                _ => Vec::new(),
            },
            path_parameters: texts(&mut event, "pathParameters"),
            body: text(&mut event, "body"),
            is_base64_encoded: take(&mut event, "isBase64Encoded") == true,
            request_id: text(&mut context, "requestId"),
            method: text(&mut http, "method").unwrap_or_default(),
            source_ip: text(&mut http, "sourceIp").unwrap_or_default(),
        }
    }
}

/// A member's value; null when there is none, or when `object` is not an object.
fn take(object: &mut Value, name: &str) -> Value {
    object.get_mut(name).map(Value::take).unwrap_or_default()
}

fn text(object: &mut Value, name: &str) -> Option<String> {
    into_text(take(object, name))
}

fn into_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The strings in a member that is an object.
fn texts(object: &mut Value, name: &str) -> HashMap<String, String> {
    let Value::Object(members) = take(object, name) else { return HashMap::new() };
    members.into_iter().filter_map(|(name, value)| Some((name, into_text(value)?))).collect()
}
