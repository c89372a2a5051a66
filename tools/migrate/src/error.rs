//! PostgreSQL's errors as messages.

use anyhow::{Chain, anyhow};

/// The server's message and SQLSTATE, without its details, which may repeat a row.
pub fn database_error(error: tokio_postgres::Error) -> anyhow::Error {
    anyhow!("database error: {}", describe(&error))
}

/// The server's message and SQLSTATE; without one, the error and its causes.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => Chain::new(error).map(ToString::to_string).collect::<Vec<_>>().join(": "),
    }
}
