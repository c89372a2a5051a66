//! `tools/migrate`, run as a program on databases of its own.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use tempfile::TempDir;
use tests::{
    database::{Migrate, Run, Scratch, column, connect, direct_url, superuser_url},
    relay::Relay,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, sql) in files {
        fs::write(folder.path().join(name), sql)?;
    }
    Ok(folder)
}

/// Two migrations that leave a trace each time they run.
fn two() -> Result<TempDir> {
    folder(&[
        ("0001_create_runs.sql", "CREATE TABLE runs (version INTEGER); INSERT INTO runs VALUES (1);"),
        ("0002_run_again.sql", "INSERT INTO runs VALUES (2);"),
    ])
}

async fn runs(scratch: &Scratch) -> Result<Vec<String>> {
    column(&scratch.connect().await?, "SELECT version::text FROM runs ORDER BY version").await
}

/// Eight processes at once.
async fn eight(scratch: &Scratch, source: &Path) -> Result<Vec<Run>> {
    let mut processes = JoinSet::new();
    for _ in 0..8 {
        let migrate = Migrate::new(scratch.url(), source)?;
        processes.spawn(async { migrate.run(&["up"]).await });
    }
    processes.join_all().await.into_iter().collect()
}

#[tokio::test]
async fn up_applies_what_is_pending_in_order_and_then_nothing() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;

    let printed = scratch.migrate(source.path(), &["up"]).await?.success()?;
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(lines[0].starts_with("0001_create_runs.sql applied in ") && lines[0].ends_with(" ms"), "{printed}");
    assert!(lines[1].starts_with("0002_run_again.sql applied in "), "{printed}");
    assert_eq!(runs(&scratch).await?, ["1", "2"]);

    let printed = scratch.migrate(source.path(), &["up"]).await?.success()?;
    assert!(printed.starts_with("nothing to apply"), "{printed}");

    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;
    let printed = scratch.migrate(source.path(), &["up"]).await?.success()?;
    assert!(printed.starts_with("0003_run_later.sql applied in "), "{printed}");
    assert_eq!(runs(&scratch).await?, ["1", "2", "3"]);
    Ok(())
}

