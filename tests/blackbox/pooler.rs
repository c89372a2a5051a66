//! The local pooler, configured like Neon's, and the functions' role behind it.

use std::collections::BTreeMap;

use reqwest::Url;
use tests::{
    api::Api,
    database::{column, connect, connect_as_superuser, superuser_url},
    server::Settings,
};
use tokio_postgres::{SimpleQueryMessage, error::SqlState};

/// The functions' URL.
fn pooled_url() -> Url {
    Settings::shared().get("DATABASE_URL").parse().unwrap()
}

#[tokio::test]
async fn the_pooler_is_configured_like_neons() {
    let mut console: Url = superuser_url().parse().unwrap();
    console.set_port(pooled_url().port()).unwrap();
    console.set_path("pgbouncer");
    let answer = connect(console.as_str()).await.unwrap().simple_query("SHOW CONFIG").await.unwrap();
    let values: BTreeMap<_, _> = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((row.get("key")?, row.get("value")?)),
            _ => None,
        })
        .collect();
    for (key, value) in [
        ("pool_mode", "transaction"),
        ("default_pool_size", "64"),
        ("server_login_retry", "15"),
        ("query_wait_timeout", "120"),
        ("ignore_startup_parameters", "extra_float_digits"),
        ("auth_type", "scram-sha-256"),
    ] {
        assert_eq!(values.get(key), Some(&value), "{key}");
    }
    assert_ne!(values.get("auth_user"), Some(&""));
    assert_eq!(
        column(&connect_as_superuser().await, "SHOW max_connections").await.unwrap(),
        ["104"],
        "as on Neon's smallest compute"
    );
}

#[tokio::test]
async fn the_functions_role_changes_rows_within_limits_and_nothing_else() {
    assert_eq!(pooled_url().username(), "task_api_functions");
    let functions = connect(pooled_url().as_str()).await.unwrap();
    for (setting, value) in [("statement_timeout", "1500ms"), ("lock_timeout", "1s")] {
        assert_eq!(column(&functions, &format!("SHOW {setting}")).await.unwrap(), [value], "{setting}");
    }
    let too_long = functions.batch_execute("SELECT pg_sleep(60)").await.unwrap_err();
    assert_eq!(too_long.code(), Some(&SqlState::QUERY_CANCELED));
    for sql in [
        "ALTER TABLE tasks ADD COLUMN x INTEGER",
        "CREATE TABLE x ()",
        "TRUNCATE signin_failures",
        "DELETE FROM _sqlx_migrations",
        "CREATE ROLE x",
    ] {
        let error = functions.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
}

#[tokio::test]
async fn the_pooler_accepts_a_changed_password_at_once() {
    let database = connect_as_superuser().await;
    database.batch_execute("DROP ROLE IF EXISTS changing; CREATE ROLE changing LOGIN PASSWORD 'first'").await.unwrap();
    let log_in = async |password: &str| {
        let mut url = pooled_url();
        url.set_username("changing").unwrap();
        url.set_password(Some(password)).unwrap();
        column(&connect(url.as_str()).await?, "SELECT current_user::text").await
    };
    assert_eq!(log_in("first").await.unwrap(), ["changing"]);
    database.batch_execute("ALTER ROLE changing PASSWORD 'second'").await.unwrap();
    assert_eq!(log_in("second").await.unwrap(), ["changing"]);
    assert!(log_in("first").await.is_err());
    database.batch_execute("DROP ROLE changing").await.unwrap();
}

#[tokio::test]
async fn an_account_with_ten_thousand_tasks_is_deleted_within_the_limits() {
    let user = Api::shared().user().await;
    let tasks = format!(
        "INSERT INTO tasks (user_id, title, description)
         SELECT '{}', 'task ' || number, repeat('x', 1000) FROM generate_series(1, 10000) AS number",
        user.id
    );
    let database = connect_as_superuser().await;
    database.batch_execute(&tasks).await.unwrap();
    user.delete("").await.expect(204);
    let left = format!("SELECT count(*)::text FROM tasks WHERE user_id = '{}'", user.id);
    assert_eq!(column(&database, &left).await.unwrap(), ["0"]);
}
