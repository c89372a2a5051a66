//! The `migrate` program, on databases of a test's own.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;
use tempfile::TempDir;
use tests::{
    command::Output,
    database::{Migrate, TestDatabase, column, connect_as_superuser, connect_to_stack, migrations, wait_for_row},
    relay::Relay,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, sql) in files {
        fs::write(folder.path().join(name), sql)?;
    }
    Ok(folder)
}

/// Two migrations that insert a row each time they run.
fn two_migrations() -> Result<TempDir> {
    folder(&[
        ("0001_create_runs.sql", "CREATE TABLE runs (version INTEGER); INSERT INTO runs VALUES (1);"),
        ("0002_run_again.sql", "INSERT INTO runs VALUES (2);"),
    ])
}

async fn runs(database: &TestDatabase) -> Result<Vec<String>> {
    column(&database.connect().await?, "SELECT version::text FROM runs ORDER BY version").await
}

/// Runs eight processes at once.
async fn run_eight(database: &TestDatabase, source: &Path) -> Result<Vec<Output>> {
    let mut processes = JoinSet::new();
    for _ in 0..8 {
        let migrate = Migrate::new(database.url(), source)?;
        processes.spawn(async { migrate.run(&["up"]).await });
    }
    processes.join_all().await.into_iter().collect()
}

#[tokio::test]
async fn up_applies_what_is_pending_in_order_and_then_nothing() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;

    let printed = database.migrate(source.path(), &["up"]).await?.success();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(lines[0].starts_with("0001_create_runs.sql applied in ") && lines[0].ends_with(" ms"), "{printed}");
    assert!(lines[1].starts_with("0002_run_again.sql applied in "), "{printed}");
    assert_eq!(runs(&database).await?, ["1", "2"]);

    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.starts_with("nothing to apply"), "{printed}");

    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;
    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.starts_with("0003_run_later.sql applied in "), "{printed}");
    assert_eq!(runs(&database).await?, ["1", "2", "3"]);
    Ok(())
}

