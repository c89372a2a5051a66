//! Batched migrations.

use anyhow::Result;
use tempfile::TempDir;
use tests::database::{Migrate, TestDatabase, column};
use tokio_postgres::Client;

use crate::migrate::folder;

/// Fills a row once: a second time fails.
const FILL: &str = "-- batched numbers
UPDATE numbers SET filled = filled + 1 WHERE ctid >= $1 AND ctid < $2 AND filled = 0;
";

/// A table of 20,000 rows, many on a page.
const NUMBERS: &str = "
    CREATE TABLE numbers (n INTEGER, filled INTEGER NOT NULL DEFAULT 0 CHECK (filled < 2));
    INSERT INTO numbers SELECT generate_series(1, 20000);";

async fn database_with(sql: &str) -> Result<(TestDatabase, Client)> {
    let database = TestDatabase::create().await?;
    let client = database.connect().await?;
    client.batch_execute(sql).await?;
    Ok((database, client))
}

async fn unfilled(client: &Client) -> Result<Vec<String>> {
    column(client, "SELECT count(*)::text FROM numbers WHERE filled = 0").await
}

#[tokio::test]
async fn every_row_is_changed_once_and_the_file_is_then_applied() -> Result<()> {
    let (database, client) = database_with(NUMBERS).await?;
    let source = folder(&[("0001_fill.sql", FILL), ("0002_check.sql", "ALTER TABLE numbers ADD CHECK (filled = 1);")])?;
    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.starts_with("0001_fill.sql applied in ") && printed.contains("\n0002_check.sql applied in "));
    assert_eq!(unfilled(&client).await?, ["0"]);
    assert_eq!(column(&client, "SELECT version::text FROM _migration_batches").await?, [""; 0]);
    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.starts_with("nothing to apply"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_table_without_rows_is_done_at_once() -> Result<()> {
    let (database, _) = database_with("CREATE TABLE numbers (filled INTEGER)").await?;
    let source = folder(&[("0001_fill.sql", FILL)])?;
    database.migrate(source.path(), &["up"]).await?.success();
    Ok(())
}

/// A database whose migration was killed on its way through 200 pages with a row each. Reading a row is recorded in
/// `reads`, and changing one took 50 ms until now.
async fn killed_halfway() -> Result<(TestDatabase, Client, TempDir)> {
    let (database, client) = database_with(
        "CREATE TABLE numbers (n INTEGER, filled INTEGER NOT NULL DEFAULT 0, padding TEXT) WITH (autovacuum_enabled = off);
         ALTER TABLE numbers ALTER COLUMN padding SET STORAGE PLAIN;
         INSERT INTO numbers SELECT n, 0, repeat('x', 5000) FROM generate_series(1, 200) AS n;
         CREATE TABLE reads (n INTEGER);
         CREATE FUNCTION is_empty(numbers) RETURNS BOOLEAN LANGUAGE plpgsql AS
             'BEGIN INSERT INTO reads VALUES ($1.n); RETURN $1.filled = 0; END';
         CREATE FUNCTION take_time() RETURNS TRIGGER LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';
         CREATE TRIGGER take_time BEFORE UPDATE ON numbers FOR EACH ROW EXECUTE FUNCTION take_time()",
    )
    .await?;
    let source = folder(&[("0001_fill.sql", &FILL.replace("filled = 0", "is_empty(numbers)"))])?;

    let mut run = Migrate::new(database.url(), source.path())?.start(&["up"])?;
    let line = run.line_with("0001_fill.sql: ").await?;
    assert!(line.contains(" of about 200 rows (") && line.ends_with(" rows a second"), "{line}");
    run.kill().await?;
    client.batch_execute("DROP TRIGGER take_time ON numbers").await?;
    let status = database.migrate(source.path(), &["status"]).await?.success();
    assert!(status.contains("  pending, after ") && status.contains(" of about 200 rows ("), "{status}");
    Ok((database, client, source))
}

#[tokio::test]
async fn a_killed_run_is_continued_where_it_stopped() -> Result<()> {
    let (database, client, source) = killed_halfway().await?;
    let filled: i64 = client.query_typed_one("SELECT sum(filled) FROM numbers", &[]).await?.try_get(0)?;
    assert!(0 < filled && filled < 200, "{filled}");
    database.migrate(source.path(), &["up"]).await?.success();
    assert_eq!(unfilled(&client).await?, ["0"]);
    // Once by the pass that changed it, in either run, and once by the pass that found nothing.
    let reads = "SELECT DISTINCT count(*)::text FROM reads GROUP BY n";
    assert_eq!(column(&client, reads).await?, ["2"]);
    Ok(())
}

#[tokio::test]
async fn rows_that_were_moved_before_the_run_is_continued_are_found() -> Result<()> {
    let (database, client, source) = killed_halfway().await?;
    // What was not reached comes first.
    client.batch_execute("CREATE INDEX backwards ON numbers (n DESC); CLUSTER numbers USING backwards").await?;
    database.migrate(source.path(), &["up"]).await?.success();
    assert_eq!(unfilled(&client).await?, ["0"]);
    Ok(())
}

#[tokio::test]
async fn a_batch_with_a_locked_row_is_tried_again() -> Result<()> {
    let (database, client) = database_with(NUMBERS).await?;
    let source = folder(&[("0001_fill.sql", FILL)])?;
    client.batch_execute("BEGIN; SELECT FROM numbers WHERE n = 10000 FOR UPDATE").await?;
    let mut run = Migrate::new(database.url(), source.path())?.start(&["up"])?;
    let line = run.line_with("0001_fill.sql was rolled back: ").await?;
    assert!(line.contains("(55P03)"), "{line}");
    // Batches before it stay.
    let other = database.connect().await?;
    assert_ne!(unfilled(&other).await?, ["20000"]);
    client.batch_execute("COMMIT").await?;
    run.finish().await?;
    assert_eq!(unfilled(&client).await?, ["0"]);
    Ok(())
}

#[tokio::test]
async fn a_statement_that_would_read_more_than_its_batch_is_refused() -> Result<()> {
    let (database, client) = database_with(NUMBERS).await?;
    client.batch_execute("CREATE TABLE others AS SELECT * FROM numbers").await?;
    for (sql, message) in [
        ("UPDATE numbers SET filled = 1 WHERE filled = 0", "would read more of numbers than its batch"),
        ("UPDATE others SET filled = 1 WHERE ctid >= $1 AND ctid < $2", "would read more of numbers than its batch"),
        ("UPDATE numbers SET filled = 1 WHERE ctid >= $1; DELETE FROM others", "multiple commands"),
        ("UPDATE numbers SET nothing = 1 WHERE ctid >= $1 AND ctid < $2", "\"nothing\""),
        ("TRUNCATE numbers", "syntax error"),
    ] {
        let source = folder(&[("0001_fill.sql", &format!("-- batched numbers\n{sql};\n"))])?;
        let failure = database.migrate(source.path(), &["up"]).await?.failure();
        assert!(failure.starts_with("migrate: 0001_fill.sql ") && failure.contains(message), "{sql}: {failure}");
        assert_eq!(unfilled(&client).await?, ["20000"], "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_matches_what_it_has_changed_is_given_up() -> Result<()> {
    let (database, _) = database_with("CREATE TABLE numbers AS SELECT 0 AS filled").await?;
    let source = folder(&[("0001_fill.sql", &FILL.replace(" AND filled = 0", ""))])?;
    let failure = database.migrate(source.path(), &["up"]).await?.failure();
    assert!(failure.contains("0001_fill.sql still finds rows to change after "), "{failure}");
    Ok(())
}
