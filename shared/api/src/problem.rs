use std::{borrow::Cow, time::Duration};

use domain::{UserId, ValidationError};
use lambda_http::http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::{Code, Response, excerpt::excerpt, response::with_json};

/// Every error response, as a problem document (RFC 9457).
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("The path's {0} must be a hyphenated UUID (or, of a user, me, and of a session, current).")]
    BadPath(&'static str),
    #[error("The query parameter \"{0}\" {1}.")]
    BadParameter(&'static str, String),
    #[error("The query parameter \"{}\" is unknown.", excerpt(.0))]
    UnknownParameter(String),
    #[error("The header {0} {1}.")]
    BadHeader(&'static str, &'static str),
    /// Not a JSON object of the right shape.
    #[error("{0}")]
    BadBody(String),
    #[error("This route requires a token: send \"Authorization: Bearer …\".")]
    TokenMissing,
    #[error("The token is invalid or expired: get another one.")]
    TokenInvalid,
    #[error(
        "This route requires a refresh token: send it as \"refresh_token\", or as the cookie that signing in has set."
    )]
    RefreshTokenMissing,
    #[error("The session has ended: sign in again.")]
    SessionEnded,
    /// As [`Problem::SessionEnded`] for the client. Holds the account, for the log only.
    #[error("The session has ended: sign in again.")]
    RefreshTokenReused(UserId),
    /// One answer for an unknown address and a wrong password. Holds the account, for the log only.
    #[error("The e-mail address or the password is wrong.")]
    WrongCredentials(Option<UserId>),
    #[error("The current password is wrong.")]
    WrongCurrentPassword,
    /// One answer for a token that is unknown, used, void or too old.
    #[error("The link is wrong, used or too old: ask for another one.")]
    ResetTokenInvalid,
    #[error("The user in the path is not the token's.")]
    NotTheCaller,
    /// One answer for a task that does not exist and for another user's.
    #[error("There is no such task, or it is another user's.")]
    NoSuchTask,
    /// One answer for a session that does not exist and for another user's.
    #[error("There is no such session, or it is another user's.")]
    NoSuchSession,
    #[error("There is no such file.")]
    NoSuchFile,
    #[error("The task has changed since: none of the tags in If-Match is its ETag.")]
    PreconditionFailed,
    #[error("The e-mail address already has an account.")]
    EmailTaken,
    #[error("The account has as many tasks as it may have: delete some first.")]
    AccountFull,
    #[error("The body must be at most 64 KiB long.")]
    BodyTooLarge,
    #[error("The body must be sent as Content-Type: application/json.")]
    UnsupportedMediaType,
    /// Well-formed, but some values break a rule.
    #[error("The values of some fields break a rule: see errors.")]
    Unprocessable(Vec<FieldError>),
    #[error("The Idempotency-Key was used before, for a task with other values: choose a new one.")]
    KeyReused,
    /// The time to wait before the next attempt.
    #[error("Too many failed attempts to sign in: try again later.")]
    TooManyAttempts(Duration),
    #[error("This API sends no mail: ask those who run it.")]
    MailNotSetUp,
    /// The database could not be reached within the budget. Holds the cause, for the log only.
    #[error(
        "The service is not available for the moment: try again. A change that was asked for may have been made or not; \
         it is not made later."
    )]
    Unavailable(String),
    /// A bug. Holds the cause, for the log only.
    #[error("Something went wrong on our side.")]
    Internal(String),
}

/// A value that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name, `body`, or the name of a header.
    pub field: &'static str,
    pub detail: String,
}

/// A problem document (RFC 9457). Its `type` is `about:blank`: the status is the kind of problem.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: Code,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Cow<'a, [FieldError]>,
}

impl Problem {
    /// `Retry-After` when the database cannot be reached.
    const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(1);

