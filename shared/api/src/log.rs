use std::{
    panic,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lambda_http::http::StatusCode;
use tracing_subscriber::EnvFilter;

use crate::{Problem, Request};

/// Writes JSON lines to standard output, which Lambda keeps. `AWS_LAMBDA_LOG_LEVEL` is the level, `info` without it.
///
/// Other crates' lines are kept to warnings: some quote what they handle when they are asked for more.
pub(crate) fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default().to_lowercase();
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

/// The line of a request, the only one it has.
pub(crate) fn request(
    request: &Request,
    status: StatusCode,
    problem: Option<&Problem>,
    took: Duration,
    database: db::Usage,
) {
    static WARM: AtomicBool = AtomicBool::new(false);
    let user = request.user().map(tracing::field::display);
    let cold_start = !WARM.swap(true, Ordering::Relaxed);
    let cause = match problem {
        Some(Problem::Internal(cause)) => Some(cause.as_str()),
        _ => None,
    };
    let security_event = request.security_event().or(problem.and_then(SecurityEvent::of)).map(|event| event.name());
    let problem = problem.map(kind);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                request_id = request.id,
                route = request.route,
                status = status.as_u16(),
                duration_ms = millis(took),
                database_ms = millis(database.time),
                attempts = database.attempts,
                cold_start,
                user,
                security_event,
                problem,
                cause,
                "request"
            )
        };
    }
    match status.as_u16() {
        500.. => line!(error),
        _ => line!(info),
    }
}

fn millis(time: Duration) -> f64 {
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
        Problem::EmailTaken => "email_taken",
        Problem::BodyTooLarge => "body_too_large",
        Problem::UnsupportedMediaType => "unsupported_media_type",
        Problem::Unprocessable(_) => "unprocessable",
        Problem::TooManyAttempts(_) => "too_many_attempts",
        Problem::Unavailable => "unavailable",
        Problem::Internal(_) => "internal",
    }
}
