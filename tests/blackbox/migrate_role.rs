//! `migrate role`: what the role of the functions may do, and what it may not.

use anyhow::{Context, Result};
use tests::database::{Migrate, Run, Scratch, column, connect, direct_url, migrations, superuser_url};
use tokio_postgres::Client;

const PASSWORD: &str = "it's \"quoted\" \\ and 🔑";

/// Runs `migrate role` on the database at this address.
async fn make_role(url: &str, password: Option<&str>) -> Result<Run> {
    // It needs no folder of migrations.
    Migrate::new(url, "/nowhere".as_ref())?.env("FUNCTIONS_PASSWORD", password).run(&["role"]).await
}

/// The address of the database for its functions.
fn of_functions(scratch: &Scratch, password: &str) -> String {
    scratch.url_with(|url| {
        url.set_username(&format!("{}_functions", scratch.name())).unwrap();
        url.set_password(Some(password)).unwrap();
    })
}

/// The same database as the superuser.
fn of_superuser(scratch: &Scratch) -> Result<String> {
    let superuser: reqwest::Url = superuser_url()?.parse()?;
    Ok(scratch.url_with(|url| {
        url.set_username(superuser.username()).unwrap();
        url.set_password(superuser.password()).unwrap();
    }))
}

/// The SQLSTATE with which a statement is refused.
async fn refusal(client: &Client, statement: &str) -> Option<String> {
    let error = client.batch_execute(statement).await.err()?;
    Some(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()))
}

/// Two databases with the product's schema and the functions' role: made by an owner who may make roles, and by the
/// superuser.
async fn made_by_owner_and_by_superuser() -> Result<[Scratch; 2]> {
    let mut owned = Scratch::create().await?;
    owned.give_to_owner("hunter2").await?;
    let plain = Scratch::create().await?;
    for (scratch, url) in [(&owned, owned.url().to_owned()), (&plain, of_superuser(&plain)?)] {
        scratch.migrate(&migrations(), &["up"]).await?.success()?;
        let printed = make_role(&url, Some(PASSWORD)).await?.success()?;
        let role = format!("{}_functions", scratch.name());
        assert_eq!(
            printed,
            format!("the role {role} reads and writes rows, with the password in FUNCTIONS_PASSWORD\n")
        );
    }
    Ok([owned, plain])
}

