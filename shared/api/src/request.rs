use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::OnceLock,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use db::ClientAddress;
use domain::{Precondition, UserId};

use crate::{Fields, Problem, SecurityEvent, Tags, event::Event, fields::Object};

/// The largest body: 64 KiB.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A request as the gateway passed it on.
pub struct Request {
    /// The gateway's name for it.
    pub(crate) id: String,
    /// Method and path, the path's ids replaced by their names.
    pub(crate) route: String,
    path: String,
    path_parameters: HashMap<String, String>,
    query: String,
    /// By lower-case name.
    headers: HashMap<String, String>,
    /// `None` when it was said to be base64 and is not.
    body: Option<Vec<u8>>,
    client: String,
    user: OnceLock<UserId>,
    security_event: OnceLock<SecurityEvent>,
}

impl Request {
    /// Takes an event apart. `fallback_id` names the request where the gateway did not.
    pub(crate) fn new(event: Event, fallback_id: &str) -> Self {
        let route = route(&event);
        let body = event.body.unwrap_or_default();
        Self {
            id: event.request_context.request_id.unwrap_or_else(|| fallback_id.to_owned()),
            route,
            path: event.raw_path,
            path_parameters: event.path_parameters,
            query: event.raw_query_string,
            headers: event.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
            body: if event.is_base64_encoded { BASE64_STANDARD.decode(body).ok() } else { Some(body.into_bytes()) },
            client: network(&event.request_context.http.source_ip.unwrap_or_default()),
            user: OnceLock::new(),
            security_event: OnceLock::new(),
        }
    }

    /// The name of a file in the path: its parameter `asset`, which may have a slash in it that was encoded, or, without
    /// one, what stands behind the last slash.
    pub(crate) fn file_name(&self) -> &str {
        let last = || self.path.rsplit('/').next().unwrap_or_default();
        self.path_parameters.get("asset").map_or_else(last, String::as_str)
    }

    /// A header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The network address the gateway saw, of IPv6 the /64, which no header can change.
    pub fn client(&self) -> ClientAddress {
        ClientAddress(self.client.clone())
    }

    /// The `Idempotency-Key`, if there is one: 1 to 255 visible ASCII characters.
    ///
    /// # Errors
    /// 400 when it is anything else.
    pub fn idempotency_key(&self) -> Result<Option<&str>, Problem> {
        match self.header("idempotency-key") {
            Some(key) if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(Problem::BadHeader("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
            }
            key => Ok(key),
        }
    }

    /// The states that `If-Match` asks for; any will do without it.
    ///
    /// # Errors
    /// 400 when it is neither `*` nor a list of entity tags.
    pub fn if_match(&self) -> Result<Precondition, Problem> {
        Ok(self.tags("If-Match")?.map_or(Precondition::Any, |tags| tags.precondition()))
    }

    /// What the client has already, by `If-None-Match`.
    ///
    /// # Errors
    /// 400 when it is neither `*` nor a list of entity tags.
    pub fn if_none_match(&self) -> Result<Option<Tags>, Problem> {
        self.tags("If-None-Match")
    }

    fn tags(&self, name: &'static str) -> Result<Option<Tags>, Problem> {
        let value = self.header(&name.to_ascii_lowercase());
        value.map(|text| Tags::parse(text).ok_or(Problem::bad_tags(name))).transpose()
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, section 2.1), if there is one.
    pub(crate) fn bearer_token(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// An id in the path.
    pub(crate) fn path_id<T>(&self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Problem> {
        self.path_parameters.get(name).and_then(|text| parse(text)).ok_or(Problem::BadPath(name))
    }

    /// The parameters of the query string, in the order of their names.
    ///
    /// # Errors
    /// 400 when there is one of another name, one given twice, or a U+0000.
    pub fn query<const N: usize>(&self, names: [&'static str; N]) -> Result<[Option<String>; N], Problem> {
        let mut values = [const { None }; N];
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            let Some(index) = names.iter().position(|known| *known == name) else {
                return Err(Problem::UnknownParameter(name.into_owned()));
            };
            if value.contains('\0') {
                return Err(Problem::BadParameter(names[index], "must not contain the character U+0000"));
            }
            if values[index].replace(value.into_owned()).is_some() {
                return Err(Problem::BadParameter(names[index], "must not be given twice"));
            }
        }
        Ok(values)
    }

    /// The fields of the body, a JSON object.
    ///
    /// # Errors
    /// 415, 413, 400 and 422, as the contract's section on bodies has them.
    pub fn json<F: Fields>(&self, fields: F) -> Result<F::Values, Problem> {
        let media_type = self.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Problem::UnsupportedMediaType);
        }
        let body = self.body.as_ref().ok_or_else(|| Problem::BadBody("The body is not valid base64.".to_owned()))?;
        if body.len() > MAX_BODY_BYTES {
            return Err(Problem::BodyTooLarge);
        }
        Object::parse(body)?.read(fields)
    }

    /// Remembers whose request it is, for its log line.
    pub fn note_user(&self, user: UserId) {
        self.user.get_or_init(|| user);
    }

    /// Whose request it is, as far as that has been found out.
    pub(crate) fn user(&self) -> Option<UserId> {
        self.user.get().copied()
    }

    /// Remembers what the request did, for its log line: problems are events without this, successes are not.
    pub fn note_event(&self, event: SecurityEvent) {
        self.security_event.get_or_init(|| event);
    }

    pub(crate) fn security_event(&self) -> Option<SecurityEvent> {
        self.security_event.get().copied()
    }
}

/// Method and path, the ids in it by their names: the gateway's own name for the route, or, under the local emulator,
/// which has none, the path with the ids replaced.
fn route(event: &Event) -> String {
    if !["", "$default"].contains(&event.route_key.as_str()) {
        return event.route_key.clone();
    }
    let path = event.path_parameters.iter().fold(event.raw_path.clone(), |path, (name, value)| {
        if value.is_empty() { path } else { path.replace(value, &format!("{{{name}}}")) }
    });
    format!("{} {path}", event.request_context.http.method)
}

/// The network a client is counted under: of IPv6 the /64, within which a client has addresses at will.
fn network(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn request(event: serde_json::Value) -> Request {
        Request::new(serde_json::from_value(event).unwrap(), "fallback")
    }

    fn bearer(value: &str) -> Option<String> {
        let request = request(serde_json::json!({"headers": {"Authorization": value}}));
        request.bearer_token().map(str::to_owned)
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer("bEaReR  abc "), Some("abc".to_owned()));
        for value in ["", "abc", "Bearer", "Bearer ", "Basic abc", "Bearerabc"] {
            assert_eq!(bearer(value), None, "{value:?}");
        }
    }

