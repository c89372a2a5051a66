//! `migrate role`: the rights of the functions' role.

use anyhow::{Context, Result};
use tests::{
    command::Output,
    database::{
        Migrate, TestDatabase, column, connect, connect_as_superuser, connect_to_stack, migrations, superuser_url,
    },
};
use tokio_postgres::Client;

const PASSWORD: &str = "it's \"quoted\" \\ and 🔑";

/// Runs `migrate role` on the database at this URL.
async fn make_role(url: &str, password: Option<&str>) -> Result<Output> {
    // It needs no folder of migrations.
    Migrate::new(url, "/nowhere".as_ref())?.env("FUNCTIONS_PASSWORD", password).run(&["role"]).await
}

/// The database's URL as the functions' role.
fn functions_url(database: &TestDatabase, password: &str) -> String {
    database.url_with(|url| {
        url.set_username(&format!("{}_functions", database.name())).unwrap();
        url.set_password(Some(password)).unwrap();
    })
}

/// The database's URL as the superuser.
fn url_as_superuser(database: &TestDatabase) -> Result<String> {
    let superuser: reqwest::Url = superuser_url().parse()?;
    Ok(database.url_with(|url| {
        url.set_username(superuser.username()).unwrap();
        url.set_password(superuser.password()).unwrap();
    }))
}

/// The SQLSTATE of a statement's error.
async fn sqlstate(client: &Client, statement: &str) -> Option<String> {
    let error = client.batch_execute(statement).await.err()?;
    Some(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()))
}

/// Two databases with the product's schema and the functions' role: created by an owner who may create roles, and by
/// the superuser.
async fn with_role_by_owner_and_by_superuser() -> Result<[TestDatabase; 2]> {
    let mut owned = TestDatabase::create().await?;
    owned.create_owner("hunter2").await?;
    let plain = TestDatabase::create().await?;
    for (database, url) in [(&owned, owned.url().to_owned()), (&plain, url_as_superuser(&plain)?)] {
        database.migrate(&migrations(), &["up"]).await?.success();
        let printed = make_role(&url, Some(PASSWORD)).await?.success();
        let role = format!("{}_functions", database.name());
        assert_eq!(
            printed,
            format!("the role {role} reads and writes rows, with the password in FUNCTIONS_PASSWORD\n")
        );
    }
    Ok([owned, plain])
}

