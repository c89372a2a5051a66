//! Statistics of the database: the queries in `monitoring/` as tables, each with what to look for, and the migrations that
//! are not applied.

use std::{io, path::Path, time::Duration};

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use migrate::Migrations;
use tokio::time::timeout;
use tokio_postgres::{Client, Error, SimpleQueryMessage, error::SqlState};

use crate::database::{config, connect, connect_for_migrations, no_answer};

/// The first line of each comment is the title, the rest is what to look for.
const QUERIES: [&str; 4] = [
    include_str!("../monitoring/connections.sql"),
    include_str!("../monitoring/slow_queries.sql"),
    include_str!("../monitoring/index_usage.sql"),
    include_str!("../monitoring/table_bloat.sql"),
];

/// The database that may have `pg_stat_statements` when the application's has not: the view shows all databases.
const MAINTENANCE_DATABASE: &str = "postgres";

/// `limit` is for connecting, and for each query.
pub(crate) async fn run(url: &str, limit: Duration) -> anyhow::Result<()> {
    let config = config(url)?;
    let client = connect(&config, limit).await?;
    for sql in QUERIES {
        let (title, rest) = comment(sql);
        println!("\n{title}\n");
        let result = match query(&client, sql, limit).await.context(title.clone())? {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                match connect(&config.at_database(MAINTENANCE_DATABASE), limit).await {
                    Ok(client) => query(&client, sql, limit).await.context(title.clone())?,
                    Err(_) => Err(error),
                }
            }
            result => result,
        };
        match result {
            Ok(messages) => println!("{}", table(&messages)),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                println!("  not available: run `CREATE EXTENSION pg_stat_statements` in this database first");
            }
            Err(error) => return Err(error).context(title),
        }
        println!("\n{rest}");
    }
    println!("\nMigrations\n");
    let database = connect_for_migrations(url, limit).await?;
    Migrations::read(Path::new("migrations"))?.list_unapplied(&database, &mut io::stdout()).await
}

/// The outer error is a timeout, the inner one the database's.
async fn query(client: &Client, sql: &str, limit: Duration) -> anyhow::Result<Result<Vec<SimpleQueryMessage>, Error>> {
    timeout(limit, client.simple_query(sql)).await.ok().with_context(|| no_answer(limit))
}

/// The first line of the leading comment, and the rest.
fn comment(sql: &str) -> (String, String) {
    let lines: Vec<_> = sql.lines().map_while(|line| line.strip_prefix("-- ")).collect();
    let (title, rest) = lines.split_first().map_or(("", &[][..]), |(title, rest)| (*title, rest));
    (title.to_owned(), rest.join("\n"))
}

fn table(messages: &[SimpleQueryMessage]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                table.set_header(columns.iter().map(|column| column.name().to_owned()));
            }
            SimpleQueryMessage::Row(row) => {
                table.add_row((0..row.len()).map(|column| row.get(column).unwrap_or("-").to_owned()));
            }
            SimpleQueryMessage::CommandComplete(0) => {
                table.add_row(["(none)"]);
            }
            _ => {}
        }
    }
    table
}
