//! The answer that opens or refreshes a session, and the cookie that may hold its refresh token.

use std::time::Duration;

use auth::{RefreshToken, Signer};
use db::OpenSession;
use lambda_http::http::{HeaderValue, header::SET_COOKIE};
use serde_json::json;

use crate::{Problem, Request, Response, log::stage, ok};

/// Where a client keeps its refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Where it likes: the token is in the body.
    Body,
    /// In the cookie, which no script can read.
    Cookie,
}

/// 200 with a token and, in the body or the cookie, a refresh token.
///
/// # Errors
/// A token cannot be signed.
pub fn session(
    signer: &Signer,
    request: &Request,
    OpenSession { grant, refresh_token }: &OpenSession,
    keeping: Keeping,
) -> Result<Response, Problem> {
    request.record_user(grant.user);
    let token = signer.issue(grant)?;
    let mut body = json!({
        "token": token.value,
        "token_type": "Bearer",
        "expires_in": token.lifetime.as_secs(),
        "user_id": grant.user,
        "session_id": grant.session,
        "refresh_expires_in": grant.session_ends_in.as_secs(),
    });
    let refresh_token = refresh_token.expose();
    Ok(match keeping {
        Keeping::Body => {
            body["refresh_token"] = refresh_token.as_str().into();
            ok(&body)
        }
        Keeping::Cookie => with_cookie(ok(&body), request, &refresh_token, grant.session_ends_in),
    })
}

/// Clears the cookie, whether or not there is one.
pub fn without_cookie(response: Response, request: &Request) -> Response {
    with_cookie(response, request, "", Duration::ZERO)
}

impl Request {
    /// The refresh token: the body's, if it has one, or else the cookie's. Nothing else looks at the cookie.
    ///
    /// # Errors
    /// 401 when there is none, or when the text is none.
    pub fn refresh_token(&self, in_body: Option<Option<RefreshToken>>) -> Result<(RefreshToken, Keeping), Problem> {
        let (token, keeping) = match in_body {
            Some(token) => (token, Keeping::Body),
            None => {
                let cookie = self.cookie(&cookie_name(self)).ok_or(Problem::RefreshTokenMissing)?;
                (RefreshToken::parse(cookie), Keeping::Cookie)
            }
        };
        Ok((token.ok_or(Problem::SessionEnded)?, keeping))
    }
}

/// Of the stage's, because several may share a host, or else of the port's: a cookie is sent to all ports of a host.
fn cookie_name(request: &Request) -> String {
    let port = || request.header("host").and_then(|host| host.rsplit_once(':')).map(|(_, port)| port);
    match (stage(), port()) {
        // Browsers keep it from other hosts of the domain (RFC 6265bis, section 4.1.3.2).
        (Some(stage), _) => format!("__Host-task-api-{stage}"),
        (None, Some(port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => format!("task-api-{port}"),
        (None, _) => "task-api".to_owned(),
    }
}

/// The path is `/`, because the function cannot know what base path a proxy has removed.
fn with_cookie(mut response: Response, request: &Request, value: &str, max_age: Duration) -> Response {
    let (name, seconds) = (cookie_name(request), max_age.as_secs());
    let cookie = format!("{name}={value}; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age={seconds}");
    // A word, digits and base64url, so always a valid header value.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{no_content, request::tests::request};

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let request = request(json!({"headers": {"host": "127.0.0.1:9000"}}));
        let response = with_cookie(no_content(), &request, "x", Duration::from_secs(60));
        assert_eq!(
            response.headers()[SET_COOKIE],
            "task-api-9000=x; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age=60"
        );
        assert_eq!(
            without_cookie(no_content(), &request).headers()[SET_COOKIE],
            "task-api-9000=; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn the_cookies_name_is_the_ports() {
        for (host, name) in [
            ("localhost:9000", "task-api-9000"),
            ("[::1]:9001", "task-api-9001"),
            ("example.com", "task-api"),
            ("[::1]", "task-api"),
            ("a:b; c=d", "task-api"),
        ] {
            assert_eq!(cookie_name(&request(json!({"headers": {"host": host}}))), name, "{host}");
        }
    }
}
