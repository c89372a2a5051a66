use std::{borrow::Cow, collections::HashMap, sync::OnceLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use db::ClientAddress;
use domain::{Precondition, UserAgent, UserId};

use crate::{EntityTags, Fields, Problem, SecurityEvent, event::Event, fields::parse_body};

const MAX_BODY_BYTES: usize = 64 * 1024;

pub struct Request {
    /// The gateway's request id.
    pub(crate) id: String,
    /// Method and path, with names in place of ids.
    pub(crate) route: String,
    method: String,
    path: String,
    path_parameters: HashMap<String, String>,
    query: String,
    /// By lower-case name.
    headers: HashMap<String, String>,
    cookies: Vec<String>,
    /// `None` when the base64 is invalid.
    body: Option<Vec<u8>>,
    client_address: ClientAddress,
    user: OnceLock<UserId>,
    security_event: OnceLock<SecurityEvent>,
}

impl Request {
    /// `fallback_id` is for events without a request id.
    pub(crate) fn new(event: Event, fallback_id: &str) -> Self {
        let route = route(&event);
        let body = event.body.unwrap_or_default();
        Self {
            id: event.request_id.unwrap_or_else(|| fallback_id.to_owned()),
            route,
            method: event.method,
            path: event.raw_path,
            path_parameters: event.path_parameters,
            query: event.raw_query_string,
            headers: event.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
            cookies: event.cookies,
            body: if event.is_base64_encoded { BASE64_STANDARD.decode(body).ok() } else { Some(body.into_bytes()) },
            client_address: ClientAddress::new(&event.source_ip),
            user: OnceLock::new(),
            security_event: OnceLock::new(),
        }
    }

    /// The last segment of the path, not decoded. The segments before it vary: a stage is part of the path, a base path that
    /// a proxy has removed is not.
    pub(crate) fn last_segment(&self) -> &str {
        self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// A reference relative to the contract's path, made relative to the request's URL (RFC 3986, section 5.2), which has one
    /// more segment when it ends in a slash.
    pub fn relative(&self, reference: &str) -> String {
        let slashes = self.path.len() - self.path.trim_end_matches('/').len();
        "../".repeat(slashes) + reference
    }

    /// A parameter of the route, such as `{asset}`, if it has one of this name.
    pub(crate) fn in_path(&self, name: &str) -> Option<&str> {
        self.path_parameters.get(name).map(String::as_str)
    }

    /// The first parameter of the query with this name.
    pub(crate) fn in_query(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut parameters = form_urlencoded::parse(self.query.as_bytes());
        parameters.find_map(|(it, value)| (it == name).then_some(value))
    }

    /// `name` must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The value of a cookie (RFC 6265, section 5.4).
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        // The local emulators leave them in the header.
        let pairs = self
            .cookies
            .iter()
            .map(String::as_str)
            .chain(self.header("cookie").into_iter().flat_map(|all| all.split(';')));
        let mut values = pairs.filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
        values.next()
    }

    /// The `User-Agent` header.
    pub fn user_agent(&self) -> Option<UserAgent> {
        self.header("user-agent").and_then(UserAgent::new)
    }

    /// The peer of the gateway, whatever the headers say.
    pub fn client_address(&self) -> &ClientAddress {
        &self.client_address
    }

    /// The `Idempotency-Key`.
    ///
    /// # Errors
    /// 400 unless it is 1 to 255 visible ASCII characters.
    pub fn idempotency_key(&self) -> Result<Option<&str>, Problem> {
        match self.header("idempotency-key") {
            Some(key) if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(Problem::BadHeader("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
            }
            key => Ok(key),
        }
    }

    /// The `If-Match` header; [`Precondition::Any`] without it.
    ///
    /// # Errors
    /// 400 unless it is `*` or a list of entity tags.
    pub fn if_match(&self) -> Result<Precondition, Problem> {
        Ok(self.entity_tags("If-Match")?.map_or(Precondition::Any, |tags| tags.precondition()))
    }

    /// The `If-None-Match` header.
    ///
    /// # Errors
    /// 400 unless it is `*` or a list of entity tags.
    pub fn if_none_match(&self) -> Result<Option<EntityTags>, Problem> {
        self.entity_tags("If-None-Match")
    }

    fn entity_tags(&self, name: &'static str) -> Result<Option<EntityTags>, Problem> {
        let value = self.header(&name.to_ascii_lowercase());
        value.map(|text| EntityTags::parse(text).ok_or(Problem::bad_tags(name))).transpose()
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
    pub(crate) fn bearer_token(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    pub(crate) fn path_id<T>(&self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Problem> {
        self.path_parameters.get(name).and_then(|text| parse(text)).ok_or(Problem::BadPath(name))
    }

    /// `None` when the route has no such parameter.
    pub(crate) fn optional_path_id<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        self.path_parameters.contains_key(name).then(|| self.path_id(name, parse)).transpose()
    }

    /// The values of the query parameters, in the order of `names`.
    ///
    /// # Errors
    /// 400 for an unknown or repeated parameter, and for U+0000.
    pub fn query<const N: usize>(&self, names: [&'static str; N]) -> Result<[Option<String>; N], Problem> {
        let mut values = [const { None }; N];
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            let Some(index) = names.iter().position(|known| *known == name) else {
                return Err(Problem::UnknownParameter(name.into_owned()));
            };
            if value.contains('\0') {
                return Err(Problem::BadParameter(names[index], "must not contain the character U+0000".to_owned()));
            }
            if values[index].replace(value.into_owned()).is_some() {
                return Err(Problem::BadParameter(names[index], "must not be given twice".to_owned()));
            }
        }
        Ok(values)
    }

    /// The fields of the JSON body.
    ///
    /// # Errors
    /// 415, 413, 400, 422: see "Bodies" in the contract.
    pub fn json<F: Fields>(&self, fields: F) -> Result<F::Values, Problem> {
        let media_type = self.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let is_patch = self.method == "PATCH" && media_type.eq_ignore_ascii_case("application/merge-patch+json");
        if !is_patch && !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Problem::UnsupportedMediaType);
        }
        let body = self.body.as_ref().ok_or_else(|| Problem::BadBody("The body is not valid base64.".to_owned()))?;
        if body.len() > MAX_BODY_BYTES {
            return Err(Problem::BodyTooLarge);
        }
        parse_body(body, fields)
    }

    /// Records the user, for the request's log line.
    pub fn record_user(&self, user: UserId) {
        self.user.get_or_init(|| user);
    }

    pub(crate) fn user(&self) -> Option<UserId> {
        self.user.get().copied()
    }

    /// Records what a successful request did, for its log line. Problems have their events without this.
    pub fn record_event(&self, event: SecurityEvent) {
        self.security_event.get_or_init(|| event);
    }

    pub(crate) fn security_event(&self) -> Option<SecurityEvent> {
        self.security_event.get().copied()
    }
}

/// The gateway's route key. The local emulator sends none: then the method and the path, with names in place of ids.
fn route(event: &Event) -> String {
    if !["", "$default"].contains(&event.route_key.as_str()) {
        return event.route_key.clone();
    }
    let parameter_of = |segment: &str| event.path_parameters.iter().find(|(_, value)| *value == segment);
    let segments = event.raw_path.split('/').map(|segment| match parameter_of(segment) {
        Some((name, _)) if !segment.is_empty() => format!("{{{name}}}"),
        _ => segment.to_owned(),
    });
    format!("{} {}", event.method, segments.collect::<Vec<_>>().join("/"))
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
    fn a_cookie_is_found_where_the_gateway_and_the_emulators_put_it() {
        let cookie = |event: serde_json::Value| request(event).cookie("a").map(str::to_owned);
        let one = Some("1".to_owned());
        assert_eq!(cookie(serde_json::json!({"cookies": ["aa=2", "a=1"]})), one);
        assert_eq!(cookie(serde_json::json!({"headers": {"Cookie": "aa=2; a=1; a=3"}})), one);
        for cookies in [serde_json::json!(null), serde_json::json!("a=1"), serde_json::json!([1, null, "A=1", "a"])] {
            assert_eq!(cookie(serde_json::json!({"cookies": cookies})), None, "{cookies}");
        }
    }

    #[test]
    fn a_relative_reference_allows_for_slashes_at_the_end_of_the_path() {
        for (path, reference) in [
            ("/users/signup", "1"),
            ("/dev/users/signup", "1"),
            ("/users/signup/", "../1"),
            ("/dev/users/signup//", "../../1"),
            ("", "1"),
        ] {
            assert_eq!(request(serde_json::json!({"rawPath": path})).relative("1"), reference, "{path:?}");
        }
    }

    #[test]
    fn the_route_has_names_in_place_of_ids() {
        let request = request(serde_json::json!({
            "rawPath": "/users/u-1/tasks/t-1",
            "pathParameters": {"user_id": "u-1", "task_id": "t-1"},
            "requestContext": {"http": {"method": "GET"}},
        }));
        assert_eq!(request.route, "GET /users/{user_id}/tasks/{task_id}");
    }

    #[test]
    fn a_name_replaces_whole_segments_only() {
        let request = request(serde_json::json!({
            "rawPath": "/home/users/me/summary",
            "pathParameters": {"user_id": "me"},
            "requestContext": {"http": {"method": "GET"}},
        }));
        assert_eq!(request.route, "GET /home/users/{user_id}/summary");
    }

    #[test]
    fn the_gateways_route_key_is_preferred_because_it_holds_no_client_data() {
        let request = request(serde_json::json!({
            "routeKey": "GET /users/{user_id}",
            "rawPath": "/users/ada@example.com",
            "pathParameters": {"user_id": "ada@example.com?x"},
        }));
        assert_eq!(request.route, "GET /users/{user_id}");
    }

    #[test]
    fn an_empty_event_is_a_request() {
        assert_eq!(request(serde_json::json!({})).id, "fallback");
        for no_event in [serde_json::json!(null), serde_json::json!([{"requestContext": {"requestId": "r"}}])] {
            assert_eq!(request(no_event).id, "fallback");
        }
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
