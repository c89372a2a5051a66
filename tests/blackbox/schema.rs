//! The schema of the first migration, which is the specification's to the letter: in the catalogue, and in behaviour.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};
use serde_json::Value;
use tests::database::{TestDatabase, column, migrations};
use tokio_postgres::{Client, SimpleQueryMessage, error::DbError};

/// A database with the first migration alone.
async fn first_migration() -> Result<(TestDatabase, Client)> {
    let folder = tempfile::tempdir()?;
    for entry in fs::read_dir(migrations())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("0001_") {
            fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
        }
    }
    let database = TestDatabase::create().await?;
    database.migrate(folder.path(), &["up"]).await?.success();
    let client = database.connect().await?;
    Ok((database, client))
}

#[tokio::test]
async fn there_are_two_tables() -> Result<()> {
    let (_database, client) = first_migration().await?;
    let relations = "SELECT relname::text FROM pg_class
                     WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 't')
                       AND relname <> '_sqlx_migrations' ORDER BY relname";
    assert_eq!(column(&client, relations).await?, ["tasks", "users"]);
    Ok(())
}

#[tokio::test]
async fn the_columns_have_the_types_and_defaults_of_the_specification() -> Result<()> {
    let (_database, client) = first_migration().await?;
    let columns = "SELECT concat_ws(' ', table_name, column_name,
                                    data_type || coalesce('(' || character_maximum_length || ')', ''),
                                    CASE is_nullable WHEN 'NO' THEN 'NOT NULL' END,
                                    'DEFAULT ' || column_default)
                   FROM information_schema.columns
                   WHERE table_schema = 'public' AND table_name IN ('users', 'tasks')
                   ORDER BY table_name DESC, ordinal_position";
    assert_eq!(
        column(&client, columns).await?,
        [
            "users id uuid NOT NULL DEFAULT gen_random_uuid()",
            "users email character varying(255) NOT NULL",
            "users password_hash character varying(255) NOT NULL",
            "users created_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP",
            "users updated_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP",
            "tasks id uuid NOT NULL DEFAULT gen_random_uuid()",
            "tasks user_id uuid NOT NULL",
            "tasks title character varying(500) NOT NULL",
            "tasks description text",
            "tasks completed boolean NOT NULL DEFAULT false",
            "tasks created_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP",
            "tasks updated_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn there_are_eight_indexes() -> Result<()> {
    let (_database, client) = first_migration().await?;
    let indexes = "SELECT indexdef FROM pg_indexes
                   WHERE schemaname = 'public' AND tablename IN ('users', 'tasks') ORDER BY indexname";
    assert_eq!(
        column(&client, indexes).await?,
        [
            "CREATE INDEX idx_tasks_completed ON public.tasks USING btree (completed)",
            "CREATE INDEX idx_tasks_user_id ON public.tasks USING btree (user_id)",
            "CREATE INDEX idx_tasks_user_id_created_at ON public.tasks USING btree (user_id, created_at DESC)",
            "CREATE INDEX idx_users_created_at ON public.users USING btree (created_at DESC)",
            "CREATE UNIQUE INDEX idx_users_email ON public.users USING btree (email)",
            "CREATE UNIQUE INDEX tasks_pkey ON public.tasks USING btree (id)",
            "CREATE UNIQUE INDEX users_email_key ON public.users USING btree (email)",
            "CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id)",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn there_are_twenty_constraints() -> Result<()> {
    let (_database, client) = first_migration().await?;
    // NOT NULL is a row as well from PostgreSQL 18 on; the test of the columns covers it.
    let named = "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
                 WHERE conrelid IN ('users'::regclass, 'tasks'::regclass) AND contype <> 'n'
                 ORDER BY conrelid::regclass::text DESC, conname";
    assert_eq!(
        column(&client, named).await?,
        [
            r"users email_format CHECK (((email)::text ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$'::text))",
            "users password_hash_length CHECK ((length((password_hash)::text) >= 59))",
            "users users_email_key UNIQUE (email)",
            "users users_pkey PRIMARY KEY (id)",
            "tasks description_length CHECK (((description IS NULL) OR (length(description) <= 5000)))",
            "tasks fk_tasks_user_id FOREIGN KEY (user_id) REFERENCES users(id) ON UPDATE CASCADE ON DELETE CASCADE",
            "tasks tasks_pkey PRIMARY KEY (id)",
            "tasks title_length CHECK ((length((title)::text) <= 500))",
            "tasks title_not_empty CHECK ((length(TRIM(BOTH FROM title)) > 0))",
        ]
    );
    // The specification's summary counts NOT NULL as a check.
    let counts = "SELECT constraint_type || ' ' || count(*) FROM information_schema.table_constraints
                  WHERE table_schema = 'public' AND table_name IN ('users', 'tasks')
                  GROUP BY constraint_type ORDER BY constraint_type";
    assert_eq!(column(&client, counts).await?, ["CHECK 16", "FOREIGN KEY 1", "PRIMARY KEY 2", "UNIQUE 1"]);
    Ok(())
}

#[tokio::test]
async fn there_are_two_triggers_and_their_function() -> Result<()> {
    let (_database, client) = first_migration().await?;
    let triggers = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname";
    assert_eq!(
        column(&client, triggers).await?,
        [
            "CREATE TRIGGER update_tasks_updated_at BEFORE UPDATE ON public.tasks \
             FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()",
            "CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON public.users \
             FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()",
        ]
    );
    let functions = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace";
    assert_eq!(
        column(&client, functions).await?,
        ["CREATE OR REPLACE FUNCTION public.update_updated_at_column()\n RETURNS trigger\n LANGUAGE plpgsql\n\
          AS $function$\nBEGIN\n    NEW.updated_at = CURRENT_TIMESTAMP;\n    RETURN NEW;\nEND;\n$function$\n"]
    );
    Ok(())
}

/// A user and a task, for conflicts.
const ONE_OF_EACH: &str = "
    INSERT INTO users (id, email, password_hash)
    VALUES ('00000000-0000-4000-8000-000000000001', 'ada@example.com', repeat('x', 60));
    INSERT INTO tasks (id, user_id, title)
    VALUES ('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'Write');";

/// The error of a statement.
async fn refusal(client: &Client, sql: &str) -> Result<DbError> {
    let error = client.batch_execute(sql).await.err().with_context(|| format!("succeeded: {sql}"))?;
    error.as_db_error().cloned().with_context(|| format!("{error}: {sql}"))
}

fn insert_user(email: &str, password_hash: &str) -> String {
    format!("INSERT INTO users (email, password_hash) VALUES ({email}, {password_hash})")
}

fn insert_task(title: &str, description: &str) -> String {
    format!(
        "INSERT INTO tasks (user_id, title, description)
         VALUES ('00000000-0000-4000-8000-000000000001', {title}, {description})"
    )
}

#[tokio::test]
async fn a_violated_constraint_is_reported_by_name() -> Result<()> {
    let (_database, client) = first_migration().await?;
    client.batch_execute(ONE_OF_EACH).await?;
    let hash = "repeat('x', 60)";
    let mut cases = vec![
        (
            "users_pkey",
            format!(
                "INSERT INTO users (id, email, password_hash)
                 VALUES ('00000000-0000-4000-8000-000000000001', 'bob@example.com', {hash})"
            ),
        ),
        ("users_email_key", insert_user("'ada@example.com'", hash)),
        ("password_hash_length", insert_user("'bob@example.com'", "repeat('x', 58)")),
        (
            "tasks_pkey",
            "INSERT INTO tasks (id, user_id, title)
             VALUES ('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'Again')"
                .to_owned(),
        ),
        ("fk_tasks_user_id", "INSERT INTO tasks (user_id, title) VALUES (gen_random_uuid(), 'Nobody''s')".to_owned()),
        ("title_not_empty", insert_task("''", "NULL")),
        ("title_not_empty", insert_task("'   '", "NULL")),
        ("description_length", insert_task("'Read'", "repeat('é', 5001)")),
    ];
    for email in ["", "ada", "@b.de", "ada@", "ada@b", "ada@b.c", "ada@b.c1", "a b@c.de", "ada@b_c.de", "ada@b.de\n"] {
        cases.push(("email_format", insert_user(&format!("'{email}'"), hash)));
    }
    for (constraint, sql) in &cases {
        assert_eq!(refusal(&client, sql).await?.constraint(), Some(*constraint), "{sql}");
    }

    // VARCHAR(500) refuses a longer title before `title_length` is checked.
    let long = insert_task("repeat('é', 501)", "NULL");
    assert_eq!(refusal(&client, &long).await?.code().code(), "22001");
    client.batch_execute("ALTER TABLE tasks ALTER COLUMN title TYPE TEXT").await?;
    assert_eq!(refusal(&client, &long).await?.constraint(), Some("title_length"));
    Ok(())
}

#[tokio::test]
async fn eleven_columns_take_no_null() -> Result<()> {
    let (_database, client) = first_migration().await?;
    client.batch_execute(ONE_OF_EACH).await?;
    let columns = [
        ("users", &["id", "email", "password_hash", "created_at", "updated_at"][..]),
        ("tasks", &["id", "user_id", "title", "completed", "created_at", "updated_at"]),
    ];
    // The triggers would set `updated_at`.
    client.batch_execute("ALTER TABLE users DISABLE TRIGGER USER; ALTER TABLE tasks DISABLE TRIGGER USER").await?;
    for (table, columns) in columns {
        for column in columns {
            let error = refusal(&client, &format!("UPDATE {table} SET {column} = NULL")).await?;
            assert_eq!(
                (error.code().code(), error.table(), error.column()),
                ("23502", Some(table), Some(*column)),
                "{error}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn values_at_the_limits_are_accepted() -> Result<()> {
    let (_database, client) = first_migration().await?;
    client.batch_execute(ONE_OF_EACH).await?;
    for sql in [
        insert_user("'a@b.de'", "repeat('x', 59)"),
        insert_user("'A.b_c%d+e-f@G-h.1.museum'", "repeat('x', 255)"),
        insert_user("repeat('a', 248) || '@ab.def'", "repeat('x', 60)"),
        insert_task("'x'", "NULL"),
        insert_task("repeat('é', 500)", "''"),
        insert_task("' x '", "repeat('é', 5000)"),
    ] {
        client.batch_execute(&sql).await.with_context(|| sql)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_new_row_gets_its_defaults() -> Result<()> {
    let (_database, client) = first_migration().await?;
    client.batch_execute(ONE_OF_EACH).await?;
    // A random UUID is of version 4; the times are the transaction's.
    let user = "INSERT INTO users (email, password_hash) VALUES ('bob@example.com', repeat('x', 60))
                RETURNING concat_ws(' ', substr(id::text, 15, 1),
                                    created_at = CURRENT_TIMESTAMP::timestamp, updated_at = created_at)";
    assert_eq!(column(&client, user).await?, ["4 t t"]);
    let task = "INSERT INTO tasks (user_id, title) VALUES ('00000000-0000-4000-8000-000000000001', 'Read')
                RETURNING concat_ws(' ', substr(id::text, 15, 1), completed, description IS NULL,
                                    created_at = CURRENT_TIMESTAMP::timestamp, updated_at = created_at)";
    assert_eq!(column(&client, task).await?, ["4 f t t t"]);
    Ok(())
}

#[tokio::test]
async fn an_update_moves_updated_at_and_nothing_else() -> Result<()> {
    let (_database, client) = first_migration().await?;
    client.batch_execute(ONE_OF_EACH).await?;
    for (table, change) in [("users", "email = 'eve@example.com'"), ("tasks", "completed = true")] {
        // An explicit value is overwritten.
        let update = format!(
            "UPDATE {table} SET {change}, created_at = '2001-02-03', updated_at = '2001-02-03'
             RETURNING concat_ws(' ', updated_at = CURRENT_TIMESTAMP::timestamp, created_at)"
        );
        assert_eq!(column(&client, &update).await?, ["t 2001-02-03 00:00:00"], "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn tasks_are_deleted_with_their_user_and_follow_a_changed_id() -> Result<()> {
    let (_database, client) = first_migration().await?;
    client
        .batch_execute(
            "INSERT INTO users (id, email, password_hash)
             SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid, n || '@example.com', repeat('x', 60)
             FROM generate_series(1, 2) AS n;
             INSERT INTO tasks (user_id, title)
             SELECT ('00000000-0000-4000-8000-00000000000' || 1 + n % 2)::uuid, 'Task ' || n
             FROM generate_series(1, 200) AS n;",
        )
        .await?;
    let owners = "SELECT user_id || ' ' || count(*) FROM tasks GROUP BY user_id ORDER BY user_id";

    client
        .batch_execute(
            "UPDATE users SET id = '00000000-0000-4000-8000-000000000003'
             WHERE id = '00000000-0000-4000-8000-000000000001'",
        )
        .await?;
    assert_eq!(
        column(&client, owners).await?,
        ["00000000-0000-4000-8000-000000000002 100", "00000000-0000-4000-8000-000000000003 100"]
    );

    client.batch_execute("DELETE FROM users WHERE id = '00000000-0000-4000-8000-000000000003'").await?;
    assert_eq!(column(&client, owners).await?, ["00000000-0000-4000-8000-000000000002 100"]);
    Ok(())
}

/// 2000 users in the order of their registration, and 60,000 tasks: every thirtieth belongs to user 1, and one in 41 is
/// completed.
const MANY: &str = "
    INSERT INTO users (id, email, password_hash, created_at)
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'user' || n || '@example.com',
           repeat('x', 60), TIMESTAMP '2025-01-01' + n * INTERVAL '1 minute'
    FROM generate_series(1, 2000) AS n;
    INSERT INTO tasks (user_id, title, created_at, completed)
    SELECT ('00000000-0000-4000-8000-' ||
            lpad(to_hex(CASE WHEN n % 30 = 0 THEN 1 ELSE n * 7919 % 2000 + 1 END), 12, '0'))::uuid,
           'Task ' || n, TIMESTAMP '2025-01-02' + n * INTERVAL '1 second', n % 41 = 0
    FROM generate_series(1, 60000) AS n;
    ANALYZE users;
    ANALYZE tasks;";

/// The indexes the planner would use for a statement.
async fn indexes(client: &Client, sql: &str) -> Result<BTreeSet<String>> {
    fn collect(plan: &Value, names: &mut BTreeSet<String>) {
        match plan {
            Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
            Value::Object(fields) => {
                names.extend(fields.get("Index Name").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, names));
            }
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    for message in client.simple_query(&format!("EXPLAIN (FORMAT JSON) {sql}")).await? {
        if let SimpleQueryMessage::Row(row) = message {
            collect(&serde_json::from_str(row.get(0).context("no plan")?)?, &mut names);
        }
    }
    Ok(names)
}

#[tokio::test]
async fn the_queries_of_the_specification_use_the_indexes_it_names() -> Result<()> {
    let (_database, client) = first_migration().await?;
    client.batch_execute(MANY).await?;
    let heavy = "'00000000-0000-4000-8000-000000000001'";
    let light = "'00000000-0000-4000-8000-0000000000aa'";
    let cases = [
        // Login.
        ("SELECT * FROM users WHERE email = 'user170@example.com'".to_owned(), &["idx_users_email"][..]),
        // Get user by ID.
        (format!("SELECT * FROM users WHERE id = {light}"), &["users_pkey"]),
        // Users by registration date.
        ("SELECT * FROM users ORDER BY created_at DESC".to_owned(), &["idx_users_created_at"]),
        // List user's tasks: a page of them. For a whole list, PostgreSQL prefers `idx_tasks_user_id` and a sort.
        (
            format!("SELECT * FROM tasks WHERE user_id = {heavy} ORDER BY created_at DESC LIMIT 20"),
            &["idx_tasks_user_id_created_at"],
        ),
        // Tasks by owner.
        (format!("SELECT * FROM tasks WHERE user_id = {light}"), &["idx_tasks_user_id"]),
        // Get task by ID.
        (format!("SELECT * FROM tasks WHERE id = {light}"), &["tasks_pkey"]),
        // Filter completed tasks.
        (
            format!("SELECT * FROM tasks WHERE user_id = {heavy} AND completed = true"),
            &["idx_tasks_user_id", "idx_tasks_completed"],
        ),
        // Update task.
        (format!("UPDATE tasks SET title = 'x', completed = true WHERE id = {light}"), &["tasks_pkey"]),
        // Delete user. The cascade has its own test below.
        (format!("DELETE FROM users WHERE id = {light}"), &["users_pkey"]),
    ];
    for (sql, expected) in cases {
        let expected: BTreeSet<_> = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(indexes(&client, &sql).await?, expected, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn deleting_a_user_finds_their_tasks_by_index() -> Result<()> {
    let (database, client) = first_migration().await?;
    client.batch_execute(MANY).await?;
    // EXPLAIN does not show the cascade, so count the scans of a real deletion, in a fresh session.
    let client = database.connect().await?;
    client.batch_execute("BEGIN; DELETE FROM users WHERE id = '00000000-0000-4000-8000-0000000000aa'").await?;
    let scans = "SELECT relname || ' ' || pg_stat_get_xact_numscans(oid) FROM pg_class
                 WHERE oid IN ('users'::regclass, 'users_pkey'::regclass, 'tasks'::regclass,
                               'idx_tasks_user_id'::regclass, 'idx_tasks_user_id_created_at'::regclass)
                 ORDER BY relname";
    assert_eq!(
        column(&client, scans).await?,
        ["idx_tasks_user_id 1", "idx_tasks_user_id_created_at 0", "tasks 0", "users 0", "users_pkey 1"]
    );
    Ok(())
}
