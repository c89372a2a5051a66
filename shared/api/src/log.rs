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

use crate::{
    Code, Error, Problem, Request, SecurityEvent,
    metrics::Metrics,
    millis::millis,
    setting::{AWS_LAMBDA_LOG_LEVEL, STAGE as STAGE_SETTING},
};

/// The stage whose metrics are written; unset, none are.
static STAGE: OnceLock<String> = OnceLock::new();

/// The stage that the function belongs to.
pub(crate) fn stage() -> Option<&'static str> {
    STAGE.get().map(String::as_str)
}

/// Writes JSON lines to standard output, at `AWS_LAMBDA_LOG_LEVEL` (default `info`). Other crates only log warnings: at
/// lower levels some quote the data they handle.
pub(crate) fn start() -> Result<(), Error> {
    if let Some(stage) = STAGE_SETTING.variable()? {
        STAGE.get_or_init(|| stage);
    }
    let level = AWS_LAMBDA_LOG_LEVEL.variable()?.unwrap_or_default().to_lowercase();
    let level = if ["error", "warn", "debug", "trace"].contains(&level.as_str()) { level } else { "info".to_owned() };
    let filter = EnvFilter::new(format!("warn,api={level},db={level},auth={level}"));
    // Fails when a test has installed a subscriber before.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter)
        .with_writer(std::io::stdout)
        .try_init();
    // Without the message, which may quote the data being handled.
    panic::set_hook(Box::new(|info| {
        tracing::error!(location = info.location().map(ToString::to_string), "panic");
    }));
    Ok(())
}

/// A request's line, written at every log level: metrics and alarms are derived from it.
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
    problem: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(flatten)]
    metrics: Option<Metrics<'a>>,
}

pub(crate) fn request(
    request: &Request,
    status: StatusCode,
    problem: Option<&Problem>,
    duration: Duration,
    database: db::Usage,
) {
    static WARM: AtomicBool = AtomicBool::new(false);
    let event = request.security_event().or(problem.and_then(SecurityEvent::of));
    let now = Timestamp::from(SystemTime::now());
    let (user, cause) = match problem {
        Some(Problem::WrongCredentials(user)) => (*user, None),
        Some(Problem::RefreshTokenReused(user)) => (Some(*user), None),
        Some(Problem::Internal(cause) | Problem::Unavailable(cause)) => (None, Some(cause.as_str())),
        _ => (None, None),
    };
    let line = Line {
        timestamp: now,
        level: if status.is_server_error() { "ERROR" } else { "INFO" },
        message: "request",
        request_id: &request.id,
        route: &request.route,
        status: status.as_u16(),
        duration_ms: millis(duration),
        database_ms: millis(database.time),
        attempts: database.attempts,
        cold_start: !WARM.swap(true, Ordering::Relaxed),
        user: request.user().or(user),
        security_event: event.map(SecurityEvent::name),
        problem: problem.map(Problem::code),
        cause,
        metrics: stage().map(|stage| Metrics::new(stage, now, event, problem, database)),
    };
    // A request does not fail because its line cannot be written.
    let _ = serde_json::to_string(&line).map(|line| writeln!(io::stdout(), "{line}"));
}
