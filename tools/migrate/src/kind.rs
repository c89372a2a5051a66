//! The kinds of migrations. The first line of a file says which one it is.

use anyhow::{Context, anyhow};
use semver::Version;

const NO_TRANSACTION: &str = "-- no-transaction";

/// How a migration is applied, and when.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In one transaction.
    Plain,
    /// `-- no-transaction`: a single statement, outside a transaction.
    NoTransaction,
    /// `-- batched TABLE`: a single statement, for one range of the table's blocks after the other.
    Batched { table: String },
    /// `-- contracting: RELEASE`: in one transaction, when no release before this one can come back.
    Contracting { release: Version },
}

impl Kind {
    /// # Errors
    /// The first line is almost that of a batched or contracting migration.
    pub(crate) fn of(sql: &str) -> anyhow::Result<Self> {
        let line = sql.lines().next().unwrap_or_default().trim_end();
        if line.starts_with(NO_TRANSACTION) {
            return Ok(Self::NoTransaction);
        }
        let comment = line.strip_prefix("--").unwrap_or_default().trim_start().to_lowercase();
        if comment.starts_with("batched") {
            let table = line.strip_prefix("-- batched ").filter(|table| is_plain_name(table));
            let table =
                table.with_context(|| format!("is `{line}`: write `-- batched TABLE`, as in `-- batched tasks`"))?;
            return Ok(Self::Batched { table: table.to_owned() });
        }
        if comment.starts_with("contracting") {
            let release = line.strip_prefix("-- contracting: ").and_then(|release| release.parse().ok());
            let example = || anyhow!("is `{line}`: write `-- contracting: RELEASE`, as in `-- contracting: 0.2.0`");
            return Ok(Self::Contracting { release: release.ok_or_else(example)? });
        }
        Ok(Self::Plain)
    }
}

/// Whether a name means the same in SQL with and without quotes.
fn is_plain_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty() && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_the_kind() {
        let batched = Kind::Batched { table: "tasks".to_owned() };
        let contracting = Kind::Contracting { release: Version::new(0, 2, 0) };
        for (sql, kind) in [
            ("-- no-transaction\nSELECT 1", Kind::NoTransaction),
            ("-- batched tasks\nUPDATE tasks", batched),
            ("-- contracting: 0.2.0\nDROP TABLE a", contracting),
            ("-- Columns.\n-- batched tasks\n", Kind::Plain),
            ("", Kind::Plain),
        ] {
            assert_eq!(Kind::of(sql).unwrap(), kind, "{sql}");
        }
    }

    #[test]
    fn a_first_line_that_is_almost_right_is_refused() {
        for line in ["-- batched", "--batched tasks", "-- batched: tasks", "-- Batched tasks", "-- batched a, b"] {
            assert!(Kind::of(line).unwrap_err().to_string().contains("write `-- batched TABLE`"), "{line}");
        }
        for line in ["-- contracting", "-- contracting 0.2.0", "-- contracting: 0.2", "--contracting: 0.2.0"] {
            assert!(Kind::of(line).unwrap_err().to_string().contains("write `-- contracting: RELEASE`"), "{line}");
        }
    }
}
