//! The tasks that are there before the upgrade.

use anyhow::{Context, Result};
use serde_json::Value;
use tests::database::column;
use tokio_postgres::Client as Database;

use crate::workload::Client;

/// How many tasks a user has, about. The first users are the clients.
const TASKS_OF_A_USER: usize = 100;

/// The functions' form of a time.
const TIME: &str = r#"'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"#;

/// Inserts tasks of many users, everybody's among each other's, keeps a copy, and tells each client its own.
pub(crate) async fn insert(tasks: usize, database: &Database, clients: &mut [Client]) -> Result<()> {
    let ids: Vec<_> = clients.iter().map(|client| format!("'{}'", client.user())).collect();
    let ids = ids.join(", ");
    let users = (tasks / TASKS_OF_A_USER).max(2 * clients.len());
    let sql = format!(
        "CREATE SCHEMA rehearsal;
         CREATE TABLE rehearsal.tasks AS
         SELECT md5('task ' || n)::uuid AS id, 'Task ' || n AS title,
                COALESCE((ARRAY[{ids}]::uuid[])[1 + n % {users}], md5('user ' || n % {users})::uuid) AS user_id,
                CASE WHEN n % 3 = 0 THEN 'About ' || n END AS description, n % 5 < 2 AS completed,
                at AS created_at, at + n % 7 * interval '1 hour' AS updated_at
         FROM generate_series(1, {tasks}) AS n, LATERAL (SELECT timestamp '2026-01-01' + n * interval '1 second' AS at) AS time;

         INSERT INTO users (id, email, password_hash)
         SELECT DISTINCT user_id, user_id || '@example.com', repeat('x', 60) FROM rehearsal.tasks
         ON CONFLICT DO NOTHING;
         INSERT INTO tasks (id, title, user_id, description, completed, created_at, updated_at)
         SELECT * FROM rehearsal.tasks;
         ANALYZE users, tasks"
    );
    database.batch_execute(&sql).await?;
    for client in clients {
        let sql = format!(
            "SELECT (to_jsonb(tasks) || jsonb_build_object(
                 'created_at', to_char(created_at, {TIME}), 'updated_at', to_char(updated_at, {TIME})))::text
             FROM rehearsal.tasks WHERE user_id = '{}'",
            client.user()
        );
        for task in column(database, &sql).await? {
            client.know(&serde_json::from_str::<Value>(&task)?);
        }
    }
    // From here on these are the clients' to change.
    database.batch_execute(&format!("DELETE FROM rehearsal.tasks WHERE user_id IN ({ids})")).await?;
    Ok(())
}

/// How many tasks are not as they have to be: of those that nobody changes, and beyond those and the clients'.
pub(crate) async fn count_wrong(database: &Database, clients: &[Client]) -> Result<usize> {
    // As JSON, because the columns of `tasks` change.
    let altered = "
        SELECT count(*)::text
        FROM rehearsal.tasks AS kept
        LEFT JOIN tasks ON tasks.id = kept.id,
            LATERAL (SELECT jsonb_strip_nulls(to_jsonb(tasks)) AS task, jsonb_strip_nulls(to_jsonb(kept)) AS kept,
                            CASE WHEN kept.completed THEN 'completed' ELSE 'pending' END AS status) AS compared
        WHERE tasks.id IS NULL
           OR task - 'completed' - 'status' <> compared.kept - 'completed'
           OR task ->> 'status' <> compared.status
           OR task -> 'completed' <> compared.kept -> 'completed'";
    let all = "SELECT ((SELECT count(*) FROM tasks) - (SELECT count(*) FROM rehearsal.tasks))::text";
    let number = async |sql| column(database, sql).await?.pop().context("no row")?.parse::<usize>().context("a number");
    let expected: usize = clients.iter().map(Client::count).sum();
    Ok(number(altered).await? + number(all).await?.abs_diff(expected))
}
