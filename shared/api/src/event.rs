use std::collections::HashMap;

use serde::{Deserialize, Deserializer};

/// The event the gateway sends for a request: payload format 2.0 of an API Gateway HTTP API.
///
/// Only what the API looks at, and all of it optional: whatever a client manages to send, a strange header or path,
/// becomes an event that is read, and is then answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Event {
    #[serde(deserialize_with = "or_null")]
    pub(crate) route_key: String,
    #[serde(deserialize_with = "or_null")]
    pub(crate) raw_path: String,
    #[serde(deserialize_with = "or_null")]
    pub(crate) raw_query_string: String,
    #[serde(deserialize_with = "or_null")]
    pub(crate) headers: HashMap<String, String>,
    #[serde(deserialize_with = "or_null")]
    pub(crate) path_parameters: HashMap<String, String>,
    pub(crate) body: Option<String>,
    #[serde(deserialize_with = "or_null")]
    pub(crate) is_base64_encoded: bool,
    #[serde(deserialize_with = "or_null")]
    pub(crate) request_context: Context,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Context {
    pub(crate) request_id: Option<String>,
    #[serde(deserialize_with = "or_null")]
    pub(crate) http: Http,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Http {
    #[serde(deserialize_with = "or_null")]
    pub(crate) method: String,
    pub(crate) source_ip: Option<String>,
}

/// What is absent in one gateway is null in another.
fn or_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
