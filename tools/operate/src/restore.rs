//! Brings back an account, or tasks of it, from a database that has the past. What is there now stays as it is.
//!
//! Rows travel as JSON, a batch at a time, and are inserted by the names of their columns: the two databases need not have
//! the same migrations.

mod past;
mod plan;
mod present;

use std::str::FromStr;

use anyhow::{Context, ensure};
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

use self::{past::Past, plan::Plan, present::Present};
use crate::prompt::confirm;

/// What to bring back.
pub(crate) struct Request {
    pub(crate) account: Uuid,
    /// Tasks alone; without them, the account with all its tasks.
    pub(crate) tasks: Option<Tasks>,
    /// The account that gets the tasks; by default the one they were of.
    pub(crate) into: Option<Uuid>,
}

#[derive(Clone)]
pub(crate) enum Tasks {
    All,
    These(Vec<Uuid>),
}

impl FromStr for Tasks {
    type Err = uuid::Error;

    /// Parses `all`, or ids with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "all" => Ok(Self::All),
            ids => ids.split(',').map(|id| id.trim().parse()).collect::<Result<_, _>>().map(Self::These),
        }
    }
}

/// Shows what would come back from the database at `from` to the one at `url`, asks unless `yes`, and does it in one
/// transaction.
pub(crate) async fn run(from: &str, url: &str, request: &Request, yes: bool) -> anyhow::Result<()> {
    let past = Past::open(from, url).await.context("FROM")?;
    let present = Present::open(url).await?;
    let plan = Plan::new(&past, &present, request).await?;
    print!("{plan}");
    if plan.is_empty() {
        println!("nothing is missing, and nothing was changed");
        return Ok(());
    }
    ensure!(yes || confirm("Bring this back?")?, "nothing was changed");
    println!("{}", present.restore(&past, &plan).await.context("nothing was changed")?);
    Ok(())
}

/// The names of a table's columns, quoted; none if there is no such table.
async fn columns(client: &Client, table: &str) -> anyhow::Result<Vec<String>> {
    let sql = "SELECT quote_ident(attname) FROM pg_attribute
        WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let rows = client.query_typed(sql, &[(&table, Type::TEXT)]).await.map_err(migrate::database_error)?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The ids that a query returns.
async fn ids(client: &Client, sql: &str, of: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
    let rows = client.query_typed(sql, &[(&of, Type::UUID_ARRAY)]).await.map_err(migrate::database_error)?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_all_or_a_list_of_ids() {
        let id = "00000000-0000-4000-8000-000000000001";
        assert!(matches!("all".parse(), Ok(Tasks::All)));
        for (text, count) in [(id.to_owned(), 1), (format!("{id}, {id}"), 2)] {
            assert!(matches!(text.parse(), Ok(Tasks::These(ids)) if ids.len() == count), "{text}");
        }
        for text in ["", "none", "1", &format!("{id},")] {
            assert!(text.parse::<Tasks>().is_err(), "{text}");
        }
    }
}
