use std::{borrow::Cow, time::Duration};

use lambda_http::http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::{Request, Response, response::with_json};

/// Why a request was not served: everything a function answers but its success, each with its status.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A path id that is no UUID.
    #[error("The path's {0} must be a hyphenated UUID.")]
    BadPath(&'static str),
    /// A query parameter with a value it cannot have.
    #[error("The query parameter \"{0}\" {1}.")]
    BadParameter(&'static str, &'static str),
    /// A query parameter there is not.
    #[error("The query parameter \"{}\" is unknown.", crate::fields::excerpt(.0))]
    UnknownParameter(String),
    /// A header with a value it cannot have.
    #[error("The header {0} {1}.")]
    BadHeader(&'static str, &'static str),
    /// A body that is not an object of the right shape.
    #[error("{0}")]
    BadBody(String),
    /// No token at all: the client does not know yet that it needs one.
    #[error("This route asks for a token: send \"Authorization: Bearer …\".")]
    TokenMissing,
    /// A token that is malformed, expired or revoked; which, is not said.
    #[error("The token is invalid, expired or revoked: sign in again.")]
    TokenInvalid,
    /// One answer for an unknown address and a wrong password.
    #[error("The e-mail address or the password is wrong.")]
    WrongCredentials,
    /// The password that is asked for again before an account changes.
    #[error("The current password is wrong.")]
    WrongCurrentPassword,
    /// The path names somebody else.
    #[error("The user in the path is not the token's.")]
    NotTheCaller,
    /// One answer for a task that is not there and for another user's.
    #[error("There is no such task, or it is another user's.")]
    NoSuchTask,
    /// No file of this name is served.
    #[error("There is no such file.")]
    NoSuchFile,
    /// The task is in none of the states that `If-Match` names.
    #[error("The task has changed since: none of the tags in If-Match is its ETag.")]
    Stale,
    /// One account per address.
    #[error("The e-mail address already has an account.")]
    EmailTaken,
    /// Over 64 KiB.
    #[error("The body must be at most 64 KiB long.")]
    BodyTooLarge,
    /// Not JSON by its own account.
    #[error("The body must be sent as Content-Type: application/json.")]
    UnsupportedMediaType,
    /// Well-formed values that break rules; all of them.
    #[error("The values of some fields break a rule: see errors.")]
    Unprocessable(Vec<FieldError>),
    /// A key is for one request, and for its repeats.
    #[error("The Idempotency-Key was used before, for a task with other values: choose a new one.")]
    KeyReused,
    /// Too many failed sign-ins; how long to wait.
    #[error("Too many failed attempts to sign in: try again later.")]
    TooManyAttempts(Duration),
    /// The database was out of reach for as long as the request could wait. Why is for the log, not for the client.
    #[error(
        "The service is not available for the moment: try again. A change that was asked for may have been made or not; \
         it is not made later."
    )]
    Unavailable(String),
    /// A defect of ours. What it was is for the log, not for the client.
    #[error("Something went wrong on our side.")]
    Internal(String),
}

/// What is wrong with one field of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Its name, `body` for the whole, or the name of a header.
    pub field: &'static str,
    /// The rule it breaks.
    pub detail: String,
}

/// The document of RFC 9457. `about:blank`: the status says what kind of problem it is.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Cow<'a, [FieldError]>,
}

impl Problem {
    /// How soon to come back when the database is out of reach.
    const RETRY_SOON: Duration = Duration::from_secs(1);

    /// The one place where a problem gets its status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadPath(_)
            | Self::BadParameter(..)
            | Self::UnknownParameter(_)
            | Self::BadHeader(..)
            | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::TokenInvalid | Self::WrongCredentials | Self::WrongCurrentPassword => {
                StatusCode::UNAUTHORIZED
            }
            Self::NotTheCaller | Self::NoSuchTask => StatusCode::FORBIDDEN,
            Self::NoSuchFile => StatusCode::NOT_FOUND,
            Self::EmailTaken => StatusCode::CONFLICT,
            Self::Stale => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable(_) | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A body as a whole breaks a rule.
    pub fn unprocessable_body(rule: &str) -> Self {
        Self::Unprocessable(vec![FieldError { field: "body", detail: rule.to_owned() }])
    }

    pub(crate) fn respond(&self, request: &Request) -> Response {
        let status = self.status();
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.to_string(),
            request_id: &request.id,
            errors: match self {
                Self::Unprocessable(errors) => Cow::from(errors),
                Self::KeyReused => {
                    let detail = "was used for a task with other values".to_owned();
                    Cow::from(vec![FieldError { field: "Idempotency-Key", detail }])
                }
                _ => Cow::default(),
            },
        };
        let mut response = with_json(status, &document);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = self.retry_after() {
            // Whole seconds, and never too soon.
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
        }
        response
    }

    /// RFC 6750, section 3: only a token that was sent, and is bad, is called so.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::TokenInvalid => Some("Bearer error=\"invalid_token\""),
            Self::TokenMissing | Self::WrongCredentials | Self::WrongCurrentPassword => Some("Bearer"),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyAttempts(wait) => Some(*wait),
            Self::Unavailable(_) => Some(Self::RETRY_SOON),
            _ => None,
        }
    }
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        use db::Constraint;
        let broken =
            |field, rule: domain::Broken| Self::Unprocessable(vec![FieldError { field, detail: rule.to_string() }]);
        match error {
            db::Error::TokenDead => Self::TokenInvalid,
            db::Error::NoSuchTask => Self::NoSuchTask,
            db::Error::Stale => Self::Stale,
            db::Error::KeyReused => Self::KeyReused,
            db::Error::Unavailable(cause) => Self::Unavailable(cause),
            db::Error::Violated(constraint) => match constraint {
                Constraint::EmailTaken => Self::EmailTaken,
                Constraint::TaskOwner => Self::TokenInvalid,
                // The domain's types have looked at these before; the schema has the last word all the same.
                Constraint::EmailFormat => broken("email", domain::Broken::EmailFormat),
                Constraint::TitleNotEmpty => broken("title", domain::Broken::TitleEmpty),
                Constraint::TitleLength => broken("title", domain::Broken::TitleTooLong),
                Constraint::DescriptionLength => broken("description", domain::Broken::DescriptionTooLong),
            },
            db::Error::Defect(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<auth::InvalidKey> for Problem {
    fn from(error: auth::InvalidKey) -> Self {
        Self::Internal(error.to_string())
    }
}
