use std::{
    io::{self, Write},
    panic,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use domain::{Timestamp, UserId};
use lambda_http::http::StatusCode;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::{Error, Problem, Request, config::variable, metrics::Metrics};

/// The deployment whose metrics these are; where it is not said, nobody collects any.
static STAGE: OnceLock<String> = OnceLock::new();

/// Writes JSON lines to standard output, which Lambda keeps. `AWS_LAMBDA_LOG_LEVEL` is the level, `info` without it.
///
/// Other crates' lines are kept to warnings: some quote what they handle when they are asked for more.
///
/// # Errors
/// One of the two cannot be read.
pub(crate) fn start() -> Result<(), Error> {
    if let Some(stage) = variable("STAGE")? {
        STAGE.get_or_init(|| stage);
    }
    let level = variable("AWS_LAMBDA_LOG_LEVEL")?.unwrap_or_default().to_lowercase();
    let level = if ["error", "warn", "debug", "trace"].contains(&level.as_str()) { level } else { "info".to_owned() };
    let filter = EnvFilter::new(format!("warn,api={level},db={level},auth={level}"));
    // A test may have started it before; the first one stays.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter)
        .with_writer(std::io::stdout)
        .try_init();
    // The message of a panic may quote what was being handled: the place it happened at will do.
    panic::set_hook(Box::new(|info| {
        tracing::error!(location = info.location().map(ToString::to_string), "panic");
    }));
    Ok(())
}

/// What somebody who watches over the accounts wants to hear of. Its line names the user, if the request had one, by
/// id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityEvent {
    /// An account was made.
    AccountCreated,
    /// An account was deleted.
    AccountDeleted,
    /// Somebody signed in.
    SignedIn,
    /// The address or the password was wrong.
    SigninFailed,
    /// A sign-in was not looked at, after too many that failed.
    SigninThrottled,
    /// A token was malformed, forged, expired or revoked.
    TokenRefused,
    /// Somebody asked for what is another user's, or not there.
    Forbidden,
    /// An account was to be changed with a wrong password.
    CurrentPasswordWrong,
    /// An account has another password, and its tokens have ended.
    PasswordChanged,
    /// An account has another address.
    EmailChanged,
    /// An account has both.
    EmailAndPasswordChanged,
}

impl SecurityEvent {
    fn name(self) -> &'static str {
        match self {
            Self::AccountCreated => "account_created",
            Self::AccountDeleted => "account_deleted",
            Self::SignedIn => "signed_in",
            Self::SigninFailed => "signin_failed",
            Self::SigninThrottled => "signin_throttled",
            Self::TokenRefused => "token_refused",
            Self::Forbidden => "forbidden",
            Self::CurrentPasswordWrong => "current_password_wrong",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::EmailAndPasswordChanged => "email_and_password_changed",
        }
    }

    fn of(problem: &Problem) -> Option<Self> {
        Some(match problem {
            Problem::TokenInvalid => Self::TokenRefused,
            Problem::WrongCredentials => Self::SigninFailed,
            Problem::WrongCurrentPassword => Self::CurrentPasswordWrong,
            Problem::NotTheCaller | Problem::NoSuchTask => Self::Forbidden,
            Problem::TooManyAttempts(_) => Self::SigninThrottled,
            _ => return None,
        })
    }
}

/// The line of a request, the only one it has. It is written at every level: what is counted from it must not depend
/// on how much else is said.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Timestamp,
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    route: &'a str,
    status: u16,
    duration_ms: f64,
    database_ms: f64,
    attempts: u32,
    cold_start: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_event: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(flatten)]
    metrics: Option<Metrics<'a>>,
}

/// Writes the line of a request.
pub(crate) fn request(
    request: &Request,
    status: StatusCode,
    problem: Option<&Problem>,
    took: Duration,
    database: db::Usage,
) {
    static WARM: AtomicBool = AtomicBool::new(false);
    let event = request.security_event().or(problem.and_then(SecurityEvent::of));
    let now = Timestamp::from(SystemTime::now());
    let line = Line {
        timestamp: now,
        level: if status.is_server_error() { "ERROR" } else { "INFO" },
        message: "request",
        request_id: &request.id,
        route: &request.route,
        status: status.as_u16(),
        duration_ms: millis(took),
        database_ms: millis(database.time),
        attempts: database.attempts,
        cold_start: !WARM.swap(true, Ordering::Relaxed),
        user: request.user(),
        security_event: event.map(SecurityEvent::name),
        problem: problem.map(kind),
        cause: match problem {
            Some(Problem::Internal(cause) | Problem::Unavailable(cause)) => Some(cause),
            _ => None,
        },
        metrics: STAGE.get().map(|stage| Metrics::new(stage, now, event, problem, database)),
    };
    // A log that nobody can write to is no reason to fail a request.
    let _ = serde_json::to_string(&line).map(|line| writeln!(io::stdout(), "{line}"));
}

/// To the microsecond.
pub(crate) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The problem's name.
fn kind(problem: &Problem) -> &'static str {
    match problem {
        Problem::BadPath(_) => "bad_path",
        Problem::BadParameter(..) | Problem::UnknownParameter(_) => "bad_parameter",
        Problem::BadHeader(..) => "bad_header",
        Problem::BadBody(_) => "bad_body",
        Problem::TokenMissing => "token_missing",
        Problem::TokenInvalid => "token_invalid",
        Problem::WrongCredentials => "wrong_credentials",
        Problem::WrongCurrentPassword => "wrong_current_password",
        Problem::NotTheCaller => "not_the_caller",
        Problem::NoSuchTask => "no_such_task",
        Problem::NoSuchFile => "no_such_file",
        Problem::Stale => "stale",
        Problem::EmailTaken => "email_taken",
        Problem::BodyTooLarge => "body_too_large",
        Problem::UnsupportedMediaType => "unsupported_media_type",
        Problem::Unprocessable(_) => "unprocessable",
        Problem::KeyReused => "key_reused",
        Problem::TooManyAttempts(_) => "too_many_attempts",
        Problem::Unavailable(_) => "unavailable",
        Problem::Internal(_) => "internal",
    }
}
