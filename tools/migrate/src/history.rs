//! The table of applied migrations, `_sqlx_migrations`. The first release used sqlx 0.9; this is its format, with a column
//! of our own.

use std::time::Duration;

use tokio_postgres::types::Type;

use crate::{
    database::{Database, Params},
    error::database_error,
    kind::Kind,
    migration::{Migration, file_name},
};

pub(crate) const CREATE_TABLE: &str = "
CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);
ALTER TABLE _sqlx_migrations ADD COLUMN IF NOT EXISTS contracting TEXT";

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) checksum: Vec<u8>,
    /// False when sqlx was interrupted; this tool writes no such rows.
    pub(crate) success: bool,
    /// In UTC, without the fraction of the second.
    pub(crate) at: String,
    /// Of a contracting migration, the first release that can do without what it took away.
    pub(crate) contracting: Option<String>,
}

impl Applied {
    /// The name of the file that was applied.
    pub(crate) fn file_name(&self) -> String {
        file_name(self.version, &self.description)
    }
}

impl Database {
    /// The rows by version; none when there is no table.
    pub(crate) async fn history(&self) -> anyhow::Result<Vec<Applied>> {
        if !self.query_bool("SELECT to_regclass('_sqlx_migrations') IS NOT NULL", &[]).await? {
            return Ok(Vec::new());
        }
        // By way of JSON, as the column may be missing.
        let rows = "SELECT version, description, checksum, success,
                        to_char(installed_on AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at,
                        to_jsonb(applied) ->> 'contracting' AS contracting
                    FROM _sqlx_migrations AS applied ORDER BY version";
        let rows = self.client.query_typed(rows, &[]).await.map_err(database_error)?;
        let read = |row: &tokio_postgres::Row| {
            Ok(Applied {
                version: row.try_get("version")?,
                description: row.try_get("description")?,
                checksum: row.try_get("checksum")?,
                success: row.try_get("success")?,
                at: row.try_get("at")?,
                contracting: row.try_get("contracting")?,
            })
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(database_error)
    }

    pub(crate) async fn record(&self, migration: &Migration, took: Duration) -> Result<u64, tokio_postgres::Error> {
        let insert =
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time, contracting)
                      VALUES ($1, $2, TRUE, $3, $4, $5)";
        let nanoseconds = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        let contracting = match &migration.kind {
            Kind::Contracting { release } => Some(release.to_string()),
            _ => None,
        };
        let values: Params<'_> = &[
            (&migration.version, Type::INT8),
            (&migration.description, Type::TEXT),
            (&migration.checksum, Type::BYTEA),
            (&nanoseconds, Type::INT8),
            (&contracting, Type::TEXT),
        ];
        self.client.execute_typed(insert, values).await
    }
}