    /// What a client is told by its number, and what by a word.
    pub(crate) fn kind(&self) -> (StatusCode, Code) {
        match self {
            Self::BadPath(_) => (StatusCode::BAD_REQUEST, Code::BadPath),
            Self::BadParameter(..) | Self::UnknownParameter(_) => (StatusCode::BAD_REQUEST, Code::BadParameter),
            Self::BadHeader(..) => (StatusCode::BAD_REQUEST, Code::BadHeader),
            Self::BadBody(_) => (StatusCode::BAD_REQUEST, Code::BadBody),
            Self::TokenMissing | Self::RefreshTokenMissing => (StatusCode::UNAUTHORIZED, Code::TokenMissing),
            Self::TokenInvalid => (StatusCode::UNAUTHORIZED, Code::TokenInvalid),
            Self::SessionEnded | Self::RefreshTokenReused(_) => (StatusCode::UNAUTHORIZED, Code::SessionEnded),
            Self::WrongCredentials(_) => (StatusCode::UNAUTHORIZED, Code::WrongCredentials),
            Self::WrongCurrentPassword => (StatusCode::UNAUTHORIZED, Code::WrongCurrentPassword),
            Self::ResetTokenInvalid => (StatusCode::UNAUTHORIZED, Code::ResetTokenInvalid),
            Self::NotTheCaller => (StatusCode::FORBIDDEN, Code::NotYours),
            Self::NoSuchTask => (StatusCode::FORBIDDEN, Code::NoSuchTask),
            Self::NoSuchSession => (StatusCode::FORBIDDEN, Code::NoSuchSession),
            Self::NoSuchFile => (StatusCode::NOT_FOUND, Code::NoSuchFile),
            Self::EmailTaken => (StatusCode::CONFLICT, Code::EmailTaken),
            Self::AccountFull => (StatusCode::CONFLICT, Code::AccountFull),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, Code::Stale),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType),
            Self::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, Code::Unprocessable),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, Code::KeyReused),
            Self::TooManyAttempts(_) => (StatusCode::TOO_MANY_REQUESTS, Code::TooManyAttempts),
            Self::MailNotSetUp => (StatusCode::NOT_IMPLEMENTED, Code::MailNotSetUp),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
        }
    }

    pub(crate) fn code(&self) -> Code {
        self.kind().1
    }

    /// A field breaks a rule.
    pub fn invalid_field(field: &'static str, rule: ValidationError) -> Self {
        Self::Unprocessable(vec![FieldError { field, detail: rule.to_string() }])
    }

    /// The body as a whole breaks a rule.
    pub fn unprocessable_body(rule: &str) -> Self {
        Self::Unprocessable(vec![FieldError { field: "body", detail: rule.to_owned() }])
    }

    pub(crate) fn respond(&self, request_id: &str) -> Response {
        let (status, code) = self.kind();
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.to_string(),
            code,
            request_id,
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
            // Rounded up to whole seconds.
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
        }
        response
    }

    /// RFC 6750, section 3: `invalid_token` is for a token that was sent.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::TokenInvalid | Self::SessionEnded | Self::RefreshTokenReused(_) => {
                Some("Bearer error=\"invalid_token\"")
            }
            Self::TokenMissing
            | Self::RefreshTokenMissing
            | Self::WrongCredentials(_)
            | Self::WrongCurrentPassword
            | Self::ResetTokenInvalid => Some("Bearer"),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyAttempts(wait) => Some(*wait),
            Self::Unavailable(_) => Some(Self::UNAVAILABLE_RETRY_AFTER),
            _ => None,
        }
    }
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        use db::Constraint;
        match error {
            db::Error::SessionEnded => Self::SessionEnded,
            db::Error::RefreshTokenReused(user) => Self::RefreshTokenReused(user),
            db::Error::NoSuchSession => Self::NoSuchSession,
            db::Error::WrongCredentials(user) => Self::WrongCredentials(user),
            db::Error::WrongCurrentPassword => Self::WrongCurrentPassword,
            db::Error::ResetTokenInvalid => Self::ResetTokenInvalid,
            db::Error::Throttled(wait) => Self::TooManyAttempts(wait),
            db::Error::NoSuchTask => Self::NoSuchTask,
            db::Error::PreconditionFailed => Self::PreconditionFailed,
            db::Error::KeyReused => Self::KeyReused,
            db::Error::AccountFull => Self::AccountFull,
            db::Error::Unavailable(cause) => Self::Unavailable(cause),
            db::Error::Violated(constraint) => match constraint {
                Constraint::EmailTaken => Self::EmailTaken,
                Constraint::TaskOwner => Self::SessionEnded,
                // `domain` validates these first; the schema decides.
                Constraint::EmailFormat => Self::invalid_field("email", ValidationError::EmailFormat),
                Constraint::TitleNotEmpty => Self::invalid_field("title", ValidationError::TitleEmpty),
                Constraint::TitleLength => Self::invalid_field("title", ValidationError::TitleTooLong),
                Constraint::DescriptionLength => {
                    Self::invalid_field("description", ValidationError::DescriptionTooLong)
                }
                Constraint::PriorityValid => Self::invalid_field("priority", ValidationError::PriorityOutOfRange),
                Constraint::StatusValid => Self::invalid_field("status", ValidationError::StatusUnknown),
                // Retried by `db`.
                Constraint::TaskTag => Self::Internal(error.to_string()),
            },
            db::Error::Internal(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<auth::InvalidKey> for Problem {
    fn from(error: auth::InvalidKey) -> Self {
        Self::Internal(error.to_string())
    }
}
