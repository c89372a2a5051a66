use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, types::Type};

use super::{LEFT_OUT, SCHEMA};

/// Rows are hashed as text, which these have a say in.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';
    SET bytea_output = 'hex'; SET extra_float_digits = 1";

/// The tables of the schema, but for those of extensions.
const TABLES: &str = "
    SELECT relname::text FROM pg_class
    WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' AND relname <> ALL ($2)
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
    ORDER BY relname";

/// What a backup has.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Contents {
    /// As in `2026-11-24T10-14-59Z`.
    pub(super) taken_at: String,
    /// The major version of the `pg_dump` that wrote it.
    pub(super) pg_dump: u32,
    pub(super) tables: Tables,
}

/// By name.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Tables(BTreeMap<String, Table>);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Table {
    rows: i64,
    /// The sum of the beginnings of all rows' hashes, whatever their order.
    checksum: String,
}

impl Tables {
    /// Reads all tables, as of the client's transaction if it is in one.
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        client.batch_execute(SETTINGS).await.map_err(migrate::database_error)?;
        let names = client.query_typed(TABLES, &[(&SCHEMA, Type::TEXT), (&&LEFT_OUT[..], Type::TEXT_ARRAY)]).await;
        let mut tables = BTreeMap::new();
        for row in names.map_err(migrate::database_error)? {
            let name: String = row.try_get(0)?;
            let sql = format!(
                r#"SELECT count(*), COALESCE(sum((
                    'x' || left(encode(sha256(convert_to(whole_row::text, 'UTF8')), 'hex'), 16)
                )::bit(64)::bigint::numeric), 0)::text
                FROM {SCHEMA}."{name}" AS whole_row"#,
                name = name.replace('"', r#""""#)
            );
            let row = client.query_typed_one(&sql, &[]).await.map_err(migrate::database_error)?;
            tables.insert(name, Table { rows: row.try_get(0)?, checksum: row.try_get(1)? });
        }
        Ok(Self(tables))
    }

    /// How many tables and rows there are.
    pub(super) fn size(&self) -> String {
        let rows: i64 = self.0.values().map(|table| table.rows).sum();
        format!("{} tables with {rows} rows", self.0.len())
    }

    /// # Errors
    /// A restored table is not the same as here.
    pub(super) fn ensure_equal(&self, restored: &Self) -> anyhow::Result<()> {
        let names: BTreeSet<_> = self.0.keys().chain(restored.0.keys()).collect();
        let rows = |tables: &Self, name| tables.0.get(name).map_or_else(|| "none".to_owned(), |it| it.rows.to_string());
        let differ = names.into_iter().filter(|name| self.0.get(*name) != restored.0.get(*name));
        let list =
            differ.map(|name| format!("{name} (rows: {}, restored: {})", rows(self, name), rows(restored, name)));
        let list = list.collect::<Vec<_>>();
        ensure!(list.is_empty(), "what was restored is not what was backed up: {}", list.join(", "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(tables: &[(&str, i64, &str)]) -> Tables {
        let table = |(name, rows, checksum): &(&str, i64, &str)| {
            ((*name).to_owned(), Table { rows: *rows, checksum: (*checksum).to_owned() })
        };
        Tables(tables.iter().map(table).collect())
    }

    #[test]
    fn tables_differ_by_rows_by_checksum_or_by_being_there() {
        let before = tables(&[("a", 1, "1"), ("b", 2, "2"), ("c", 3, "3"), ("d", 4, "4")]);
        let after = tables(&[("a", 1, "1"), ("b", 3, "2"), ("c", 3, "4"), ("e", 0, "0")]);
        before.ensure_equal(&before).unwrap();
        let error = before.ensure_equal(&after).unwrap_err().to_string();
        let differences = "b (rows: 2, restored: 3), c (rows: 3, restored: 3), d (rows: 4, restored: none), \
                           e (rows: none, restored: 0)";
        assert!(error.ends_with(differences), "{error}");
        assert_eq!(before.size(), "4 tables with 10 rows");
    }
}
