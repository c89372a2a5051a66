mod json;
mod origin;

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
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

pub(crate) use self::origin::Invocation;
use self::{json::Json, origin::Origin};
use crate::{
    Code, Error, Problem, Request, SecurityEvent,
    metrics::Metrics,
    millis::millis,
    setting::{AWS_LAMBDA_LOG_LEVEL, STAGE as STAGE_SETTING},
};

/// The stage whose metrics are written; unset, none are.
static STAGE: OnceLock<String> = OnceLock::new();

/// How long the Parameter Store took when the function started; unset without a call to it.
static SETTINGS_TIME: OnceLock<Duration> = OnceLock::new();

/// The stage that the function belongs to.
pub(crate) fn stage() -> Option<&'static str> {
    STAGE.get().map(String::as_str)
}

/// Records how long the settings took to fetch. Only the first time counts: later ones are renewals.
pub(crate) fn record_settings(time: Duration) {
    SETTINGS_TIME.get_or_init(|| time);
}

/// Writes JSON lines to standard output, at `AWS_LAMBDA_LOG_LEVEL` (default `info`). Other crates only log warnings: at
/// lower levels some quote the data they handle.
pub(crate) fn start() -> Result<(), Error> {
    if let Some(stage) = STAGE_SETTING.variable()? {
        STAGE.get_or_init(|| stage);
    }
    origin::start()?;
    let level = match AWS_LAMBDA_LOG_LEVEL.variable()?.unwrap_or_default().to_lowercase().as_str() {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    let targets =
        Targets::new().with_default(LevelFilter::WARN).with_targets(["api", "db", "auth"].map(|own| (own, level)));
    let lines = fmt::layer().event_format(Json).with_writer(io::stdout);
    // Fails when a test has installed a subscriber before.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
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
    #[serde(flatten)]
    origin: Origin,
    route: &'a str,
    status: u16,
    duration_ms: f64,
    database_ms: f64,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashing_ms: Option<f64>,
    cold_start: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings_ms: Option<f64>,
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

/// What a request took.
pub(crate) struct Times {
    pub(crate) whole: Duration,
    pub(crate) database: db::Usage,
    pub(crate) hashing: Duration,
}

pub(crate) fn request(request: &Request, status: StatusCode, problem: Option<&Problem>, times: &Times) {
    static WARM: AtomicBool = AtomicBool::new(false);
    let cold_start = !WARM.swap(true, Ordering::Relaxed);
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
        origin: Origin::current(),
        route: &request.route,
        status: status.as_u16(),
        duration_ms: millis(times.whole),
        database_ms: millis(times.database.time),
        attempts: times.database.attempts,
        hashing_ms: Some(times.hashing).filter(|time| !time.is_zero()).map(millis),
        cold_start,
        settings_ms: SETTINGS_TIME.get().filter(|_| cold_start).copied().map(millis),
        user: request.user().or(user),
        security_event: event.map(SecurityEvent::name),
        problem: problem.map(Problem::code),
        cause,
        metrics: stage().map(|stage| Metrics::new(stage, now, event, problem, times.database)),
    };
    // A request does not fail because its line cannot be written.
    let _ = serde_json::to_string(&line).map(|line| writeln!(io::stdout(), "{line}"));
}
