//! `operate restore`: an account or its tasks come back from a database that has the past.

use tests::{
    caller::SESSIONS,
    command::Output,
    database::{TestDatabase, column, wait_for_row},
    operate::on_database,
    steps::{EXPANDED, FILLED, Steps},
};
use tokio_postgres::Client;

/// Ada's account, and a task of hers by number.
const ADA: &str = "11111111-1111-4111-8111-111111111111";
const BOB: &str = "22222222-2222-4222-8222-222222222222";

fn task(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn account(id: &str, name: &str) -> String {
    format!(
        "INSERT INTO users (id, email, password_hash, created_at, updated_at)
         VALUES ('{id}', '{name}@example.com', rpad('hash of {name}', 60, 'x'),
                 '2026-01-01', '2026-01-02 03:04:05.678901');"
    )
}

/// A task with a title, which has a tag of the same name and the tag `home`, whose id differs between databases.
fn tagged(number: usize, title: &str) -> String {
    let id = task(number);
    format!(
        "INSERT INTO tasks (id, user_id, title, status, priority, due_date, created_at, updated_at)
         VALUES ('{id}', '{ADA}', '{title}', 'in_progress', 2, '2026-03-01',
                 '2026-02-01', '2026-02-02 03:04:05.678901');
         INSERT INTO tags (name) VALUES ('{title}'), ('home') ON CONFLICT DO NOTHING;
         INSERT INTO task_tags (task_id, tag_id) SELECT '{id}', id FROM tags WHERE name IN ('{title}', 'home');"
    )
}

/// Everything about accounts and tasks but the version of an account's tokens.
async fn contents(client: &Client) -> Vec<String> {
    let sql = "SELECT (to_jsonb(users) - 'token_version')::text FROM users
        UNION ALL SELECT to_jsonb(tasks)::text FROM tasks
        UNION ALL SELECT jsonb_build_array(task_id, name, user_id, task_tags.created_at)::text
                  FROM task_tags JOIN tags ON tags.id = tag_id
        ORDER BY 1";
    column(client, sql).await.unwrap()
}

/// Two databases of this release, and a client of each.
struct Databases {
    past: TestDatabase,
    present: TestDatabase,
    then: Client,
    now: Client,
}

impl Databases {
    async fn create() -> Self {
        let (past, present) = (TestDatabase::migrated().await.unwrap(), TestDatabase::migrated().await.unwrap());
        let (then, now) = (past.connect().await.unwrap(), present.connect().await.unwrap());
        Self { past, present, then, now }
    }

    async fn restore(&self, arguments: &[&str]) -> Output {
        restore(self.past.url(), self.present.url(), arguments).await
    }
}

/// Restores something of Ada's.
async fn restore(from: &str, url: &str, arguments: &[&str]) -> Output {
    let output = on_database(url, &[&["restore", "--account", ADA], arguments].concat(), &[("FROM", from)]).await;
    output.assert_hides(from);
    for secret in ["hash of", "example.com", "hunter2", "secret title"] {
        output.assert_hides(secret);
    }
    output
}

#[tokio::test]
async fn an_account_comes_back_as_it_was_and_signed_out_once_the_operator_agrees() {
    let both = Databases::create().await;
    let data = [&*account(ADA, "ada"), &tagged(1, "secret title"), &tagged(2, "another"), SESSIONS].concat();
    both.then.batch_execute(&data).await.unwrap();
    // Of somebody else, with a tag that both have.
    both.now.batch_execute(&account(BOB, "bob")).await.unwrap();
    both.now.batch_execute("INSERT INTO tags (name) VALUES ('home')").await.unwrap();

    let asked = both.restore(&[]).await;
    for line in [&format!("account {ADA}: missing; would come back"), "tasks that would come back: 2"] {
        assert!(asked.stdout.contains(line), "{asked:?}");
    }
    assert!(asked.failure().contains("Bring this back? There is no terminal to ask on: confirm with YES=1"));
    assert_eq!(column(&both.now, "SELECT email::text FROM users").await.unwrap(), ["bob@example.com"]);

    let printed = both.restore(&["--yes"]).await.success();
    assert!(printed.ends_with("brought back: the account and 2 tasks with 4 tags\n"), "{printed}");
    both.now.batch_execute(&format!("DELETE FROM users WHERE id = '{BOB}'")).await.unwrap();
    assert_eq!(contents(&both.now).await, contents(&both.then).await);
    assert_eq!(column(&both.now, "SELECT id::text FROM sessions").await.unwrap(), [""; 0]);
    // Nor do tokens of 0.1.0 hold, which have no session.
    let version = "SELECT 'moved' FROM users WHERE token_version > 1000";
    assert_eq!(column(&both.now, version).await.unwrap(), ["moved"]);

    let repeated = both.restore(&["--yes"]).await.success();
    assert!(repeated.ends_with("nothing is missing, and nothing was changed\n"), "{repeated}");
}

#[tokio::test]
async fn what_exists_stays_as_it_is_and_tasks_can_be_named() {
    let both = Databases::create().await;
    let data = [account(ADA, "ada"), tagged(1, "one"), tagged(2, "two"), tagged(3, "three")].concat();
    both.then.batch_execute(&data).await.unwrap();
    both.now.batch_execute(&[account(ADA, "ada"), tagged(1, "edited"), tagged(4, "newer")].concat()).await.unwrap();
    let titles = async || column(&both.now, "SELECT title::text FROM tasks ORDER BY id").await.unwrap();

    let printed = both.restore(&["--yes", "--tasks", &format!("{}, {}", task(1), task(2))]).await.success();
    for line in [
        "tasks that would come back: 1\n",
        &format!("tasks that exist, and stay as they are: 1: {}\n", task(1)),
        "other tasks of the account, which stay: 1\n",
        "brought back: 1 tasks with 2 tags\n",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    assert_eq!(titles().await, ["edited", "two", "newer"]);
    both.restore(&["--yes"]).await.success();
    assert_eq!(titles().await, ["edited", "two", "three", "newer"]);
    let tags = "SELECT name::text FROM task_tags JOIN tags ON tags.id = tag_id GROUP BY name ORDER BY name";
    assert_eq!(column(&both.now, tags).await.unwrap(), ["edited", "home", "newer", "three", "two"]);
}

#[tokio::test]
async fn thousands_of_tasks_come_back() {
    let both = Databases::create().await;
    let tasks = format!(
        "{} INSERT INTO tasks (user_id, title, status)
            SELECT '{ADA}', 'Task ' || n, 'pending' FROM generate_series(1, 2100) AS n;
         INSERT INTO tags (name) SELECT 'tag ' || n FROM generate_series(1, 7) AS n;
         INSERT INTO task_tags (task_id, tag_id) SELECT tasks.id, tags.id FROM tasks, tags",
        account(ADA, "ada")
    );
    both.then.batch_execute(&tasks).await.unwrap();
    let printed = both.restore(&["--yes"]).await.success();
    assert!(printed.ends_with("the account and 2100 tasks with 14700 tags\n"), "{printed}");
    assert_eq!(contents(&both.now).await, contents(&both.then).await);
}

#[tokio::test]
async fn the_past_may_have_other_migrations_than_the_present() {
    let (mut past, mut present) = (Steps::new().await.unwrap(), Steps::new().await.unwrap());
    while present.next().await.unwrap().is_some() {}
    let then = past.database.connect().await.unwrap();
    let now = present.database.connect().await.unwrap();
    let open_and_done = |completed: &str, values: [&str; 2]| {
        let rows = [(1, values[0]), (2, values[1])];
        let rows = rows.map(|(number, value)| format!("('{}', '{ADA}', 'title', {value})", task(number)));
        format!(
            "DELETE FROM users; {} INSERT INTO tasks (id, user_id, title, {completed}) VALUES {}",
            account(ADA, "ada"),
            rows.join(", ")
        )
    };
    let by_completed = open_and_done("completed", ["false", "true"]);
    for (last, is_unfilled) in [
        ("0001_create_users_and_tasks.sql", false),
        ("0008_index_signin_failures_by_email_hash.sql", false),
        ("0011_create_tags.sql", true),
        (FILLED, false),
        (EXPANDED, false),
    ] {
        past.until(last).await.unwrap();
        then.batch_execute(&by_completed).await.unwrap();
        if is_unfilled {
            // Written by 0.1.0 before there was a status.
            let empty = "ALTER TABLE tasks DISABLE TRIGGER USER; UPDATE tasks SET status = NULL;
                         ALTER TABLE tasks ENABLE TRIGGER USER";
            then.batch_execute(empty).await.unwrap();
        }
        now.batch_execute("DELETE FROM users").await.unwrap();
        restore(past.database.url(), present.database.url(), &["--yes"]).await.success();
        let status = "SELECT status::text FROM tasks ORDER BY id";
        assert_eq!(column(&now, status).await.unwrap(), ["pending", "completed"], "{last}");
        let times = "SELECT concat_ws(' ', users.updated_at, count(tasks)) FROM users JOIN tasks ON user_id = users.id
                     GROUP BY users.id";
        assert_eq!(column(&now, times).await.unwrap(), ["2026-01-02 03:04:05.678901 2"], "{last}");
    }

    // From a later schema to an earlier one, after the whole database was set back.
    let mut earlier = Steps::new().await.unwrap();
    earlier.until("0008_index_signin_failures_by_email_hash.sql").await.unwrap();
    now.batch_execute(&open_and_done("status", ["'in_progress'", "'completed'"])).await.unwrap();
    let printed = restore(present.database.url(), earlier.database.url(), &["--yes"]).await.success();
    assert!(printed.contains("does not have it: tasks.priority, tasks.due_date, tags\n"), "{printed}");
    let completed = "SELECT completed::text FROM tasks ORDER BY id";
    assert_eq!(column(&earlier.database.connect().await.unwrap(), completed).await.unwrap(), ["false", "true"]);
}

#[tokio::test]
async fn a_database_that_was_set_back_gets_no_sessions_back_and_says_what_to_migrate() {
    let mut steps = Steps::new().await.unwrap();
    steps.until("0008_index_signin_failures_by_email_hash.sql").await.unwrap();
    let url = steps.database.url().to_owned();
    let restored = async |arguments: &[&str]| on_database(&url, &[&["restored"], arguments].concat(), &[]).await;
    let printed = restored(&["--yes"]).await.success();
    assert!(printed.contains("of a time before there were sessions"), "{printed}");
    assert!(printed.contains("0009_add_priority_due_date_and_status.sql would be applied"), "{printed}");

    steps.until(EXPANDED).await.unwrap();
    let client = steps.database.connect().await.unwrap();
    client.batch_execute(&[&*account(ADA, "ada"), SESSIONS].concat()).await.unwrap();
    assert!(restored(&[]).await.failure().contains("confirm with YES=1"));
    let printed = restored(&["--yes"]).await.success();
    assert!(printed.contains("the sessions of 1 accounts were ended"), "{printed}");
    assert_eq!(column(&client, "SELECT id::text FROM sessions").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_address_that_was_registered_again_leaves_the_tasks_to_its_new_account() {
    let both = Databases::create().await;
    both.then.batch_execute(&[account(ADA, "ada"), tagged(1, "one")].concat()).await.unwrap();
    both.now.batch_execute(&account(BOB, "ada")).await.unwrap();
    let refused = both.restore(&["--yes"]).await.failure();
    let advice = format!("was registered again, by {BOB}: give that account the tasks, with TASKS=all INTO={BOB}");
    assert!(refused.contains(&advice), "{refused}");

    let printed = both.restore(&["--yes", "--tasks", "all", "--into", BOB]).await.success();
    assert!(printed.ends_with("brought back: 1 tasks with 2 tags\n"), "{printed}");
    let owners = "SELECT user_id::text FROM tasks UNION ALL SELECT user_id::text FROM task_tags";
    assert_eq!(column(&both.now, owners).await.unwrap(), [BOB; 3]);
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_by_name() {
    let both = Databases::create().await;
    let bobs = tagged(7, "bobs").replace(ADA, BOB);
    both.then
        .batch_execute(&[account(ADA, "ada"), tagged(1, "one"), account(BOB, "bob"), bobs].concat())
        .await
        .unwrap();
    let (past, present) = (both.past.url(), both.present.url());
    let unreachable = both.past.url_with(|url| url.set_port(Some(9)).unwrap());
    let stranger = both.past.url_with(|url| url.set_password(Some("hunter2")).unwrap());
    let empty = TestDatabase::create().await.unwrap();
    for (from, arguments, message) in [
        (
            past,
            &["--tasks", &*format!("{},{}", task(1), task(7))][..],
            &*format!("no such tasks there: 1: {}", task(7)),
        ),
        (past, &["--tasks", "all"], &format!("there is no account {ADA} now: restore it without TASKS")),
        (past, &["--tasks", "all", "--into", BOB], &format!("there is no account {BOB} now")),
        (present, &[], "FROM: it is the database to restore to, not its past"),
        (&unreachable, &[], "FROM: cannot connect to the database: "),
        (&stranger, &[], "FROM: cannot connect to the database: "),
        (empty.url(), &[], "FROM: it has no table users"),
        ("nonsense", &[], "FROM: "),
    ] {
        let error = restore(from, present, &[&["--yes"], arguments].concat()).await.failure();
        assert!(error.contains(message), "{error}");
    }
    let error = restore(present, past, &["--yes"]).await.failure();
    assert!(error.contains(&format!("FROM: it has no account {ADA}: look at another moment")), "{error}");
    assert_eq!(contents(&both.now).await, [""; 0]);
}

#[tokio::test]
async fn what_is_written_meanwhile_stays() {
    const WAITS: &str = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let both = Databases::create().await;
    both.then.batch_execute(&[account(ADA, "ada"), tagged(1, "one"), tagged(2, "two")].concat()).await.unwrap();
    let watch = both.present.connect().await.unwrap();

    // The address is registered again between the look at it and the insert.
    both.now.batch_execute(&format!("BEGIN; {}", account(BOB, "ada"))).await.unwrap();
    let ((), refused) = tokio::join!(
        async {
            wait_for_row(&watch, WAITS).await;
            both.now.batch_execute("COMMIT").await.unwrap();
        },
        both.restore(&["--yes"])
    );
    let refused = refused.failure();
    assert!(refused.contains("nothing was changed: the account, or its address, came back meanwhile"), "{refused}");
    both.now.batch_execute("DELETE FROM users").await.unwrap();

    // A client sends a task again, under the same id.
    both.now.batch_execute(&account(ADA, "ada")).await.unwrap();
    let sent =
        format!("INSERT INTO tasks (id, user_id, title, status) VALUES ('{}', '{ADA}', 'again', 'pending')", task(1));
    both.now.batch_execute(&format!("BEGIN; {sent}")).await.unwrap();
    let ((), printed) = tokio::join!(
        async {
            wait_for_row(&watch, WAITS).await;
            both.now.batch_execute("COMMIT").await.unwrap();
        },
        both.restore(&["--yes"])
    );
    assert!(printed.success().ends_with("brought back: 1 tasks with 2 tags\n"));
    let tasks = "SELECT concat_ws(' ', title, count(tag_id)) FROM tasks LEFT JOIN task_tags ON task_id = id
                 GROUP BY id ORDER BY id";
    assert_eq!(column(&both.now, tasks).await.unwrap(), ["again 0", "two 2"]);
}
