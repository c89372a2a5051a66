//! Migrations that do not get a lock on a table.

use anyhow::Result;
use tempfile::TempDir;
use tests::database::{Migrate, TestDatabase, column, wait_for_row};
use tokio_postgres::Client;

use crate::migrate::folder;

const FILES: [(&str, &str); 2] = [
    ("0001_create_runs.sql", "CREATE TABLE runs (n INTEGER); INSERT INTO runs VALUES (1);"),
    (
        "0002_add_column.sql",
        "SET LOCAL lock_timeout = '100ms';
         INSERT INTO runs VALUES (2);
         ALTER TABLE runs ADD COLUMN m INTEGER;",
    ),
];

/// A database whose next migration, in the folder, does not get its lock while the client is in its transaction.
async fn blocked() -> Result<(TestDatabase, TempDir, Client)> {
    let database = TestDatabase::create().await?;
    database.migrate(folder(&FILES[..1])?.path(), &["up"]).await?.success();
    let holder = database.connect().await?;
    holder.batch_execute("BEGIN; SELECT * FROM runs").await?;
    Ok((database, folder(&FILES)?, holder))
}

#[tokio::test]
async fn a_migration_that_gets_no_lock_is_tried_again_and_applied_once() -> Result<()> {
    let (database, source, holder) = blocked().await?;

    let mut run = Migrate::new(database.url(), source.path())?.start(&["up"])?;
    let line = run.line_with("the next attempt is in 1 s").await?;
    assert!(line.starts_with("0002_add_column.sql was rolled back: ") && line.contains("(55P03)"), "{line}");
    run.line_with("the next attempt is in 2 s").await?;
    // What it inserted is gone, and requests go on between the attempts.
    holder.batch_execute("COMMIT").await?;
    run.line_with("0002_add_column.sql applied in ").await?;
    run.finish().await?;
    assert_eq!(column(&holder, "SELECT n::text FROM runs ORDER BY n").await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_migration_that_never_gets_a_lock_is_reported() -> Result<()> {
    let (database, source, holder) = blocked().await?;

    let message = database.migrate(source.path(), &["up", "--retry-time", "0"]).await?.failure();
    assert!(message.starts_with("migrate: 0002_add_column.sql"), "{message}");
    assert!(message.contains("failed and was rolled back: ") && message.contains("(55P03)"), "{message}");
    assert!(message.ends_with("or raise `migrate up --retry-time`"), "{message}");
    holder.batch_execute("COMMIT").await?;
    database.migrate(source.path(), &["up"]).await?.success();
    Ok(())
}

#[tokio::test]
async fn autovacuum_gives_way_to_a_migration_that_waits_only_shortly() -> Result<()> {
    let database = TestDatabase::create().await?;
    let client = database.connect().await?;
    // Autovacuum comes within a minute, and then takes hours.
    let slow =
        "CREATE TABLE runs (n INTEGER) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
                    autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
                INSERT INTO runs SELECT generate_series(1, 500000);
                DELETE FROM runs WHERE n > 1;";
    client.batch_execute(slow).await?;
    let vacuumed = "SELECT 'yes' FROM pg_locks WHERE relation = 'runs'::regclass AND mode = 'ShareUpdateExclusiveLock'";
    wait_for_row(&client, vacuumed).await;

    let source =
        folder(&[("0001_add_column.sql", "SET LOCAL lock_timeout = '500ms'; ALTER TABLE runs ADD COLUMN m INTEGER;")])?;
    // On a busy machine autovacuum may need more than one attempt to notice that it is cancelled.
    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.contains("0001_add_column.sql applied in "), "{printed}");
    Ok(())
}
