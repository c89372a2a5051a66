//! Contracting migrations.

use std::fs;

use anyhow::Result;
use migrate::RELEASE;
use tempfile::TempDir;
use tests::database::{TestDatabase, column};

use crate::migrate::folder;

/// The second of three takes something away.
fn three_migrations(release: &str) -> Result<TempDir> {
    folder(&[
        (
            "0001_create_runs.sql",
            "CREATE TABLE runs (at SERIAL, version INTEGER); INSERT INTO runs VALUES (DEFAULT, 1);",
        ),
        ("0002_contract.sql", &format!("-- contracting: {release}\nINSERT INTO runs VALUES (DEFAULT, 2);")),
        ("0003_run_again.sql", "INSERT INTO runs VALUES (DEFAULT, 3);"),
    ])
}

async fn runs(database: &TestDatabase) -> Result<Vec<String>> {
    column(&database.connect().await?, "SELECT version::text FROM runs ORDER BY at").await
}

#[tokio::test]
async fn a_contracting_file_waits_until_it_is_asked_for_and_holds_up_no_other() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = three_migrations(RELEASE)?;
    let waiting = format!("waiting until release {RELEASE} has been live for 7 days");
    let waits = format!("0002_contract.sql is {waiting}\n");

    let printed = database.migrate(source.path(), &["up", "--dry-run"]).await?.success();
    let others = "0001_create_runs.sql would be applied\n0003_run_again.sql would be applied\n";
    assert_eq!(printed, format!("{others}{waits}"));
    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.ends_with(&waits), "{printed}");
    assert_eq!(runs(&database).await?, ["1", "3"]);

    let status = database.migrate(source.path(), &["status"]).await?.success();
    assert!(status.lines().any(|line| line.starts_with("0002") && line.ends_with(&waiting)), "{status}");
    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.starts_with("nothing to apply") && printed.ends_with(&waits), "{printed}");

    let printed = database.migrate(source.path(), &["up", "--contract"]).await?.success();
    assert!(printed.starts_with("0002_contract.sql applied in ") && !printed.contains("waiting"), "{printed}");
    assert_eq!(runs(&database).await?, ["1", "3", "2"]);
    let status = database.migrate(source.path(), &["status"]).await?.success();
    assert!(!status.contains("waiting"), "{status}");
    Ok(())
}

#[tokio::test]
async fn contracting_files_are_applied_after_all_others_and_in_order() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = three_migrations(RELEASE)?;
    let late = format!("-- contracting: {RELEASE}\nINSERT INTO runs VALUES (DEFAULT, 5);");
    fs::write(source.path().join("0005_contract.sql"), &late)?;
    database.migrate(source.path(), &["up", "--contract"]).await?.success();
    assert_eq!(runs(&database).await?, ["1", "3", "2", "5"]);

    // One that comes to be between them is out of order.
    fs::write(source.path().join("0004_contract.sql"), &late)?;
    let message = database.migrate(source.path(), &["up"]).await?.failure();
    assert!(message.starts_with("migrate: 0004_contract.sql is not applied, but 0005_contract.sql is: "), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_checkout_does_not_take_away_what_it_needs_itself() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = three_migrations("99.0.0")?;
    database.migrate(source.path(), &["up"]).await?.success();
    let message = database.migrate(source.path(), &["up", "--contract"]).await?.failure();
    assert_eq!(
        message,
        format!(
            "migrate: 0002_contract.sql takes away what releases before 99.0.0 need, and this checkout is {RELEASE}"
        )
    );
    assert_eq!(runs(&database).await?, ["1", "3"]);
    Ok(())
}

#[tokio::test]
async fn a_checkout_whose_schema_was_taken_away_is_told_which_release_to_use() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = three_migrations(RELEASE)?;
    database.migrate(source.path(), &["up", "--contract"]).await?.success();
    // As a later release's checkout would have recorded it.
    database
        .connect()
        .await?
        .batch_execute("UPDATE _sqlx_migrations SET contracting = '99.0.0' WHERE version = 2")
        .await?;
    fs::remove_file(source.path().join("0002_contract.sql"))?;
    for arguments in [&["up"][..], &["up", "--contract"], &["up", "--dry-run"], &["status"]] {
        let message = database.migrate(source.path(), arguments).await?.failure();
        assert!(
            message.starts_with("migrate: the database is ahead of this checkout: 0002_contract.sql, "),
            "{message}"
        );
        let advice = format!("need, and this is {RELEASE}: use release 99.0.0 or later");
        assert!(message.ends_with(&advice), "{message}");
    }
    Ok(())
}