#[tokio::test]
async fn the_products_migrations_apply_and_apply_once() -> Result<()> {
    let database = TestDatabase::migrated().await?;
    let printed = database.migrate(&migrations(), &["up"]).await?.success();
    assert!(printed.starts_with("nothing to apply"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_lists_what_is_pending_and_changes_nothing() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";

    let printed = database.migrate(source.path(), &["up", "--dry-run"]).await?.success();
    assert_eq!(printed, "0001_create_runs.sql would be applied\n0002_run_again.sql would be applied\n");
    assert_eq!(column(&database.connect().await?, tables).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn status_shows_what_is_applied_in_utc_and_what_is_pending() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    let header = "version  name                  applied at (UTC)\n";
    let second = "0002     0002_run_again.sql    pending\n";
    let behind = "the database is behind this checkout, whose code may need what is pending";

    let printed = database.migrate(source.path(), &["status"]).await?.success();
    assert_eq!(printed, format!("{header}0001     0001_create_runs.sql  pending\n{second}{behind} (2)\n"));

    fs::rename(source.path().join("0002_run_again.sql"), source.path().join("later"))?;
    database.migrate(source.path(), &["up"]).await?.success();
    fs::rename(source.path().join("later"), source.path().join("0002_run_again.sql"))?;
    let client = database.connect().await?;
    client.batch_execute("UPDATE _sqlx_migrations SET installed_on = '2026-02-03 04:05:06+00'").await?;

    let printed = database.migrate(source.path(), &["status"]).await?.success();
    assert_eq!(printed, format!("{header}0001     0001_create_runs.sql  2026-02-03 04:05:06\n{second}{behind} (1)\n"));
    Ok(())
}

#[tokio::test]
async fn a_file_changed_after_it_was_applied_is_refused() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    database.migrate(source.path(), &["up"]).await?.success();
    fs::write(source.path().join("0001_create_runs.sql"), "CREATE TABLE runs (version BIGINT);")?;
    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;

    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let run = database.migrate(source.path(), arguments).await?;
        if arguments == ["status"] {
            assert!(run.stdout.lines().any(|line| line.starts_with("0001") && line.ends_with(", changed since")));
        }
        let message = run.failure();
        assert!(message.starts_with("migrate: 0001_create_runs.sql was changed after it was applied"), "{message}");
    }
    assert_eq!(runs(&database).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_file_missing_after_it_was_applied_is_refused() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    database.migrate(source.path(), &["up"]).await?.success();
    fs::remove_file(source.path().join("0001_create_runs.sql"))?;
    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;

    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let run = database.migrate(source.path(), arguments).await?;
        if arguments == ["status"] {
            assert!(run.stdout.lines().any(|line| line.starts_with("0001") && line.ends_with(", missing")));
        }
        let message = run.failure();
        assert!(message.starts_with("migrate: 0001_create_runs.sql was applied at "), "{message}");
        assert!(message.contains("is missing from"), "{message}");
    }
    assert_eq!(runs(&database).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_checkout_without_the_newest_applied_file_is_told_that_the_database_is_ahead() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    database.migrate(source.path(), &["up"]).await?.success();
    fs::remove_file(source.path().join("0002_run_again.sql"))?;

    for arguments in [&["up"][..], &["up", "--contract"], &["up", "--dry-run"], &["status"]] {
        let run = database.migrate(source.path(), arguments).await?;
        if arguments == ["status"] {
            assert!(
                run.stdout.lines().any(|line| line.starts_with("0002") && line.ends_with("later than this checkout"))
            );
        }
        let message = run.failure();
        assert!(
            message.starts_with("migrate: the database is ahead of this checkout: 0002_run_again.sql, applied at "),
            "{message}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn two_files_with_one_number_are_refused() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    fs::write(source.path().join("0002_another.sql"), "SELECT 1;")?;
    let message = database.migrate(source.path(), &["up"]).await?.failure();
    assert_eq!(message, "migrate: 0002_another.sql and 0002_run_again.sql have the same number: renumber one of them");
    Ok(())
}

#[tokio::test]
async fn a_misnamed_file_is_refused_and_other_kinds_of_files_are_ignored() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    fs::write(source.path().join("README.md"), "How to write a migration.")?;
    database.migrate(source.path(), &["status"]).await?.success();

    fs::write(source.path().join("3-add.sql"), "SELECT 1;")?;
    let message = database.migrate(source.path(), &["up"]).await?.failure();
    assert!(message.starts_with("migrate: 3-add.sql is not a valid name for a migration"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_file_named_almost_like_a_migration_is_refused_and_backup_copies_are_ignored() -> Result<()> {
    let database = TestDatabase::create().await?;
    for name in
        ["0003_add.SQL", "0003-add.sql", "003_add.sql", "0003_add.sql.txt", "0003_add", "0003 add.sql", "add.sql"]
    {
        let source = two_migrations()?;
        fs::write(source.path().join(name), "SELECT 1;")?;
        for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
            let message = database.migrate(source.path(), arguments).await?.failure();
            assert!(
                message.starts_with(&format!("migrate: {name} is not a valid name for a migration: ")),
                "{message}"
            );
        }
    }
    let source = two_migrations()?;
    for name in ["0002_run_again.sql~", "0002_run_again.sql.orig", ".0002_run_again.sql.swp", "notes.txt"] {
        fs::write(source.path().join(name), "SELECT nonsense;")?;
    }
    database.migrate(source.path(), &["up"]).await?.success();
    assert_eq!(runs(&database).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_number_below_the_newest_applied_one_is_refused() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    database.migrate(source.path(), &["up"]).await?.success();
    fs::rename(source.path().join("0002_run_again.sql"), source.path().join("0005_run_again.sql"))?;
    let client = database.connect().await?;
    client.batch_execute("UPDATE _sqlx_migrations SET version = 5 WHERE version = 2").await?;
    fs::write(source.path().join("0003_run_late.sql"), "INSERT INTO runs VALUES (3);")?;
    fs::write(source.path().join("0006_run_later.sql"), "INSERT INTO runs VALUES (6);")?;

    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let run = database.migrate(source.path(), arguments).await?;
        assert!(!run.stdout.contains("would be applied"), "{run:?}");
        let message = run.failure();
        assert!(
            message.starts_with("migrate: 0003_run_late.sql is not applied, but 0005_run_again.sql is: "),
            "{message}"
        );
    }
    assert_eq!(runs(&database).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn checksums_do_not_depend_on_line_endings() -> Result<()> {
    let unix = [
        ("0001_create_numbers.sql", "CREATE TABLE numbers (n INTEGER);\n\nINSERT INTO numbers VALUES (1);\n"),
        ("0002_index_numbers.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY idx_numbers_n ON numbers (n);\n"),
        ("0003_say.sql", "CREATE FUNCTION say() RETURNS TEXT LANGUAGE sql AS $$\n    SELECT 'a\nb'\n$$;\n"),
    ];
    let texts: Vec<_> = unix.iter().map(|(_, text)| text.replace('\n', "\r\n")).collect();
    let windows: Vec<_> = unix.iter().zip(&texts).map(|((name, _), text)| (*name, text.as_str())).collect();
    let (unix, windows) = (folder(&unix)?, folder(&windows)?);
    let mut results = Vec::new();
    for (first, second) in [(&unix, &windows), (&windows, &unix)] {
        let database = TestDatabase::create().await?;
        database.migrate(first.path(), &["up"]).await?.success();
        for source in [first, second] {
            let printed = database.migrate(source.path(), &["up"]).await?.success();
            assert!(printed.starts_with("nothing to apply"), "{printed}");
            let printed = database.migrate(source.path(), &["status"]).await?.success();
            assert!(!printed.contains("changed"), "{printed}");
        }
        let facts = "SELECT encode(checksum, 'hex') FROM _sqlx_migrations UNION ALL SELECT prosrc FROM pg_proc
                     WHERE proname = 'say' UNION ALL SELECT say()";
        results.push(column(&database.connect().await?, facts).await?);
    }
    assert_eq!(results[0], results[1]);
    Ok(())
}

#[tokio::test]
async fn a_database_of_the_first_release_is_migrated_further() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    // As sqlx 0.9 creates and fills its table. A killed run has left no execution time.
    let client = database.connect().await?;
    let first = fs::read_to_string(source.path().join("0001_create_runs.sql"))?;
    client
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
                 version BIGINT PRIMARY KEY,
                 description TEXT NOT NULL,
                 installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
                 success BOOLEAN NOT NULL,
                 checksum BYTEA NOT NULL,
                 execution_time BIGINT NOT NULL
             );
             {first};
             INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (1, 'create runs', TRUE, sha384('{first}'), -1)"
        ))
        .await?;
    let printed = database.migrate(source.path(), &["up"]).await?.success();
    assert!(printed.starts_with("0002_run_again.sql applied in "), "{printed}");
    assert_eq!(runs(&database).await?, ["1", "2"]);

    let second = fs::read_to_string(source.path().join("0002_run_again.sql"))?;
    let row = format!(
        "SELECT description FROM _sqlx_migrations
         WHERE version = 2 AND success AND checksum = sha384('{second}') AND execution_time > 0"
    );
    assert_eq!(column(&client, &row).await?, ["run again"]);
    Ok(())
}

#[tokio::test]
async fn an_unfinished_migration_is_not_taken_for_applied() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    database.migrate(source.path(), &["up"]).await?.success();
    let client = database.connect().await?;
    client.batch_execute("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2").await?;
    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let message = database.migrate(source.path(), arguments).await?.failure();
        assert!(message.starts_with("migrate: 0002_run_again.sql was started at "), "{message}");
        assert!(message.contains("did not finish"), "{message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_read_only_database_is_reported_before_anything_else() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    let admin = connect_to_stack().await;
    admin.batch_execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name())).await?;
    for arguments in [&["up"][..], &["up", "--dry-run"]] {
        let run = database.migrate(source.path(), arguments).await?;
        assert_eq!(run.stdout, "");
        let message = run.failure();
        assert!(message.ends_with(" is read-only: default_transaction_read_only is on"), "{message}");
    }
    Ok(())
}

/// The tables that migrations have created.
async fn tables(database: &TestDatabase) -> Result<Vec<String>> {
    let tables = "SELECT relname::text FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'";
    column(&database.connect().await?, tables).await
}

#[tokio::test]
async fn a_file_that_ends_its_transaction_is_rolled_back() -> Result<()> {
    let database = TestDatabase::create().await?;
    for sql in [
        "CREATE TABLE made (n INTEGER);\nCOMMIT;",
        "CREATE TABLE made (n INTEGER);\nCOMMIT;\nSELECT nonsense;",
        "CREATE TABLE made (n INTEGER); COMMIT; SELECT 1 / 0;",
        "BEGIN;\nCREATE TABLE made (n INTEGER);\nCOMMIT;\n",
        "START TRANSACTION; CREATE TABLE made (n INTEGER); END;",
        "CREATE TABLE made (n INTEGER); COMMIT AND CHAIN; CREATE TABLE more (n INTEGER);",
        "ROLLBACK; CREATE TABLE made (n INTEGER);",
        "ABORT; BEGIN; CREATE TABLE made (n INTEGER); COMMIT; SELECT nonsense;",
        "DO $$ BEGIN CREATE TABLE made (n INTEGER); COMMIT; END $$;",
    ] {
        let source = folder(&[("0001_make.sql", sql)])?;
        let run = database.migrate(source.path(), &["up"]).await?;
        assert_eq!(run.stdout, "", "{sql}");
        let message = run.failure();
        assert!(message.starts_with("migrate: 0001_make.sql failed and was rolled back: "), "{sql}: {message}");
        assert_eq!(tables(&database).await?, [""; 0], "{sql}");
    }
    let source = folder(&[("0001_make.sql", "CREATE TABLE made (n INTEGER); COMMIT;")])?;
    let message = database.migrate(source.path(), &["up"]).await?.failure();
    assert!(message.contains("a migration runs in one transaction, which it cannot begin or end itself"), "{message}");
    Ok(())
}

#[tokio::test]
async fn transaction_keywords_in_comments_strings_and_bodies_are_allowed() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = folder(&[(
        "0001_make.sql",
        "-- COMMIT;\n/* ROLLBACK; */ CREATE TABLE made (\"COMMIT;\" TEXT DEFAULT 'BEGIN; $$ COMMIT;');
         CREATE FUNCTION f() RETURNS TEXT LANGUAGE plpgsql AS $migrate$ BEGIN RETURN 'COMMIT'; END $migrate$;
         CREATE FUNCTION g() RETURNS INTEGER LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
         INSERT INTO made SELECT f(); -- no end of line, nor semicolon after this:
         ALTER TABLE made ADD COLUMN n INTEGER",
    )])?;
    database.migrate(source.path(), &["up"]).await?.success();
    assert_eq!(tables(&database).await?, ["made"]);
    Ok(())
}

