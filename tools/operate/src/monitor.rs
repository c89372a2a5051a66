//! What the database tells about itself: the queries in `monitoring/`, as tables, each with what to look for.

use std::time::Duration;

use anyhow::{Context, bail};
use comfy_table::{ContentArrangement, Table, presets};
use db::Config;
use tokio::time::timeout;
use tokio_postgres::{Client, Error, SimpleQueryMessage, error::SqlState};

use crate::{
    secrets,
    stage::{Setting, Stage, Store},
};

/// The files. Their comments are the title and what to look for.
const QUERIES: [&str; 4] = [
    include_str!("../monitoring/connections.sql"),
    include_str!("../monitoring/slow_queries.sql"),
    include_str!("../monitoring/index_usage.sql"),
    include_str!("../monitoring/table_bloat.sql"),
];

/// Where `pg_stat_statements` is, if it is not in the application's database: it sees all of them from anywhere.
const ELSEWHERE: &str = "postgres";

/// Prints the tables of the database at an address, or of a stage's. `patience` is for connecting, and for each query.
pub(crate) async fn run(url: Option<String>, stage: Option<Stage>, patience: Duration) -> anyhow::Result<()> {
    let url = match (stage, url) {
        (Some(stage), _) => {
            let store = Store::new(&stage, &stage.config()?.aws().await?);
            let stored = store.read([Setting::DatabaseUrlUnpooled]).await?.remove(&Setting::DatabaseUrlUnpooled);
            stored.with_context(|| format!("{} is not stored", store.name(Setting::DatabaseUrlUnpooled)))?.value
        }
        (None, Some(url)) => url,
        (None, None) => bail!("no database is named: set STAGE or DATABASE_URL_UNPOOLED"),
    };
    let authorities = secrets::authorities()?;
    let config = Config::new(&url, authorities.as_deref()).context("the address of the database")?;
    let client = connect(&config, patience).await?;
    for sql in QUERIES {
        let (title, rest) = comment(sql);
        println!("\n{title}\n");
        let answer = match ask(&client, sql, patience).await.context(title.clone())? {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                match connect(&config.at_database(ELSEWHERE), patience).await {
                    Ok(client) => ask(&client, sql, patience).await.context(title.clone())?,
                    Err(_) => Err(error),
                }
            }
            answer => answer,
        };
        match answer {
            Ok(answer) => println!("{}", table(&answer)),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                println!("  not available: run `CREATE EXTENSION pg_stat_statements` in this database first");
            }
            Err(error) => return Err(error).context(title),
        }
        println!("\n{rest}");
    }
    Ok(())
}

async fn connect(config: &Config, patience: Duration) -> anyhow::Result<Client> {
    let connection = timeout(patience, config.connect()).await.ok().with_context(|| unanswered(patience))?;
    let (client, driver) = connection.context("the database cannot be connected to")?;
    tokio::spawn(driver);
    Ok(client)
}

/// A query's rows, or why the database does not give them. That it does not answer is an error of its own.
async fn ask(client: &Client, sql: &str, patience: Duration) -> anyhow::Result<Result<Vec<SimpleQueryMessage>, Error>> {
    timeout(patience, client.simple_query(sql)).await.ok().with_context(|| unanswered(patience))
}

fn unanswered(patience: Duration) -> String {
    format!("the database has not answered within {} s", patience.as_secs())
}

/// The first sentence of the leading comment, and the rest of it.
fn comment(sql: &str) -> (String, String) {
    let lines: Vec<_> = sql.lines().map_while(|line| line.strip_prefix("-- ")).collect();
    let (title, rest) = lines.split_first().map_or(("", &[][..]), |(title, rest)| (*title, rest));
    (title.to_owned(), rest.join("\n"))
}

fn table(answer: &[SimpleQueryMessage]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for message in answer {
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