#[tokio::test]
async fn the_products_migrations_apply_and_apply_once() -> Result<()> {
    let scratch = Scratch::migrated().await?;
    let printed = scratch.migrate(&tests::database::migrations(), &["up"]).await?.success()?;
    assert!(printed.starts_with("nothing to apply"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_lists_what_is_pending_and_leaves_no_trace() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";

    let printed = scratch.migrate(source.path(), &["up", "--dry-run"]).await?.success()?;
    assert_eq!(printed, "0001_create_runs.sql would be applied\n0002_run_again.sql would be applied\n");
    assert_eq!(column(&scratch.connect().await?, tables).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn status_shows_what_is_applied_in_utc_and_what_is_pending() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    let header = "version  name                  applied at (UTC)\n";
    let second = "0002     0002_run_again.sql    pending\n";

    let printed = scratch.migrate(source.path(), &["status"]).await?.success()?;
    assert_eq!(printed, format!("{header}0001     0001_create_runs.sql  pending\n{second}"));

    fs::rename(source.path().join("0002_run_again.sql"), source.path().join("later"))?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    fs::rename(source.path().join("later"), source.path().join("0002_run_again.sql"))?;
    let client = scratch.connect().await?;
    client.batch_execute("UPDATE _sqlx_migrations SET installed_on = '2026-02-03 04:05:06+00'").await?;

    let printed = scratch.migrate(source.path(), &["status"]).await?.success()?;
    assert_eq!(printed, format!("{header}0001     0001_create_runs.sql  2026-02-03 04:05:06\n{second}"));
    Ok(())
}

#[tokio::test]
async fn a_file_changed_after_it_was_applied_is_refused() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    fs::write(source.path().join("0001_create_runs.sql"), "CREATE TABLE runs (version BIGINT);")?;
    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;

    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let run = scratch.migrate(source.path(), arguments).await?;
        if arguments == ["status"] {
            assert!(run.stdout.lines().any(|line| line.starts_with("0001") && line.ends_with(", changed since")));
        }
        let message = run.failure()?;
        assert!(message.starts_with("migrate: 0001_create_runs.sql was changed after it was applied"), "{message}");
    }
    assert_eq!(runs(&scratch).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_file_missing_after_it_was_applied_is_refused() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    fs::remove_file(source.path().join("0001_create_runs.sql"))?;
    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;

    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let run = scratch.migrate(source.path(), arguments).await?;
        if arguments == ["status"] {
            assert!(run.stdout.lines().any(|line| line.starts_with("0001") && line.ends_with(", missing")));
        }
        let message = run.failure()?;
        assert!(message.starts_with("migrate: 0001_create_runs.sql was applied at "), "{message}");
        assert!(message.contains("is missing from"), "{message}");
    }
    assert_eq!(runs(&scratch).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn two_files_with_one_number_are_refused() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    fs::write(source.path().join("0002_another.sql"), "SELECT 1;")?;
    let message = scratch.migrate(source.path(), &["up"]).await?.failure()?;
    assert_eq!(message, "migrate: 0002_another.sql and 0002_run_again.sql have the same number: renumber one of them");
    Ok(())
}

#[tokio::test]
async fn a_misnamed_file_is_refused_and_other_kinds_of_files_are_not() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    fs::write(source.path().join("README.md"), "How to write a migration.")?;
    scratch.migrate(source.path(), &["status"]).await?.success()?;

    fs::write(source.path().join("3-add.sql"), "SELECT 1;")?;
    let message = scratch.migrate(source.path(), &["up"]).await?.failure()?;
    assert!(message.starts_with("migrate: 3-add.sql is not a valid name for a migration"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_file_whose_name_is_nearly_a_migrations_is_named_and_copies_are_passed_over() -> Result<()> {
    let scratch = Scratch::create().await?;
    for name in
        ["0003_add.SQL", "0003-add.sql", "003_add.sql", "0003_add.sql.txt", "0003_add", "0003 add.sql", "add.sql"]
    {
        let source = two()?;
        fs::write(source.path().join(name), "SELECT 1;")?;
        for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
            let message = scratch.migrate(source.path(), arguments).await?.failure()?;
            assert!(
                message.starts_with(&format!("migrate: {name} is not a valid name for a migration: ")),
                "{message}"
            );
        }
    }
    let source = two()?;
    for name in ["0002_run_again.sql~", "0002_run_again.sql.orig", ".0002_run_again.sql.swp", "notes.txt"] {
        fs::write(source.path().join(name), "SELECT nonsense;")?;
    }
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    assert_eq!(runs(&scratch).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_number_below_the_newest_applied_one_is_refused() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    fs::rename(source.path().join("0002_run_again.sql"), source.path().join("0005_run_again.sql"))?;
    let client = scratch.connect().await?;
    client.batch_execute("UPDATE _sqlx_migrations SET version = 5 WHERE version = 2").await?;
    fs::write(source.path().join("0003_run_late.sql"), "INSERT INTO runs VALUES (3);")?;
    fs::write(source.path().join("0006_run_later.sql"), "INSERT INTO runs VALUES (6);")?;

    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let run = scratch.migrate(source.path(), arguments).await?;
        assert!(!run.stdout.contains("would be applied"), "{run:?}");
        let message = run.failure()?;
        assert!(
            message.starts_with("migrate: 0003_run_late.sql is not applied, but 0005_run_again.sql is: "),
            "{message}"
        );
    }
    assert_eq!(runs(&scratch).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn files_are_the_same_in_a_checkout_with_the_line_endings_of_windows() -> Result<()> {
    let unix = [
        ("0001_create_numbers.sql", "CREATE TABLE numbers (n INTEGER);\n\nINSERT INTO numbers VALUES (1);\n"),
        ("0002_index_numbers.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY idx_numbers_n ON numbers (n);\n"),
        ("0003_say.sql", "CREATE FUNCTION say() RETURNS TEXT LANGUAGE sql AS $$\n    SELECT 'a\nb'\n$$;\n"),
    ];
    let texts: Vec<_> = unix.iter().map(|(_, text)| text.replace('\n', "\r\n")).collect();
    let windows: Vec<_> = unix.iter().zip(&texts).map(|((name, _), text)| (*name, text.as_str())).collect();
    let (unix, windows) = (folder(&unix)?, folder(&windows)?);
    let mut made = Vec::new();
    for (first, second) in [(&unix, &windows), (&windows, &unix)] {
        let scratch = Scratch::create().await?;
        scratch.migrate(first.path(), &["up"]).await?.success()?;
        for source in [first, second] {
            let printed = scratch.migrate(source.path(), &["up"]).await?.success()?;
            assert!(printed.starts_with("nothing to apply"), "{printed}");
            let printed = scratch.migrate(source.path(), &["status"]).await?.success()?;
            assert!(!printed.contains("changed"), "{printed}");
        }
        let facts = "SELECT encode(checksum, 'hex') FROM _sqlx_migrations UNION ALL SELECT prosrc FROM pg_proc
                     WHERE proname = 'say' UNION ALL SELECT say()";
        made.push(column(&scratch.connect().await?, facts).await?);
    }
    assert_eq!(made[0], made[1], "what is made does not depend on the checkout");
    Ok(())
}

#[tokio::test]
async fn a_database_of_the_first_release_goes_on() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    // As sqlx 0.9 makes and fills its table; one run was killed before it could note how long it took.
    let client = scratch.connect().await?;
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
    let printed = scratch.migrate(source.path(), &["up"]).await?.success()?;
    assert!(printed.starts_with("0002_run_again.sql applied in "), "{printed}");
    assert_eq!(runs(&scratch).await?, ["1", "2"]);

    let second = fs::read_to_string(source.path().join("0002_run_again.sql"))?;
    let row = format!(
        "SELECT description FROM _sqlx_migrations
         WHERE version = 2 AND success AND checksum = sha384('{second}') AND execution_time > 0"
    );
    assert_eq!(column(&client, &row).await?, ["run again"]);
    Ok(())
}

#[tokio::test]
async fn what_was_begun_and_not_finished_is_not_taken_for_applied() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    let client = scratch.connect().await?;
    client.batch_execute("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2").await?;
    for arguments in [&["up"][..], &["up", "--dry-run"], &["status"]] {
        let message = scratch.migrate(source.path(), arguments).await?.failure()?;
        assert!(message.starts_with("migrate: 0002_run_again.sql was started at "), "{message}");
        assert!(message.contains("did not finish"), "{message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_read_only_database_is_named_before_anything_is_promised() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    let admin = connect(&direct_url()?).await?;
    admin.batch_execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", scratch.name())).await?;
    for arguments in [&["up"][..], &["up", "--dry-run"]] {
        let run = scratch.migrate(source.path(), arguments).await?;
        assert_eq!(run.stdout, "");
        let message = run.failure()?;
        assert!(message.ends_with(" is read-only: default_transaction_read_only is on"), "{message}");
    }
    Ok(())
}

/// The tables that a migration has made.
async fn tables(scratch: &Scratch) -> Result<Vec<String>> {
    let tables = "SELECT relname::text FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'";
    column(&scratch.connect().await?, tables).await
}

#[tokio::test]
async fn a_file_cannot_end_its_transaction_and_nothing_of_it_stays() -> Result<()> {
    let scratch = Scratch::create().await?;
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
        let run = scratch.migrate(source.path(), &["up"]).await?;
        assert_eq!(run.stdout, "", "{sql}");
        let message = run.failure()?;
        assert!(message.starts_with("migrate: 0001_make.sql failed and was rolled back: "), "{sql}: {message}");
        assert_eq!(tables(&scratch).await?, [""; 0], "{sql}");
    }
    let source = folder(&[("0001_make.sql", "CREATE TABLE made (n INTEGER); COMMIT;")])?;
    let message = scratch.migrate(source.path(), &["up"]).await?.failure()?;
    assert!(message.contains("a migration runs in one transaction, which it cannot begin or end itself"), "{message}");
    Ok(())
}

#[tokio::test]
async fn words_about_transactions_are_no_transaction() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = folder(&[(
        "0001_make.sql",
        "-- COMMIT;\n/* ROLLBACK; */ CREATE TABLE made (\"COMMIT;\" TEXT DEFAULT 'BEGIN; $$ COMMIT;');
         CREATE FUNCTION f() RETURNS TEXT LANGUAGE plpgsql AS $migrate$ BEGIN RETURN 'COMMIT'; END $migrate$;
         CREATE FUNCTION g() RETURNS INTEGER LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
         INSERT INTO made SELECT f(); -- no end of line, nor semicolon after this:
         ALTER TABLE made ADD COLUMN n INTEGER",
    )])?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    assert_eq!(tables(&scratch).await?, ["made"]);
    Ok(())
}

#[tokio::test]
async fn what_a_file_sets_for_its_session_is_not_for_the_next() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = folder(&[
        ("0001_set.sql", "SET search_path = pg_catalog; SET default_transaction_read_only = on; SET ROLE pg_monitor;"),
        ("0002_set.sql", "-- no-transaction\nSELECT set_config('search_path', '', false)"),
        ("0003_make.sql", "CREATE TABLE made (n INTEGER);"),
    ])?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    assert_eq!(tables(&scratch).await?, ["made"]);
    Ok(())
}

#[tokio::test]
async fn a_file_outside_a_transaction_holds_a_single_statement() -> Result<()> {
    let scratch = Scratch::create().await?;
    for sql in
        ["CREATE TABLE made (n INTEGER); CREATE TABLE more (n INTEGER);", "CREATE TABLE made (n INTEGER); COMMIT;"]
    {
        let source = folder(&[("0001_make.sql", &format!("-- no-transaction\n{sql}"))])?;
        let message = scratch.migrate(source.path(), &["up"]).await?.failure()?;
        assert!(message.contains("a `-- no-transaction` migration must be a single statement"), "{message}");
        assert_eq!(tables(&scratch).await?, [""; 0]);
    }
    let source = folder(&[("0001_index.sql", "CREATE INDEX CONCURRENTLY ON made (n);")])?;
    scratch.connect().await?.batch_execute("CREATE TABLE made (n INTEGER)").await?;
    let message = scratch.migrate(source.path(), &["up"]).await?.failure()?;
    assert!(message.contains("in a file whose first line is `-- no-transaction`"), "{message}");
    Ok(())
}

#[tokio::test]
async fn an_index_that_is_invalid_does_not_pass_for_the_one_a_file_makes() -> Result<()> {
    let if_not_exists = "INDEX CONCURRENTLY IF NOT EXISTS idx_twins_n ON twins (n);";
    for (create, state) in [
        (format!("-- no-transaction\nCREATE {if_not_exists}"), "is not applied"),
        (format!("CREATE {}", if_not_exists.replace("CONCURRENTLY ", "")), "was rolled back"),
    ] {
        let scratch = Scratch::create().await?;
        let client = scratch.connect().await?;
        client.batch_execute("CREATE TABLE twins (n INTEGER); INSERT INTO twins VALUES (1), (1)").await?;
        for name in ["idx_twins_n", "idx_other"] {
            let failed = format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON twins (n)");
            assert!(client.batch_execute(&failed).await.is_err());
        }
        let source = folder(&[("0001_index_twins.sql", &create)])?;
        let run = scratch.migrate(source.path(), &["up"]).await?;
        assert_eq!(run.stdout, "");
        let message = run.failure()?;
        assert!(message.contains(state) && message.contains("INVALID"), "{message}");
        assert!(message.contains("drop them (DROP INDEX CONCURRENTLY public.idx_twins_n)"), "{message}");
        let status = scratch.migrate(source.path(), &["status"]).await?.success()?;
        assert!(status.lines().any(|line| line.starts_with("0001") && line.ends_with("pending")), "{status}");

        // One that the file says nothing of is no obstacle, nor is one that a file removes.
        client.batch_execute("DROP INDEX CONCURRENTLY idx_twins_n").await?;
        let drop = "-- no-transaction\nDROP INDEX CONCURRENTLY idx_other;";
        fs::write(source.path().join("0002_drop_other.sql"), drop)?;
        scratch.migrate(source.path(), &["up"]).await?.success()?;
        let valid = "SELECT relname || indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                     WHERE indrelid = 'twins'::regclass";
        assert_eq!(column(&client, valid).await?, ["idx_twins_ntrue"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_whose_commit_lost_its_answer_is_looked_up() -> Result<()> {
    let scratch = Scratch::create().await?;
    // The commit waits until the wire is about to break.
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
    let holder = scratch.connect().await?;
    holder.batch_execute("SELECT pg_advisory_lock(7)").await?;
    let (relay, url) = Relay::before(scratch.url()).await;
    let migrate = Migrate::new(&url, source.path())?;
    let run = tokio::spawn(async move { migrate.run(&["up"]).await });
    let waiting = "SELECT 'yes' FROM pg_stat_activity
                   WHERE datname = current_database() AND query = 'COMMIT' AND wait_event_type = 'Lock'";
    while column(&holder, waiting).await?.is_empty() {
        assert!(!run.is_finished(), "it has ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.lose_next_answer();
    holder.batch_execute("SELECT pg_advisory_unlock(7)").await?;

    let printed = run.await??.success()?;
    assert_eq!(relay.answers_lost(), 1);
    assert!(printed.starts_with("0001_create_runs.sql applied in "), "{printed}");
    assert!(printed.contains("\n0002_run_again.sql applied in "), "{printed}");
    assert_eq!(runs(&scratch).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_password_may_have_any_character() -> Result<()> {
    let mut scratch = Scratch::create().await?;
    scratch.give_to_owner("p 🔑 ß @:/?#").await?;
    scratch.migrate(two()?.path(), &["up"]).await?.success()?;
    assert_eq!(runs(&scratch).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_way_for_a_moment_is_waited_for() -> Result<()> {
    // Too many connections (53300), and nobody there who listens.
    let scratch = Scratch::create().await?;
    let admin = connect(&superuser_url()?).await?;
    let limit = |limit: i32| format!("ALTER DATABASE {} CONNECTION LIMIT {limit}", scratch.name());
    admin.batch_execute(&limit(0)).await?;
    let (relay, url) = Relay::before(scratch.url()).await;
    let source = two()?;
    let migrate = Migrate::new(&url, source.path())?;
    let run = tokio::spawn(async move { migrate.run(&["up", "--connect-timeout", "110"]).await });
    while relay.connections() < 3 {
        assert!(!run.is_finished(), "it gave up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.batch_execute(&limit(-1)).await?;
    run.await??.success()?;
    assert_eq!(runs(&scratch).await?, ["1", "2"]);

    let url: reqwest::Url = scratch.url().parse()?;
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
    let url = scratch.url_with(|url| url.set_port(Some(port)).unwrap());
    Migrate::new(&url, source.path())?.run(&["status", "--connect-timeout", "110"]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_told_at_once() -> Result<()> {
    let scratch = Scratch::create().await?;
    let wrong = scratch.url_with(|url| url.set_password(Some("wrong-hunter2")).unwrap());
    let (relay, url) = Relay::before(&wrong).await;
    let source = two()?;
    let message = Migrate::new(&url, source.path())?.run(&["up", "--connect-timeout", "110"]).await?.failure()?;
    assert!(message.contains("refused the connection: password authentication failed for user"), "{message}");
    assert!(message.ends_with("(28P01)"), "{message}");
    assert_eq!(relay.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn a_folder_without_migrations_is_refused() -> Result<()> {
    let scratch = Scratch::create().await?;
    let empty = tempfile::tempdir()?;
    let message = scratch.migrate(empty.path(), &["up"]).await?.failure()?;
    assert!(message.starts_with("migrate: there are no migrations in "), "{message}");
    let message = scratch.migrate(&empty.path().join("nowhere"), &["up"]).await?.failure()?;
    assert!(message.starts_with("migrate: cannot read the migrations in "), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_failing_file_is_named_with_its_error_and_nothing_of_it_stays() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    fs::write(
        source.path().join("0002_run_again.sql"),
        "-- é, so that characters and bytes differ.\nINSERT INTO runs VALUES (2);\n\nSELECT nonsense;\n",
    )?;
    fs::write(source.path().join("0003_run_later.sql"), "INSERT INTO runs VALUES (3);")?;

    let run = scratch.migrate(source.path(), &["up"]).await?;
    assert!(run.stdout.starts_with("0001_create_runs.sql applied in "), "{run:?}");
    assert_eq!(
        run.failure()?,
        "migrate: 0002_run_again.sql, line 4 failed and was rolled back: column \"nonsense\" does not exist (42703)"
    );
    assert_eq!(runs(&scratch).await?, ["1"]);

    // Once it is mended, it and the rest go in.
    fs::write(source.path().join("0002_run_again.sql"), "INSERT INTO runs VALUES (2);")?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    assert_eq!(runs(&scratch).await?, ["1", "2", "3"]);
    Ok(())
}

#[tokio::test]
async fn a_failing_file_outside_a_transaction_says_what_it_leaves() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = folder(&[
        ("0001_create_twins.sql", "CREATE TABLE twins (n INTEGER); INSERT INTO twins VALUES (1), (1);"),
        ("0002_index_twins.sql", "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY idx_twins_n ON twins (n);"),
    ])?;
    let message = scratch.migrate(source.path(), &["up"]).await?.failure()?;
    assert!(message.starts_with("migrate: 0002_index_twins.sql failed: "), "{message}");
    assert!(message.contains("(23505)"), "{message}");
    assert!(message.ends_with("drop them (DROP INDEX CONCURRENTLY public.idx_twins_n) before you retry"), "{message}");

    let status = scratch.migrate(source.path(), &["status"]).await?.success()?;
    assert!(status.lines().any(|line| line.starts_with("0002") && line.ends_with("pending")), "{status}");
    Ok(())
}

#[tokio::test]
async fn eight_at_once_apply_each_file_once() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    fs::write(source.path().join("0003_take_time.sql"), "SELECT pg_sleep(0.5); INSERT INTO runs VALUES (3);")?;

    let mut applied = Vec::new();
    for run in eight(&scratch, source.path()).await? {
        let printed = run.success()?;
        applied.extend(printed.lines().filter(|line| line.contains(" applied in ")).map(|line| line[..4].to_owned()));
    }
    applied.sort();
    assert_eq!(applied, ["0001", "0002", "0003"]);
    assert_eq!(runs(&scratch).await?, ["1", "2", "3"]);
    Ok(())
}

#[tokio::test]
async fn an_index_is_made_concurrently_while_eight_run_at_once() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = folder(&[
        ("0001_create_numbers.sql", "CREATE TABLE numbers AS SELECT generate_series(1, 200000) AS n;"),
        ("0002_index_numbers.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY idx_numbers_n ON numbers (n);"),
    ])?;

    let mut applied = 0;
    for run in eight(&scratch, source.path()).await? {
        applied += run.success()?.lines().filter(|line| line.contains(" applied in ")).count();
    }
    assert_eq!(applied, 2);
    let valid = "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'idx_numbers_n'::regclass";
    assert_eq!(column(&scratch.connect().await?, valid).await?, ["true"]);
    Ok(())
}

#[tokio::test]
async fn the_wait_for_another_migration_ends() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = folder(&[("0001_take_time.sql", "SELECT pg_sleep(60);")])?;
    let first = Migrate::new(scratch.url(), source.path())?;
    let first = tokio::spawn(async move { first.run(&["up"]).await });
    let client = scratch.connect().await?;
    let sleeping = "SELECT pid::text FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE '/* 0001_take_time.sql */%'";
    while column(&client, sleeping).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let began = Instant::now();
    let message = scratch.migrate(source.path(), &["up", "--lock-timeout", "1"]).await?.failure()?;
    assert!(message.starts_with("migrate: another migration is still running after 1 s"), "{message}");
    assert!((1..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    // What only looks does not wait, and says that it is not all.
    for arguments in [&["status"][..], &["up", "--dry-run"]] {
        let printed = scratch.migrate(source.path(), arguments).await?.success()?;
        assert!(printed.ends_with("another migration is running now\n"), "{printed}");
    }

    // The first is cut off, says so, and leaves the lock to the next.
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await?;
    let message = first.await??.failure()?;
    assert!(message.starts_with("migrate: 0001_take_time.sql was interrupted and rolled back: "), "{message}");
    fs::write(source.path().join("0001_take_time.sql"), "SELECT 1;")?;
    scratch.migrate(source.path(), &["up", "--lock-timeout", "1"]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn a_role_with_a_statement_timeout_can_still_migrate() -> Result<()> {
    let scratch = Scratch::create().await?;
    let database = scratch.url().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let admin = connect(&direct_url()?).await?;
    admin.batch_execute(&format!("ALTER DATABASE {database} SET statement_timeout = '200ms'")).await?;
    let source = folder(&[("0001_take_time.sql", "SELECT pg_sleep(0.5);")])?;
    scratch.migrate(source.path(), &["up"]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn the_pooled_endpoint_is_refused() -> Result<()> {
    let url = "postgres://alice:hunter2@ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require";
    let source = two()?;
    for arguments in [["up"], ["status"]] {
        let message = Migrate::new(url, source.path())?.run(&arguments).await?.failure()?;
        assert!(
            message.ends_with("use the direct endpoint, ep-calm-sea-123456.eu-central-1.aws.neon.tech"),
            "{message}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_url_as_neon_writes_it_works() -> Result<()> {
    let scratch = Scratch::create().await?;
    let url = scratch.url_with(|url| url.set_query(Some("sslmode=require&channel_binding=require")));
    let source = two()?;
    Migrate::new(&url, source.path())?.run(&["up"]).await?.success()?;
    assert_eq!(runs(&scratch).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn tls_is_refused_without_the_ca_whatever_the_url_asks_for() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    for mode in ["allow", "prefer", "require", "verify-ca", "verify-full"] {
        let url = scratch.url_with(|url| url.set_query(Some(&format!("sslmode={mode}"))));
        for ca in [None, Some("")] {
            let run = Migrate::new(&url, source.path())?.env("DATABASE_CA_FILE", ca).run(&["up"]).await?;
            let message = run.failure()?;
            assert!(message.starts_with("migrate: no verified TLS connection to "), "{mode}: {message}");
            assert!(message.ends_with("set DATABASE_CA_FILE for a private CA"), "{mode}: {message}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_session_is_encrypted_even_where_the_url_only_prefers_it() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = folder(&[(
        "0001_look.sql",
        "CREATE TABLE looks AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();",
    )])?;
    let url = scratch.url_with(|url| url.set_query(Some("sslmode=prefer")));
    Migrate::new(&url, source.path())?.run(&["up"]).await?.success()?;
    assert_eq!(column(&scratch.connect().await?, "SELECT ssl::text FROM looks").await?, ["true"]);
    Ok(())
}

#[tokio::test]
async fn a_missing_ca_file_is_named() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    let migrate = Migrate::new(scratch.url(), source.path())?.env("DATABASE_CA_FILE", Some("/nowhere/ca.pem"));
    let message = migrate.run(&["up"]).await?.failure()?;
    assert!(
        message.starts_with("migrate: cannot read the certificates /nowhere/ca.pem (DATABASE_CA_FILE)"),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_after_the_deadline() -> Result<()> {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let url = format!("postgres://alice:hunter2@127.0.0.1:{port}/db");
    let source = two()?;
    let message = Migrate::new(&url, source.path())?.run(&["up", "--connect-timeout", "1"]).await?.failure()?;
    assert!(
        message.starts_with(&format!("migrate: the database at 127.0.0.1:{port} cannot be reached: ")),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_after_the_deadline() -> Result<()> {
    // Takes connections, as the kernel does for it, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("postgres://alice:hunter2@127.0.0.1:{}/db", silent.local_addr()?.port());
    let source = two()?;
    let began = Instant::now();
    let message = Migrate::new(&url, source.path())?.run(&["status", "--connect-timeout", "1"]).await?.failure()?;
    assert!(message.ends_with("did not answer within 1 s"), "{message}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_missing_database_url_is_named() -> Result<()> {
    let source = two()?;
    for value in [None, Some("")] {
        let run = Migrate::new("", source.path())?.env("DATABASE_URL_UNPOOLED", value).run(&["up"]).await?;
        let message = run.failure()?;
        assert_eq!(message, "migrate: no database URL: set DATABASE_URL_UNPOOLED or pass --database-url");
    }
    Ok(())
}

#[tokio::test]
async fn no_output_holds_the_password_or_the_address() -> Result<()> {
    let scratch = Scratch::create().await?;
    let source = two()?;
    let wrong = scratch.url_with(|url| url.set_password(Some("wrong-hunter2")).unwrap());
    // `run` itself looks for the address and its password in what is printed.
    for url in [scratch.url(), &wrong, &wrong.replace("postgres", "http"), &wrong.replacen('@', "@[", 1)] {
        for arguments in [&["up"][..], &["status"], &["--help"], &["up", "--help"], &["up", "--nonsense"], &["down"]] {
            let run = Migrate::new(url, source.path())?.run(arguments).await?;
            assert!(!run.stdout.contains("hunter2") && !run.stderr.contains("hunter2"), "{run:?}");
        }
    }
    let message = Migrate::new(&wrong, source.path())?.run(&["up"]).await?.failure()?;
    assert!(message.contains("refused the connection: password authentication failed"), "{message}");
    Ok(())
}