#[tokio::test]
async fn the_role_reads_and_writes_rows_and_does_nothing_else() -> Result<()> {
    for database in with_role_by_owner_and_by_superuser().await? {
        let client = connect(&functions_url(&database, PASSWORD)).await?;
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
            assert_eq!(sqlstate(&client, allowed).await, None, "{allowed}");
        }
        let owner: String = database.url().parse::<reqwest::Url>()?.username().to_owned();
        for (forbidden, code) in [
            ("SELECT * FROM _sqlx_migrations", "42501"),
            ("SELECT version FROM _sqlx_migrations", "42501"),
            ("DELETE FROM _sqlx_migrations", "42501"),
            ("SELECT * FROM _migration_batches", "42501"),
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
            assert_eq!(sqlstate(&client, forbidden).await.as_deref(), Some(code), "{forbidden}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_limits_of_the_role_apply_when_it_logs_in() -> Result<()> {
    for database in with_role_by_owner_and_by_superuser().await? {
        let client = connect(&functions_url(&database, PASSWORD)).await?;
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
        assert_eq!(sqlstate(&client, "SELECT pg_sleep(60)").await.as_deref(), Some("57014"));
    }
    Ok(())
}

/// The role's attributes, settings, grants and memberships.
async fn attributes_and_grants(database: &TestDatabase) -> Result<Vec<String>> {
    let sql = "
        SELECT rolname || rolsuper || rolcreatedb || rolcreaterole || rolcanlogin || rolreplication || rolbypassrls
            || COALESCE(rolconfig::text, '') FROM pg_roles WHERE rolname = current_database() || '_functions'
        UNION ALL
        SELECT relname || COALESCE(relacl::text, '') || xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT datacl::text FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT count(*)::text FROM pg_auth_members WHERE member = (current_database() || '_functions')::regrole
        ORDER BY 1";
    column(&database.connect().await?, sql).await
}

#[tokio::test]
async fn making_the_role_again_changes_only_the_password() -> Result<()> {
    for database in with_role_by_owner_and_by_superuser().await? {
        let before = attributes_and_grants(&database).await?;
        make_role(&url_as_superuser(&database)?, Some("another one")).await?.success();
        assert_eq!(attributes_and_grants(&database).await?, before);
        connect(&functions_url(&database, "another one")).await?;
        let error = connect(&functions_url(&database, PASSWORD)).await.unwrap_err();
        assert!(format!("{error:?}").contains("password authentication failed"), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_role_gets_its_rights_on_what_a_later_migration_creates() -> Result<()> {
    // The owner of the second database may not create roles; the superuser has created this one.
    for database in with_role_by_owner_and_by_superuser().await? {
        let later = tempfile::tempdir()?;
        for entry in std::fs::read_dir(migrations())? {
            let entry = entry?;
            std::fs::copy(entry.path(), later.path().join(entry.file_name()))?;
        }
        std::fs::write(
            later.path().join("9000_add_tables.sql"),
            "CREATE TABLE notes (n SERIAL, m INTEGER GENERATED ALWAYS AS IDENTITY, text TEXT);
             CREATE VIEW shortest AS SELECT * FROM notes ORDER BY length(text) LIMIT 1;
             DROP TABLE tasks CASCADE; CREATE TABLE tasks (title TEXT);",
        )?;
        database.migrate(later.path(), &["up"]).await?.success();
        let client = connect(&functions_url(&database, PASSWORD)).await?;
        for allowed in [
            "INSERT INTO notes (text) VALUES ('a')",
            "UPDATE notes SET text = 'b'",
            "SELECT * FROM shortest",
            "DELETE FROM notes",
            "INSERT INTO tasks VALUES ('a')",
        ] {
            assert_eq!(sqlstate(&client, allowed).await, None, "{allowed}");
        }
        assert_eq!(sqlstate(&client, "TRUNCATE notes").await.as_deref(), Some("42501"));
        assert_eq!(sqlstate(&client, "DROP TABLE notes").await.as_deref(), Some("42501"));
    }
    Ok(())
}

#[tokio::test]
async fn a_role_with_too_many_rights_loses_them() -> Result<()> {
    let database = TestDatabase::migrated().await?;
    let role = format!("{}_functions", database.name());
    let superuser = connect(&url_as_superuser(&database)?).await?;
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
    make_role(&url_as_superuser(&database)?, Some(PASSWORD)).await?.success();

    let client = connect(&functions_url(&database, PASSWORD)).await?;
    for forbidden in [
        "SET ROLE task_api",
        "SELECT version FROM _sqlx_migrations",
        "TRUNCATE tasks",
        "CREATE TABLE mine (n INTEGER)",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
    ] {
        assert_eq!(sqlstate(&client, forbidden).await.as_deref(), Some("42501"), "{forbidden}");
    }
    assert_eq!(sqlstate(&client, "SELECT * FROM tasks").await, None);
    assert_eq!(column(&client, "SHOW statement_timeout").await?, ["1500ms"]);
    Ok(())
}

#[tokio::test]
async fn a_database_may_have_any_name() -> Result<()> {
    let admin = connect_as_superuser().await;
    let base: reqwest::Url = superuser_url().parse()?;
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
        Migrate::new(url.as_str(), &migrations())?.run(&["up"]).await?.success();
        let printed = make_role(url.as_str(), Some(PASSWORD)).await?.success();
        assert!(printed.starts_with(&format!("the role {role} reads and writes rows")), "{printed}");

        url.set_username(&role).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        let client = connect(url.as_str()).await?;
        assert_eq!(sqlstate(&client, "SELECT * FROM tasks").await, None);
        assert_eq!(sqlstate(&client, "TRUNCATE tasks").await.as_deref(), Some("42501"));
        drop(client);
        for statement in &clean {
            admin.batch_execute(statement).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_role_that_cannot_be_made_is_not_and_no_password_is_printed() -> Result<()> {
    let database = TestDatabase::migrated().await?;
    let role = format!("{}_functions", database.name());
    let hash = format!("md5{}", "0".repeat(32));
    for (password, error) in [
        (None, "no password: set FUNCTIONS_PASSWORD".to_owned()),
        (Some(""), "no password: set FUNCTIONS_PASSWORD".to_owned()),
        (Some(&*hash), "the password of the functions' role looks like a hash".to_owned()),
        // The stack's owner may not create roles.
        (Some("hunter2"), format!("the role {role} was not changed: database error: permission denied")),
    ] {
        let message = make_role(database.url(), password).await?.failure();
        assert!(message.starts_with(&format!("migrate: {error}")), "{message}");
        assert!(password.is_none_or(|password| password.is_empty() || !message.contains(password)), "{message}");
    }
    let roles = format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{role}'");
    assert_eq!(column(&database.connect().await?, &roles).await?, [""; 0]);

    // A role that owns something, or is the one of the connection, is refused as well.
    let superuser = connect(&url_as_superuser(&database)?).await?;
    superuser.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'old'")).await?;
    superuser.batch_execute(&format!("ALTER TABLE tasks OWNER TO {role}")).await?;
    let message = make_role(&url_as_superuser(&database)?, Some("hunter2")).await?.failure();
    assert!(message.contains("it owns tables or databases"), "{message}");
    let message = make_role(&functions_url(&database, "old"), Some("hunter2")).await?.failure();
    assert!(message.contains("it is the role of this connection"), "{message}");
    superuser.batch_execute("ALTER TABLE tasks OWNER TO task_api").await?;
    Ok(())
}

#[tokio::test]
async fn the_server_never_sees_the_password_in_plain_text() -> Result<()> {
    let database = TestDatabase::migrated().await?;
    let password = "seldom-written-83041";
    make_role(&url_as_superuser(&database)?, Some(password)).await?.success();
    let mut url: reqwest::Url = superuser_url().parse()?;
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
    let hashed = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{}_functions'", database.name());
    let hash = column(&superuser, &hashed).await?.pop().context("no password")?;
    assert!(hash.starts_with("SCRAM-SHA-256$"), "{hash}");
    Ok(())
}

#[tokio::test]
async fn migrations_do_not_need_the_role() -> Result<()> {
    let database = TestDatabase::migrated().await?;
    let roles = format!("SELECT rolname::text FROM pg_roles WHERE rolname = '{}_functions'", database.name());
    assert_eq!(column(&connect_to_stack().await, &roles).await?, [""; 0]);
    Ok(())
}
