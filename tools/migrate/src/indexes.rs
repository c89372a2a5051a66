//! Indexes that PostgreSQL does not use, because a `CREATE INDEX CONCURRENTLY` failed or has not finished.

use tokio_postgres::{Client, Error};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidIndex {
    /// With its schema, quoted where needed.
    full_name: String,
    name: String,
}

impl InvalidIndex {
    /// Whether the SQL contains the index's name as a whole word.
    pub(crate) fn is_named_in(&self, sql: &str) -> bool {
        let (sql, name) = (sql.to_lowercase(), self.name.to_lowercase());
        let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        sql.match_indices(&name).any(|(at, _)| {
            let (before, after) = (&sql[..at], &sql[at + name.len()..]);
            !is_word(before.chars().next_back()) && !is_word(after.chars().next())
        })
    }
}

/// All of the database. An index of a partitioned table is left out: it is invalid until every partition has its own.
pub(crate) async fn invalid_indexes(client: &Client) -> Result<Vec<InvalidIndex>, Error> {
    let invalid = "SELECT format('%I.%I', nspname, relname) AS full_name, relname::text AS name
                   FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                   JOIN pg_namespace ON pg_namespace.oid = relnamespace
                   WHERE NOT indisvalid AND relkind = 'i' AND nspname !~ '^pg_' ORDER BY 1";
    let rows = client.query_typed(invalid, &[]).await?;
    rows.iter()
        .map(|row| Ok(InvalidIndex { full_name: row.try_get("full_name")?, name: row.try_get("name")? }))
        .collect()
}

/// What to do about the indexes that a migration left.
pub(crate) fn advice(invalid: &[InvalidIndex]) -> String {
    let names: Vec<_> = invalid.iter().map(|index| index.full_name.as_str()).collect();
    let names = names.join(", ");
    if names.is_empty() {
        return "it ran outside a transaction: what it committed stays; no INVALID index is left".to_owned();
    }
    format!(
        "a CREATE INDEX CONCURRENTLY failed or is still running and left INVALID indexes: drop them (DROP INDEX \
         CONCURRENTLY {names}) before you retry"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_named_where_its_name_is_a_whole_word() {
        let index = InvalidIndex { full_name: "public.idx_a".to_owned(), name: "idx_a".to_owned() };
        for sql in ["CREATE INDEX IF NOT EXISTS idx_a ON a (b)", "drop index public.IDX_A;", "\"idx_a\"", "idx_a"] {
            assert!(index.is_named_in(sql), "{sql}");
        }
        for sql in ["", "CREATE INDEX idx_ab ON a (b)", "my_idx_a", "idx_a$"] {
            assert!(!index.is_named_in(sql), "{sql}");
        }
    }
}
