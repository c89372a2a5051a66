use std::time::Instant;

use tokio_postgres::error::{DbError, SqlState};

use crate::{ConnectError, Constraint, Error};

/// A failed attempt at a statement.
pub(crate) struct Failure {
    pub(crate) retry: Retry,
    /// For the log.
    pub(crate) cause: String,
    /// Whether there was a connection, so that the statement may have been sent.
    sent: bool,
    /// Whether Neon's proxy refused us.
    pub(crate) is_refusal: bool,
    /// When the statement has ended for certain, if the server has not said so.
    pub(crate) ends_by: Option<Instant>,
}

impl Failure {
    pub(crate) fn no_connection(error: &ConnectError) -> Self {
        let cause = cause_of_no_connection(error);
        tracing::warn!(cause, "the database was not reached");
        let is_refusal = error.as_db_error().is_some_and(|error| *error.code() == SqlState::INTERNAL_ERROR);
        Self { retry: classify(error.as_db_error()), cause, sent: false, is_refusal, ends_by: None }
    }

    pub(crate) fn connect_timeout(since: Instant) -> Self {
        let cause = timeout_message("while connecting", since);
        tracing::warn!(cause, "the database was not reached");
        Self { retry: Retry::AfterTimeout, cause, sent: false, is_refusal: false, ends_by: None }
    }

    pub(crate) fn after_sending(retry: Retry, cause: String, ends_by: Option<Instant>) -> Self {
        if !matches!(retry, Retry::Never(_)) {
            tracing::warn!(cause, "the statement failed");
        }
        Self { retry, cause, sent: true, is_refusal: false, ends_by }
    }

    /// Whether the statement may have been executed.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.sent && !matches!(self.retry, Retry::OnSameConnection)
    }
}

/// When a failed statement can be retried.
#[derive(Debug)]
pub(crate) enum Retry {
    /// The statement is at fault; the connection is fine.
    Never(Error),
    /// The server rolled the statement back because of a lock, a limit or other statements; the connection is fine.
    OnSameConnection,
    /// The server closed the connection. The statement has ended, and may have been executed.
    OnNewConnection,
    /// The statement may have been executed, or may still be running: retry when it must have ended.
    AfterTimeout,
    /// The password, the role or the database is wrong.
    WithNewConfig,
    /// [`Retry::AfterTimeout`] or [`Retry::WithNewConfig`]: the error does not say which.
    Unclear,
}

/// Classifies a failure by its SQLSTATE (PostgreSQL manual, appendix A).
///
/// - No SQLSTATE: the connection was refused, closed or lost.
/// - `OnSameConnection`: 40 (deadlock, serialization), 53 (out of resources), 55P03 (`lock_timeout`), 57014
///   (`statement_timeout`).
/// - `OnNewConnection`: other 57 (shutdown, failover), 58 (system), 25006 (a primary has become a replica).
/// - `AfterTimeout`: 08, a pooler's word for its own connection to the server.
/// - `Never`: 22 and 42 (the statement), 23 (a constraint, but for one that a sweep of tags violates).
/// - `WithNewConfig`: 28 and 3D (role, password, database).
/// - `Unclear`: 08P01, PgBouncer's code for a wrong password as for a server that is down, and XX, the code of Neon's proxy
///   for everything, also while it wakes a database.
pub(crate) fn classify(error: Option<&DbError>) -> Retry {
    let Some(error) = error else { return Retry::AfterTimeout };
    let code = error.code();
    match &code.code()[..2] {
        _ if *code == SqlState::PROTOCOL_VIOLATION => Retry::Unclear,
        _ if [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].contains(code) => Retry::OnSameConnection,
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Retry::OnNewConnection,
        "40" | "53" => Retry::OnSameConnection,
        "57" | "58" => Retry::OnNewConnection,
        "08" => Retry::AfterTimeout,
        "XX" => Retry::Unclear,
        "28" | "3D" => Retry::WithNewConfig,
        "23" => match error.constraint().and_then(Constraint::by_name) {
            Some(Constraint::TaskOwner) => Retry::Never(Error::SessionEnded),
            Some(Constraint::TaskTag) => Retry::OnSameConnection,
            Some(constraint) => Retry::Never(Error::Violated(constraint)),
            None => Retry::Never(Error::Internal(code.code().to_owned())),
        },
        _ => Retry::Never(Error::Internal(code.code().to_owned())),
    }
}

/// Why there is no connection, for the log. The server's message cannot quote values, since no statement was sent; it may
/// name the role.
pub(crate) fn cause_of_no_connection(error: &ConnectError) -> String {
    match error.as_db_error() {
        Some(error) => format!("SQLSTATE {}: {}", error.code().code(), error.message()),
        None => chain(error),
    }
}

/// Why a statement failed, for the log: of the server's answer the SQLSTATE only, because a message may quote values.
pub(crate) fn cause_after_sending(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| chain(error), |code| format!("SQLSTATE {}", code.code()))
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// For the log.
pub(crate) fn timeout_message(what: &str, since: Instant) -> String {
    format!("no answer in {} s, {what}", since.elapsed().as_secs_f32().round())
}