#[tokio::test]
async fn session_settings_of_a_file_do_not_affect_the_next() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = folder(&[
        ("0001_set.sql", "SET search_path = pg_catalog; SET default_transaction_read_only = on; SET ROLE pg_monitor;"),
        ("0002_set.sql", "-- no-transaction\nSELECT set_config('search_path', '', false)"),
        ("0003_make.sql", "CREATE TABLE made (n INTEGER);"),
    ])?;
    database.migrate(source.path(), &["up"]).await?.success();
    assert_eq!(tables(&database).await?, ["made"]);
    Ok(())
}

#[tokio::test]
async fn a_file_outside_a_transaction_holds_a_single_statement() -> Result<()> {
    let database = TestDatabase::create().await?;
    for sql in
        ["CREATE TABLE made (n INTEGER); CREATE TABLE more (n INTEGER);", "CREATE TABLE made (n INTEGER); COMMIT;"]
    {
        let source = folder(&[("0001_make.sql", &format!("-- no-transaction\n{sql}"))])?;
        let message = database.migrate(source.path(), &["up"]).await?.failure();
        assert!(message.contains("a `-- no-transaction` migration must be a single statement"), "{message}");
        assert_eq!(tables(&database).await?, [""; 0]);
    }
    let source = folder(&[("0001_index.sql", "CREATE INDEX CONCURRENTLY ON made (n);")])?;
    database.connect().await?.batch_execute("CREATE TABLE made (n INTEGER)").await?;
    let message = database.migrate(source.path(), &["up"]).await?.failure();
    assert!(message.contains("in a file whose first line is `-- no-transaction`"), "{message}");
    Ok(())
}