    #[test]
    fn the_route_names_ids_instead_of_showing_them() {
        let request = request(serde_json::json!({
            "rawPath": "/users/u-1/tasks/t-1",
            "pathParameters": {"user_id": "u-1", "task_id": "t-1"},
            "requestContext": {"http": {"method": "GET"}},
        }));
        assert_eq!(request.route, "GET /users/{user_id}/tasks/{task_id}");
    }

    #[test]
    fn the_gateways_name_for_a_route_holds_nothing_that_a_client_wrote() {
        let request = request(serde_json::json!({
            "routeKey": "GET /users/{user_id}",
            "rawPath": "/users/ada@example.com",
            "pathParameters": {"user_id": "ada@example.com?x"},
        }));
        assert_eq!(request.route, "GET /users/{user_id}");
    }

    #[test]
    fn a_client_is_counted_by_its_address_and_of_ipv6_by_its_network() {
        let client = |ip: &str| request(serde_json::json!({"requestContext": {"http": {"sourceIp": ip}}})).client().0;
        assert_eq!(client("192.0.2.1"), "192.0.2.1");
        assert_eq!(client("2001:db8:0:1:a:b:c:d"), "2001:db8:0:1::/64");
        assert_eq!(client("2001:DB8:0:1::"), client("2001:db8::1:0:0:0:1"));
        assert_ne!(client("2001:db8:0:1::"), client("2001:db8:0:2::"));
        assert_eq!(client(""), "");
    }

    #[test]
    fn an_event_with_nothing_in_it_is_a_request() {
        assert_eq!(request(serde_json::json!({})).id, "fallback");
        let nulls = serde_json::json!({"pathParameters": null, "headers": null, "rawQueryString": null, "body": null});
        assert_eq!(request(nulls).id, "fallback");
    }

    #[test]
    fn query_parameters_are_decoded_and_known() {
        let query = |text: &str| request(serde_json::json!({"rawQueryString": text})).query(["a", "b"]);
        assert_eq!(query("b=1%202+3").unwrap(), [None, Some("1 2 3".to_owned())]);
        assert!(matches!(query("c=1"), Err(Problem::UnknownParameter(name)) if name == "c"));
        assert!(matches!(query("a=1&a=2"), Err(Problem::BadParameter("a", _))));
        assert!(matches!(query("a=%00"), Err(Problem::BadParameter("a", _))));
    }
}
