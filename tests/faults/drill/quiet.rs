//! Accounts that nobody uses: their rows stay as they are, whatever happens to others'.

use std::collections::BTreeMap;

use tokio_postgres::Client;

/// How many tasks such an account has.
const TASKS_OF_AN_ACCOUNT: usize = 100;

const INSERT: &str = "
    INSERT INTO users (id, email, password_hash)
    SELECT md5('user ' || n)::uuid, 'quiet-' || n || '@example.com', repeat('x', 60) FROM generate_series(1, $ACCOUNTS) AS n;

    INSERT INTO tasks (id, user_id, title, description, status, priority, due_date)
    SELECT md5('task ' || n)::uuid, md5('user ' || 1 + n % $ACCOUNTS)::uuid, 'Task ' || n,
           CASE WHEN n % 3 = 0 THEN 'About ' || n END,
           (ARRAY['pending', 'in_progress', 'completed'])[1 + n % 3], 1 + n % 4,
           CASE WHEN n % 2 = 0 THEN timestamp '2100-01-01' + n * interval '1 second' END
    FROM generate_series(1, $TASKS) AS n;

    INSERT INTO tags (name) SELECT 'quiet ' || n FROM generate_series(1, 20) AS n;
    INSERT INTO task_tags (task_id, tag_id)
    SELECT md5('task ' || n)::uuid, tags.id FROM generate_series(1, $TASKS) AS n JOIN tags ON name = 'quiet ' || n % 40";

/// Without nulls: a column that was added meanwhile is null. And without what the end of a session moves.
const ROWS: &str = "
    SELECT 'user ' || id, md5(jsonb_strip_nulls(to_jsonb(users) - 'token_version')::text)
    FROM users WHERE email LIKE 'quiet-%'
    UNION ALL
    SELECT 'task ' || tasks.id, md5(jsonb_strip_nulls(to_jsonb(tasks))::text)
    FROM tasks JOIN users ON users.id = user_id WHERE email LIKE 'quiet-%'
    UNION ALL
    SELECT 'tag ' || name || ' of ' || task_id, md5(to_jsonb(task_tags)::text)
    FROM task_tags JOIN tags ON tags.id = tag_id JOIN users ON users.id = user_id WHERE email LIKE 'quiet-%'";

/// The rows' digests, by what they are.
type Rows = BTreeMap<String, String>;

pub(crate) struct Quiet(Rows);

impl Quiet {
    pub(crate) async fn insert(tasks: usize, database: &Client) -> Self {
        let accounts = tasks.div_ceil(TASKS_OF_AN_ACCOUNT);
        let sql = INSERT.replace("$ACCOUNTS", &accounts.to_string()).replace("$TASKS", &tasks.to_string());
        database.batch_execute(&format!("{sql}; ANALYZE users, tasks, task_tags")).await.unwrap();
        Self(rows(database).await)
    }

    /// As they were inserted.
    pub(crate) fn rows(&self) -> &Rows {
        &self.0
    }
}

/// As they are in a database.
pub(crate) async fn rows(database: &Client) -> Rows {
    let rows = database.query_typed(ROWS, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