#[tokio::test]
async fn the_role_reads_and_writes_rows_and_does_nothing_else() -> Result<()> {
    for scratch in made_by_owner_and_by_superuser().await? {
        let client = connect(&of_functions(&scratch, PASSWORD)).await?;
        for allowed in [
            "INSERT INTO users (email, password_hash) VALUES ('a@example.com', repeat('x', 60))",
            "SELECT * FROM users",
            "UPDATE users SET email = 'b@example.com'",
            "INSERT INTO tasks (user_id, title) SELECT id, 'a' FROM users",
            "SELECT * FROM tasks WHERE title = 'a' FOR UPDATE",
            "DELETE FROM tasks",
            "DELETE FROM users",
            "DELETE FROM signin_failures",
        ] {
            assert_eq!(refusal(&client, allowed).await, None, "{allowed}");
        }
        let owner: String = scratch.url().parse::<reqwest::Url>()?.username().to_owned();
        for (forbidden, code) in [
            ("SELECT * FROM _sqlx_migrations", "42501"),
            ("SELECT version FROM _sqlx_migrations", "42501"),
            ("DELETE FROM _sqlx_migrations", "42501"),
            ("TRUNCATE tasks", "42501"),
            ("CREATE TABLE mine (n INTEGER)", "42501"),
            ("CREATE TABLE mine AS SELECT * FROM users", "42501"),
            ("CREATE TEMPORARY TABLE mine (n INTEGER)", "42501"),
            ("CREATE VIEW mine AS SELECT * FROM users", "42501"),
            ("CREATE FUNCTION mine() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'", "42501"),
            ("CREATE FUNCTION pg_temp.mine() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'", "42501"),
            ("CREATE SCHEMA mine", "42501"),
            ("CREATE TYPE mine AS ENUM ('a')", "42501"),
            ("CREATE SEQUENCE mine", "42501"),
            ("CREATE EXTENSION pg_stat_statements", "42501"),
            ("CREATE INDEX mine ON tasks (title)", "42501"),
            ("CREATE TRIGGER mine AFTER INSERT ON tasks EXECUTE FUNCTION update_updated_at_column()", "42501"),
            ("CREATE DATABASE mine", "42501"),
            ("CREATE ROLE mine", "42501"),
            ("ALTER TABLE tasks ADD COLUMN mine TEXT", "42501"),
            ("ALTER TABLE tasks DISABLE TRIGGER ALL", "42501"),
            ("ALTER FUNCTION update_updated_at_column() RENAME TO mine", "42501"),
            ("DROP TABLE tasks", "42501"),
            ("DROP INDEX idx_tasks_user_id", "42501"),
            ("DROP SCHEMA public CASCADE", "42501"),
            (&format!("SET ROLE {owner}"), "42501"),
            (&format!("SET SESSION AUTHORIZATION {owner}"), "42501"),
            (&format!("ALTER ROLE {owner} PASSWORD 'x'"), "42501"),
            ("ALTER ROLE CURRENT_USER CREATEDB", "42501"),
            ("COPY users TO '/tmp/users'", "42501"),
            ("COPY users TO PROGRAM 'true'", "42501"),
            ("SELECT pg_read_file('PG_VERSION')", "42501"),
            ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' LIMIT 1", "42501"),
        ] {
            assert_eq!(refusal(&client, forbidden).await.as_deref(), Some(code), "{forbidden}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_limits_of_the_role_are_in_force_after_it_has_logged_in() -> Result<()> {
    for scratch in made_by_owner_and_by_superuser().await? {
        let client = connect(&of_functions(&scratch, PASSWORD)).await?;
        let limits = "SELECT name || '=' || setting || unit FROM pg_settings WHERE source = 'user' ORDER BY name";
        let mut expected = vec![
            "client_connection_check_interval=250ms",
            "idle_in_transaction_session_timeout=2000ms",
            "lock_timeout=1000ms",
            "statement_timeout=1500ms",
        ];
        let version = column(&client, "SELECT current_setting('server_version_num')").await?;
        if version[0].parse::<u32>()? >= 170_000 {
            expected.push("transaction_timeout=2000ms");
        }
        assert_eq!(column(&client, limits).await?, expected);
        assert_eq!(refusal(&client, "SELECT pg_sleep(60)").await.as_deref(), Some("57014"));
    }
    Ok(())
}

/// Everything about the role but its password.
async fn facts(scratch: &Scratch) -> Result<Vec<String>> {
    let facts = "
        SELECT rolname || rolsuper || rolcreatedb || rolcreaterole || rolcanlogin || rolreplication || rolbypassrls
            || COALESCE(rolconfig::text, '') FROM pg_roles WHERE rolname = current_database() || '_functions'
        UNION ALL
        SELECT relname || COALESCE(relacl::text, '') || xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT datacl::text FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT count(*)::text FROM pg_auth_members WHERE member = (current_database() || '_functions')::regrole
        ORDER BY 1";
    column(&scratch.connect().await?, facts).await
}

#[tokio::test]
async fn making_the_role_twice_changes_the_password_alone() -> Result<()> {
    for scratch in made_by_owner_and_by_superuser().await? {
        let before = facts(&scratch).await?;
        make_role(&of_superuser(&scratch)?, Some("another one")).await?.success()?;
        assert_eq!(facts(&scratch).await?, before);
        connect(&of_functions(&scratch, "another one")).await?;
        let error = connect(&of_functions(&scratch, PASSWORD)).await.unwrap_err();
        assert!(format!("{error:?}").contains("password authentication failed"), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_role_gets_its_rights_to_what_a_later_migration_makes() -> Result<()> {
    // The owner of the second database may make no roles: the superuser has made this one.
    for scratch in made_by_owner_and_by_superuser().await? {
        let later = tempfile::tempdir()?;
        for entry in std::fs::read_dir(migrations())? {
            let entry = entry?;
            std::fs::copy(entry.path(), later.path().join(entry.file_name()))?;
        }
        std::fs::write(
            later.path().join("9000_add_tables.sql"),
            "CREATE TABLE notes (n SERIAL, m INTEGER GENERATED ALWAYS AS IDENTITY, text TEXT);
             CREATE VIEW shortest AS SELECT * FROM notes ORDER BY length(text) LIMIT 1;
             DROP TABLE tasks; CREATE TABLE tasks (title TEXT);",
        )?;
        scratch.migrate(later.path(), &["up"]).await?.success()?;
        let client = connect(&of_functions(&scratch, PASSWORD)).await?;
        for allowed in [
            "INSERT INTO notes (text) VALUES ('a')",
            "UPDATE notes SET text = 'b'",
            "SELECT * FROM shortest",
            "DELETE FROM notes",
            "INSERT INTO tasks VALUES ('a')",
        ] {
            assert_eq!(refusal(&client, allowed).await, None, "{allowed}");
        }
        assert_eq!(refusal(&client, "TRUNCATE notes").await.as_deref(), Some("42501"));
        assert_eq!(refusal(&client, "DROP TABLE notes").await.as_deref(), Some("42501"));
    }
    Ok(())
}

#[tokio::test]
async fn a_role_that_may_too_much_is_cut_down_to_its_rows() -> Result<()> {
    let scratch = Scratch::migrated().await?;
    let role = format!("{}_functions", scratch.name());
    let superuser = connect(&of_superuser(&scratch)?).await?;
    superuser
        .batch_execute(&format!(
            "CREATE ROLE {role} SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS NOLOGIN PASSWORD 'old';
             GRANT task_api, pg_read_all_data TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
             GRANT SELECT (version) ON _sqlx_migrations TO {role};
             GRANT CREATE ON SCHEMA public TO PUBLIC;
             ALTER ROLE {role} SET statement_timeout = 0"
        ))
        .await?;
    make_role(&of_superuser(&scratch)?, Some(PASSWORD)).await?.success()?;

    let client = connect(&of_functions(&scratch, PASSWORD)).await?;
    for forbidden in [
        "SET ROLE task_api",
        "SELECT version FROM _sqlx_migrations",
        "TRUNCATE tasks",
        "CREATE TABLE mine (n INTEGER)",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
    ] {
        assert_eq!(refusal(&client, forbidden).await.as_deref(), Some("42501"), "{forbidden}");
    }
    assert_eq!(refusal(&client, "SELECT * FROM tasks").await, None);
    assert_eq!(column(&client, "SHOW statement_timeout").await?, ["1500ms"]);
    Ok(())
}

#[tokio::test]
async fn a_database_may_have_any_name() -> Result<()> {
    let admin = connect(&superuser_url()?).await?;
    let base: reqwest::Url = superuser_url()?.parse()?;
    for name in ["we\"ird Däta'base; --", "Case-And_Dash", &"x".repeat(53)] {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let role = format!("{name}_functions");
        let clean = [
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name)),
            format!("DROP ROLE IF EXISTS {}", quoted(&role)),
        ];
        for statement in &clean {
            admin.batch_execute(statement).await?;
        }
        admin.batch_execute(&format!("CREATE DATABASE {}", quoted(name))).await?;
        let mut url = base.clone();
        url.set_path(name);
        Migrate::new(url.as_str(), &migrations())?.run(&["up"]).await?.success()?;
        let printed = make_role(url.as_str(), Some(PASSWORD)).await?.success()?;
        assert!(printed.starts_with(&format!("the role {role} reads and writes rows")), "{printed}");

        url.set_username(&role).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        let client = connect(url.as_str()).await?;
        assert_eq!(refusal(&client, "SELECT * FROM tasks").await, None);
        assert_eq!(refusal(&client, "TRUNCATE tasks").await.as_deref(), Some("42501"));
        drop(client);
        for statement in &clean {
            admin.batch_execute(statement).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_role_that_cannot_be_made_is_not_made_and_no_password_is_told() -> Result<()> {
    let scratch = Scratch::migrated().await?;
    let role = format!("{}_functions", scratch.name());
    let hash = format!("md5{}", "0".repeat(32));
    for (password, complaint) in [
        (None, "no password: set FUNCTIONS_PASSWORD".to_owned()),
        (Some(""), "no password: set FUNCTIONS_PASSWORD".to_owned()),
        (Some(&*hash), "the password of the functions' role looks like a hash".to_owned()),
        // The stack's owner may make no roles.
        (Some("hunter2"), format!("the role {role} was not changed: database error: permission denied")),
    ] {
        let message = make_role(scratch.url(), password).await?.failure()?;
        assert!(message.starts_with(&format!("migrate: {complaint}")), "{message}");
        assert!(password.is_none_or(|password| password.is_empty() || !message.contains(password)), "{message}");
    }
    let roles = format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{role}'");
    assert_eq!(column(&scratch.connect().await?, &roles).await?, [""; 0]);

    // Nor is one that owns something, or is the one who connects.
    let superuser = connect(&of_superuser(&scratch)?).await?;
    superuser.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'old'")).await?;
    superuser.batch_execute(&format!("ALTER TABLE tasks OWNER TO {role}")).await?;
    let message = make_role(&of_superuser(&scratch)?, Some("hunter2")).await?.failure()?;
    assert!(message.contains("it owns tables or databases"), "{message}");
    let message = make_role(&of_functions(&scratch, "old"), Some("hunter2")).await?.failure()?;
    assert!(message.contains("it is the role of this connection"), "{message}");
    superuser.batch_execute("ALTER TABLE tasks OWNER TO task_api").await?;
    Ok(())
}

#[tokio::test]
async fn the_password_is_in_nothing_that_the_server_keeps() -> Result<()> {
    let scratch = Scratch::migrated().await?;
    let password = "seldom-written-83041";
    make_role(&of_superuser(&scratch)?, Some(password)).await?.success()?;
    let mut url: reqwest::Url = superuser_url()?.parse()?;
    url.set_path("postgres");
    let superuser = connect(url.as_str()).await?;
    let kept = "SELECT query FROM pg_stat_statements WHERE query LIKE '%seldom-' || 'written%'";
    if !column(&superuser, "SELECT extname::text FROM pg_extension WHERE extname = 'pg_stat_statements'")
        .await?
        .is_empty()
    {
        assert_eq!(column(&superuser, kept).await?, [""; 0]);
    }
    let activity = "SELECT query FROM pg_stat_activity WHERE query LIKE '%seldom-' || 'written%'
                        AND pid <> pg_backend_pid()";
    assert_eq!(column(&superuser, activity).await?, [""; 0]);
    let hashed = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{}_functions'", scratch.name());
    let hash = column(&superuser, &hashed).await?.pop().context("no password")?;
    assert!(hash.starts_with("SCRAM-SHA-256$"), "{hash}");
    Ok(())
}

#[tokio::test]
async fn a_database_without_the_role_is_migrated_as_ever() -> Result<()> {
    let scratch = Scratch::migrated().await?;
    let roles = format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{}_functions'", scratch.name());
    assert_eq!(column(&connect(&direct_url()?).await?, &roles).await?, [""; 0]);
    Ok(())
}
