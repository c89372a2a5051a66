//! Events and responses of payload format 2.0: [Create AWS Lambda proxy integrations for HTTP APIs][1].
//!
//! [1]: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;
use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::Utc;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::template::Route;

/// API Gateway's header with the request id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("apigw-requestid");

/// The event for a request.
pub fn from_request(route: &Route, parts: &Parts, body: &Bytes, source_ip: IpAddr, id: &str) -> Value {
    let path = decode(parts.uri.path());
    let query = parts.uri.query().unwrap_or_default();
    let headers = &parts.headers;
    let (body, is_base64_encoded) = match str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64_STANDARD.encode(body), true),
    };
    let now = Utc::now();
    let mut event = json!({
        "version": "2.0",
        "routeKey": format!("{} {}", route.method, route.path),
        "rawPath": path,
        "rawQueryString": query,
        "headers": joined(headers.iter().filter(|(name, _)| **name != header::COOKIE).map(|(name, value)| {
            (name.as_str(), text(value))
        })),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": headers.get(header::HOST).map(text),
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", parts.version),
                "sourceIp": source_ip,
                "userAgent": headers.get(header::USER_AGENT).map(text),
            },
            "requestId": id,
            "routeKey": format!("{} {}", route.method, route.path),
            "stage": "$default",
            "time": now.format("%d/%b/%Y:%T %z").to_string(),
            "timeEpoch": now.timestamp_millis(),
        },
        "isBase64Encoded": is_base64_encoded,
    });
    // Empty fields are left out.
    let cookies = headers.get_all(header::COOKIE).iter().map(text).collect::<Vec<_>>();
    let cookies: Vec<&str> = cookies.iter().flat_map(|value| value.split("; ")).collect();
    let parameters = path_parameters(route, parts.uri.path());
    for (name, value, is_present) in [
        ("cookies", json!(cookies), !cookies.is_empty()),
        ("pathParameters", json!(parameters), !parameters.is_empty()),
        ("queryStringParameters", json!(joined(form_urlencoded::parse(query.as_bytes()))), !query.is_empty()),
        ("body", json!(body), !body.is_empty()),
    ] {
        if is_present {
            event[name] = value;
        }
    }
    event
}

/// The path parameters. Each is a whole segment, and decoded only after the path is split.
fn path_parameters(route: &Route, path: &str) -> BTreeMap<String, String> {
    let segments = route.path.split('/').zip(path.split('/'));
    let named = segments.filter_map(|(name, value)| Some((name.strip_prefix('{')?.strip_suffix('}')?, value)));
    named.map(|(name, value)| (name.to_owned(), decode(value))).collect()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Joins the values of equal names with commas.
fn joined<N: Into<String>, V: Into<String>>(pairs: impl Iterator<Item = (N, V)>) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in pairs {
        let (name, value) = (name.into(), value.into());
        joined.entry(name).and_modify(|values| *values = format!("{values},{value}")).or_insert(value);
    }
    joined
}

/// The HTTP response for a function's response.
pub(crate) fn to_response(response: &[u8]) -> Result<Response<Body>> {
    let function: ApiGatewayV2httpResponse = serde_json::from_slice(response)?;
    let body = function.body.map(|body| body.to_vec()).unwrap_or_default();
    let mut response = Response::new(Body::from(match function.is_base64_encoded {
        true => BASE64_STANDARD.decode(body)?,
        false => body,
    }));
    *response.status_mut() = StatusCode::from_u16(u16::try_from(function.status_code)?)?;
    let headers = response.headers_mut();
    headers.extend(function.headers);
    for cookie in function.cookies {
        headers.append(header::SET_COOKIE, HeaderValue::try_from(cookie)?);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn event(path: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Value {
        let route = Route { method: "PUT".to_owned(), path: "/users/{user_id}/tasks/{task_id}".to_owned() };
        let mut request = Request::put(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        from_request(&route, &parts, &Bytes::copy_from_slice(body), "192.0.2.1".parse().unwrap(), "r-1")
    }

    #[test]
    fn path_parameters_are_whole_segments_decoded() {
        let event = event("/users/%6De/tasks/a%2Fb%20%c3%bc%ff+?a=%20&b=1&a=2", &[], b"");
        assert_eq!(event["pathParameters"], json!({"user_id": "me", "task_id": "a/b ü\u{fffd}+"}));
        assert_eq!(event["rawPath"], "/users/me/tasks/a/b ü\u{fffd}+");
        assert_eq!(event["rawQueryString"], "a=%20&b=1&a=2");
        assert_eq!(event["queryStringParameters"], json!({"a": " ,2", "b": "1"}));
        assert_eq!(event["routeKey"], "PUT /users/{user_id}/tasks/{task_id}");
    }

    #[test]
    fn repeated_headers_are_joined_and_cookies_are_separate() {
        let headers: [(&str, &[u8]); 5] = [
            ("X-A", b"1"),
            ("x-a", b"2, 3"),
            ("x-b", "\u{fc}\u{fc}".as_bytes()),
            ("x-c", b"\xff"),
            ("cookie", b"a=1; b=2"),
        ];
        let event = event("/users/1/tasks/2", &headers, b"");
        assert_eq!(event["headers"], json!({"x-a": "1,2, 3", "x-b": "üü", "x-c": "\u{fffd}"}));
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    }

    #[test]
    fn a_binary_body_is_base64_and_an_empty_one_is_left_out() {
        let of = |body: &[u8]| {
            let event = event("/users/1/tasks/2", &[], body);
            (event.get("body").cloned(), event["isBase64Encoded"].clone())
        };
        assert_eq!(of("{\"ü\"}".as_bytes()), (Some(json!("{\"ü\"}")), json!(false)));
        assert_eq!(of(b"\xff\0"), (Some(json!("/wA=")), json!(true)));
        assert_eq!(of(b""), (None, json!(false)));
    }

    #[test]
    fn the_event_has_the_request_id_and_the_clients_address() {
        let headers: [(&str, &[u8]); 1] = [("x-forwarded-for", b"198.51.100.1")];
        let event = event("/users/1/tasks/2", &headers, b"");
        assert_eq!(event["requestContext"]["requestId"], "r-1");
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "192.0.2.1");
        assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    }

    #[tokio::test]
    async fn a_functions_response_becomes_the_http_response() {
        let answer = json!({
            "statusCode": 201, "headers": {"location": "x"}, "multiValueHeaders": {}, "cookies": ["a=1; HttpOnly", "b=2"],
            "body": "/wA=", "isBase64Encoded": true,
        });
        let response = to_response(answer.to_string().as_bytes()).unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["location"]),
            (201, &HeaderValue::from_static("x"))
        );
        let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; HttpOnly", "b=2"]);
        assert_eq!(axum::body::to_bytes(response.into_body(), 9).await.unwrap(), &b"\xff\0"[..]);
    }

    #[test]
    fn an_invalid_response_is_an_error() {
        for text in
            ["", "null", "{}", r#"{"errorMessage": "x"}"#, r#"{"statusCode": 99, "headers": {}, "cookies": []}"#]
        {
            assert!(to_response(text.as_bytes()).is_err(), "{text}");
        }
    }
}