#[tokio::test]
async fn an_invalid_index_is_not_taken_for_the_one_a_file_creates() -> Result<()> {
    let if_not_exists = "INDEX CONCURRENTLY IF NOT EXISTS idx_twins_n ON twins (n);";
    for (create, state) in [
        (format!("-- no-transaction\nCREATE {if_not_exists}"), "is not applied"),
        (format!("CREATE {}", if_not_exists.replace("CONCURRENTLY ", "")), "was rolled back"),
    ] {
        let database = TestDatabase::create().await?;
        let client = database.connect().await?;
        client.batch_execute("CREATE TABLE twins (n INTEGER); INSERT INTO twins VALUES (1), (1)").await?;
        for name in ["idx_twins_n", "idx_other"] {
            let failed = format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON twins (n)");
            assert!(client.batch_execute(&failed).await.is_err());
        }
        let source = folder(&[("0001_index_twins.sql", &create)])?;
        let run = database.migrate(source.path(), &["up"]).await?;
        assert_eq!(run.stdout, "");
        let message = run.failure();
        assert!(message.contains(state) && message.contains("INVALID"), "{message}");
        assert!(message.contains("drop them (DROP INDEX CONCURRENTLY public.idx_twins_n)"), "{message}");
        let status = database.migrate(source.path(), &["status"]).await?.success();
        assert!(status.lines().any(|line| line.starts_with("0001") && line.ends_with("pending")), "{status}");

        // An invalid index that the file does not create is allowed, and a file may drop one.
        client.batch_execute("DROP INDEX CONCURRENTLY idx_twins_n").await?;
        let drop = "-- no-transaction\nDROP INDEX CONCURRENTLY idx_other;";
        fs::write(source.path().join("0002_drop_other.sql"), drop)?;
        database.migrate(source.path(), &["up"]).await?.success();
        let valid = "SELECT relname || indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                     WHERE indrelid = 'twins'::regclass";
        assert_eq!(column(&client, valid).await?, ["idx_twins_ntrue"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_looked_up() -> Result<()> {
    let database = TestDatabase::create().await?;
    // The commit waits for a lock until the connection is about to break.
    let source = folder(&[
        (
            "0001_create_runs.sql",
            "CREATE TABLE runs (version INTEGER);
             CREATE FUNCTION wait() RETURNS TRIGGER LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON runs DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW WHEN (NEW.version = 1) EXECUTE FUNCTION wait();
             INSERT INTO runs VALUES (1);",
        ),
        ("0002_run_again.sql", "INSERT INTO runs VALUES (2);"),
    ])?;
    let lock = database.connect().await?;
    lock.batch_execute("SELECT pg_advisory_lock(7)").await?;
    let (relay, url) = Relay::in_front_of(database.url()).await;
    let migrate = Migrate::new(&url, source.path())?;
    let run = tokio::spawn(async move { migrate.run(&["up"]).await });
    let waiting = "SELECT 'yes' FROM pg_stat_activity
                   WHERE datname = current_database() AND query = 'COMMIT' AND wait_event_type = 'Lock'";
    wait_for_row(&lock, waiting).await;
    relay.lose_next_answer();
    lock.batch_execute("SELECT pg_advisory_unlock(7)").await?;

    let printed = run.await??.success();
    assert_eq!(relay.answers_lost(), 1);
    assert!(printed.starts_with("0001_create_runs.sql applied in "), "{printed}");
    assert!(printed.contains("\n0002_run_again.sql applied in "), "{printed}");
    assert_eq!(runs(&database).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_password_may_have_any_character() -> Result<()> {
    let mut database = TestDatabase::create().await?;
    database.create_owner("p 🔑 ß @:/?#").await?;
    database.migrate(two_migrations()?.path(), &["up"]).await?.success();
    assert_eq!(runs(&database).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn transient_connection_errors_are_retried() -> Result<()> {
    // Too many connections (53300), then connections that are closed at once.
    let database = TestDatabase::create().await?;
    let admin = connect_as_superuser().await;
    let limit = |limit: i32| format!("ALTER DATABASE {} CONNECTION LIMIT {limit}", database.name());
    admin.batch_execute(&limit(0)).await?;
    let (relay, url) = Relay::in_front_of(database.url()).await;
    let source = two_migrations()?;
    let migrate = Migrate::new(&url, source.path())?;
    let run = tokio::spawn(async move { migrate.run(&["up", "--connect-timeout", "110"]).await });
    while relay.connections() < 3 {
        assert!(!run.is_finished(), "it gave up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.batch_execute(&limit(-1)).await?;
    run.await??.success();
    assert_eq!(runs(&database).await?, ["1", "2"]);

    let url: reqwest::Url = database.url().parse()?;
    let target = url.port().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((mut client, _)) = listener.accept().await {
            number += 1;
            if number > 3 {
                let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            }
        }
    });
    let url = database.url_with(|url| url.set_port(Some(port)).unwrap());
    Migrate::new(&url, source.path())?.run(&["status", "--connect-timeout", "110"]).await?.success();
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_not_retried() -> Result<()> {
    let database = TestDatabase::create().await?;
    let wrong = database.url_with(|url| url.set_password(Some("wrong-hunter2")).unwrap());
    let (relay, url) = Relay::in_front_of(&wrong).await;
    let source = two_migrations()?;
    let message = Migrate::new(&url, source.path())?.run(&["up", "--connect-timeout", "110"]).await?.failure();
    assert!(message.contains("refused the connection: password authentication failed for user"), "{message}");
    assert!(message.ends_with("(28P01)"), "{message}");
    assert_eq!(relay.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn a_folder_without_migrations_is_refused() -> Result<()> {
    let database = TestDatabase::create().await?;
    let empty = tempfile::tempdir()?;
    let message = database.migrate(empty.path(), &["up"]).await?.failure();
    assert!(message.starts_with("migrate: there are no migrations in "), "{message}");
    let message = database.migrate(&empty.path().join("nowhere"), &["up"]).await?.failure();
    assert!(message.starts_with("migrate: cannot read the migrations in "), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_failing_file_is_reported_and_rolled_back() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    fs::write(
        source.path().join("0002_run_again.sql"),
        "-- é, so that characters and bytes differ.\nINSERT INTO runs VALUES (2);\n\nSELECT nonsense;\n",
    )?;
    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;

    let run = database.migrate(source.path(), &["up"]).await?;
    assert!(run.stdout.starts_with("0001_create_runs.sql applied in "), "{run:?}");
    assert_eq!(
        run.failure(),
        "migrate: 0002_run_again.sql, line 4 failed and was rolled back: column \"nonsense\" does not exist (42703)"
    );
    assert_eq!(runs(&database).await?, ["1"]);

    // Once it is fixed, it and the rest are applied.
    fs::write(source.path().join("0002_run_again.sql"), "INSERT INTO runs VALUES (2);")?;
    database.migrate(source.path(), &["up"]).await?.success();
    assert_eq!(runs(&database).await?, ["1", "2", "3"]);
    Ok(())
}

#[tokio::test]
async fn a_failing_file_outside_a_transaction_reports_what_it_leaves() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = folder(&[
        ("0001_create_twins.sql", "CREATE TABLE twins (n INTEGER); INSERT INTO twins VALUES (1), (1);"),
        ("0002_index_twins.sql", "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY idx_twins_n ON twins (n);"),
    ])?;
    let message = database.migrate(source.path(), &["up"]).await?.failure();
    assert!(message.starts_with("migrate: 0002_index_twins.sql failed: "), "{message}");
    assert!(message.contains("(23505)"), "{message}");
    assert!(message.ends_with("drop them (DROP INDEX CONCURRENTLY public.idx_twins_n) before you retry"), "{message}");

    let status = database.migrate(source.path(), &["status"]).await?.success();
    assert!(status.lines().any(|line| line.starts_with("0002") && line.ends_with("pending")), "{status}");
    Ok(())
}

#[tokio::test]
async fn eight_concurrent_runs_apply_each_file_once() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    fs::write(source.path().join("0003_take_time.sql"), "SELECT pg_sleep(0.5); INSERT INTO runs VALUES (3);")?;

    let mut applied = Vec::new();
    for run in run_eight(&database, source.path()).await? {
        let printed = run.success();
        applied.extend(printed.lines().filter(|line| line.contains(" applied in ")).map(|line| line[..4].to_owned()));
    }
    applied.sort();
    assert_eq!(applied, ["0001", "0002", "0003"]);
    assert_eq!(runs(&database).await?, ["1", "2", "3"]);
    Ok(())
}

#[tokio::test]
async fn an_index_is_created_concurrently_by_eight_concurrent_runs() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = folder(&[
        ("0001_create_numbers.sql", "CREATE TABLE numbers AS SELECT generate_series(1, 200000) AS n;"),
        ("0002_index_numbers.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY idx_numbers_n ON numbers (n);"),
    ])?;

    let mut applied = 0;
    for run in run_eight(&database, source.path()).await? {
        applied += run.success().lines().filter(|line| line.contains(" applied in ")).count();
    }
    assert_eq!(applied, 2);
    let valid = "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'idx_numbers_n'::regclass";
    assert_eq!(column(&database.connect().await?, valid).await?, ["true"]);
    Ok(())
}

#[tokio::test]
async fn the_wait_for_another_migration_times_out() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = folder(&[("0001_take_time.sql", "SELECT pg_sleep(60);")])?;
    let first = Migrate::new(database.url(), source.path())?;
    let first = tokio::spawn(async move { first.run(&["up"]).await });
    let client = database.connect().await?;
    let sleeping = "SELECT pid::text FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE '/* 0001_take_time.sql */%'";
    wait_for_row(&client, sleeping).await;

    let message = database.migrate(source.path(), &["up", "--lock-timeout", "1"]).await?.failure();
    assert!(message.starts_with("migrate: another migration is still running after 1 s"), "{message}");

    // Commands that only read do not wait, and mention the running migration.
    for arguments in [&["status"][..], &["up", "--dry-run"]] {
        let printed = database.migrate(source.path(), arguments).await?.success();
        assert!(printed.contains("another migration is running now\n"), "{printed}");
    }

    // The first loses its connection, reports it, and releases the lock.
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await?;
    let message = first.await??.failure();
    assert!(message.starts_with("migrate: 0001_take_time.sql was interrupted and rolled back: "), "{message}");
    fs::write(source.path().join("0001_take_time.sql"), "SELECT 1;")?;
    database.migrate(source.path(), &["up", "--lock-timeout", "1"]).await?.success();
    Ok(())
}

#[tokio::test]
async fn a_role_with_a_statement_timeout_can_still_migrate() -> Result<()> {
    let database = TestDatabase::create().await?;
    let admin = connect_to_stack().await;
    admin.batch_execute(&format!("ALTER DATABASE {} SET statement_timeout = '200ms'", database.name())).await?;
    let source = folder(&[("0001_take_time.sql", "SELECT pg_sleep(0.5);")])?;
    database.migrate(source.path(), &["up"]).await?.success();
    Ok(())
}

#[tokio::test]
async fn the_pooled_endpoint_is_refused() -> Result<()> {
    let url = "postgres://alice:hunter2@ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require";
    let source = two_migrations()?;
    for arguments in [["up"], ["status"]] {
        let message = Migrate::new(url, source.path())?.run(&arguments).await?.failure();
        assert!(
            message.ends_with("use the direct endpoint, ep-calm-sea-123456.eu-central-1.aws.neon.tech"),
            "{message}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_url_as_neon_writes_it_works() -> Result<()> {
    let database = TestDatabase::create().await?;
    let url = database.url_with(|url| url.set_query(Some("sslmode=require&channel_binding=require")));
    let source = two_migrations()?;
    Migrate::new(&url, source.path())?.run(&["up"]).await?.success();
    assert_eq!(runs(&database).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn without_the_ca_there_is_no_connection_whatever_the_url_requires() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    for mode in ["allow", "prefer", "require", "verify-ca", "verify-full"] {
        let url = database.url_with(|url| url.set_query(Some(&format!("sslmode={mode}"))));
        for ca in [None, Some("")] {
            let run = Migrate::new(&url, source.path())?.env("DATABASE_CA_FILE", ca).run(&["up"]).await?;
            let message = run.failure();
            assert!(message.starts_with("migrate: no verified TLS connection to "), "{mode}: {message}");
            assert!(message.ends_with("set DATABASE_CA_FILE for a private CA"), "{mode}: {message}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_session_is_encrypted_even_if_the_url_only_prefers_it() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = folder(&[(
        "0001_look.sql",
        "CREATE TABLE looks AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();",
    )])?;
    let url = database.url_with(|url| url.set_query(Some("sslmode=prefer")));
    Migrate::new(&url, source.path())?.run(&["up"]).await?.success();
    assert_eq!(column(&database.connect().await?, "SELECT ssl::text FROM looks").await?, ["true"]);
    Ok(())
}

#[tokio::test]
async fn a_missing_ca_file_is_named() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    let migrate = Migrate::new(database.url(), source.path())?.env("DATABASE_CA_FILE", Some("/nowhere/ca.pem"));
    let message = migrate.run(&["up"]).await?.failure();
    assert!(
        message.starts_with("migrate: cannot read the certificates /nowhere/ca.pem (DATABASE_CA_FILE)"),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_reported_after_the_timeout() -> Result<()> {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let url = format!("postgres://alice:hunter2@127.0.0.1:{port}/db");
    let source = two_migrations()?;
    let message = Migrate::new(&url, source.path())?.run(&["up", "--connect-timeout", "1"]).await?.failure();
    assert!(
        message.starts_with(&format!("migrate: the database at 127.0.0.1:{port} cannot be reached: ")),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_reported_after_the_timeout() -> Result<()> {
    // The kernel accepts connections for it, and nothing answers.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("postgres://alice:hunter2@127.0.0.1:{}/db", silent.local_addr()?.port());
    let source = two_migrations()?;
    let message = Migrate::new(&url, source.path())?.run(&["status", "--connect-timeout", "1"]).await?.failure();
    assert!(message.ends_with("did not answer within 1 s"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_missing_database_url_is_named() -> Result<()> {
    let source = two_migrations()?;
    for value in [None, Some("")] {
        let run = Migrate::new("", source.path())?.env("DATABASE_URL_UNPOOLED", value).run(&["up"]).await?;
        let message = run.failure();
        assert_eq!(message, "migrate: no database URL: set DATABASE_URL_UNPOOLED or pass --database-url");
    }
    Ok(())
}

#[tokio::test]
async fn no_output_contains_the_password_or_the_url() -> Result<()> {
    let database = TestDatabase::create().await?;
    let source = two_migrations()?;
    let wrong = database.url_with(|url| url.set_password(Some("wrong-hunter2")).unwrap());
    // `run` checks for the URL and its password as well.
    for url in [database.url(), &wrong, &wrong.replace("postgres", "http"), &wrong.replacen('@', "@[", 1)] {
        for arguments in [&["up"][..], &["status"], &["--help"], &["up", "--help"], &["up", "--nonsense"], &["down"]] {
            let run = Migrate::new(url, source.path())?.run(arguments).await?;
            assert!(!run.stdout.contains("hunter2") && !run.stderr.contains("hunter2"), "{run:?}");
        }
    }
    let message = Migrate::new(&wrong, source.path())?.run(&["up"]).await?.failure();
    assert!(message.contains("refused the connection: password authentication failed"), "{message}");
    Ok(())
}
