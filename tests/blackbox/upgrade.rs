//! Release 0.1.0 on the schema of 0.2.0: its own statements, on every step of the way there.

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tests::{
    api::{PASSWORD, task_path},
    database::{TestDatabase, column},
    server::{Settings, TestServer},
    steps::{CONTRACTED, CONTRACTION, EXPANDED, FILLED, Step, Steps},
};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use uuid::Uuid;

const STATEMENTS: &str = include_str!("statements_of_0.1.0.sql");

/// The last migration before tasks gain a status.
const BEFORE: &str = "0008_index_signin_failures_by_email_hash.sql";

/// A connection of release 0.1.0, and a user of its own.
struct Old {
    client: Client,
    user: Uuid,
}

/// A row with the columns that 0.1.0 reads of a task.
#[derive(Debug, PartialEq, Eq)]
struct OldTask {
    id: String,
    title: String,
    completed: bool,
    updated_at: String,
}

impl Old {
    async fn connect(database: &TestDatabase) -> Result<Self> {
        let old = Self { client: database.connect().await?, user: Uuid::new_v4() };
        // Those that cannot be prepared fail when they are called.
        for statement in STATEMENTS.split_inclusive(';') {
            let _ = old.client.batch_execute(statement).await;
        }
        let email = format!("'{}@example.com'", old.user);
        old.call(&format!("create_user ('{}', {email}, repeat('x', 60))", old.user)).await?;
        old.call(&format!("get_user ('{}', 0)", old.user)).await?.first().context("no user")?;
        Ok(old)
    }

    async fn call(&self, call: &str) -> Result<Vec<SimpleQueryRow>> {
        let messages = self.client.simple_query(&format!("EXECUTE {call}")).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The tasks that a call returns.
    async fn tasks(&self, call: &str) -> Result<Vec<OldTask>> {
        let read = |row: &SimpleQueryRow| {
            let text = |column| row.try_get(column).map(|value| value.unwrap_or_default().to_owned());
            text("user_id").and(text("description")).and(text("created_at"))?;
            Ok(OldTask {
                id: text("id")?,
                title: text("title")?,
                completed: text("completed")? == "t",
                updated_at: text("updated_at")?,
            })
        };
        self.call(call).await?.iter().map(read).collect()
    }

    async fn task(&self, call: &str) -> Result<OldTask> {
        self.tasks(call).await?.pop().with_context(|| format!("no task: {call}"))
    }

    async fn create(&self, title: &str) -> Result<OldTask> {
        self.task(&format!("create_task ('{}', 0, '{}', '{title}', NULL)", self.user, Uuid::new_v4())).await
    }

    async fn get(&self, id: &str) -> Result<OldTask> {
        self.task(&format!("get_task ('{}', 0, '{id}')", self.user)).await
    }

    /// Sets `completed`, if the task is still as it was.
    async fn complete(&self, task: &OldTask, completed: bool) -> Result<OldTask> {
        let OldTask { id, updated_at, .. } = task;
        let call =
            format!("update_task ('{}', 0, '{id}', '{{{updated_at}}}', NULL, false, NULL, {completed})", self.user);
        self.task(&call).await
    }

    async fn list(&self, completed: &str) -> Result<Vec<String>> {
        let call = format!("list_tasks ('{}', 0, {completed}, NULL, NULL, 51)", self.user);
        let tasks = self.tasks(&call).await?;
        Ok(tasks.into_iter().map(|task| task.title).collect())
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let rows = self.call(&format!("delete_task ('{}', 0, '{id}', NULL)", self.user)).await?;
        ensure!(rows.first().context("no row")?.try_get("is_deleted")? == Some("t"), "{id} was not deleted");
        Ok(())
    }

    /// Sets the status, as later releases do.
    async fn set_status(&self, id: &str, status: &str) -> Result<()> {
        let update = format!("UPDATE tasks SET status = '{status}' WHERE id = '{id}'");
        Ok(self.client.batch_execute(&update).await?)
    }

    async fn status(&self, id: &str) -> Result<String> {
        let select = format!("SELECT status FROM tasks WHERE id = '{id}'");
        column(&self.client, &select).await?.pop().context("no task")
    }

    /// All that 0.1.0 does with tasks.
    async fn work(&self) -> Result<()> {
        let (first, second) = (self.create("first").await?, self.create("second").await?);
        ensure!(self.get(&first.id).await? == first && !first.completed);
        let done = self.complete(&first, true).await?;
        ensure!(done.completed && done.updated_at > first.updated_at);
        ensure!(self.complete(&first, false).await? == done, "its state is another one");
        ensure!(self.list("NULL").await? == ["second", "first"]);
        ensure!(self.list("true").await? == ["first"] && self.list("false").await? == ["second"]);
        ensure!(!self.complete(&done, false).await?.completed);
        self.delete(&second.id).await?;
        ensure!(self.list("NULL").await? == ["first"]);
        self.delete(&first.id).await
    }

    /// What it does and what later releases do, to the same tasks.
    async fn work_beside_later_releases(&self) -> Result<()> {
        let task = self.create("shared").await?;
        ensure!(self.status(&task.id).await? == "pending");
        let task = self.complete(&task, true).await?;
        ensure!(self.status(&task.id).await? == "completed");
        let task = self.complete(&task, false).await?;
        ensure!(self.status(&task.id).await? == "pending");

        self.set_status(&task.id, "in_progress").await?;
        let task = self.get(&task.id).await?;
        ensure!(!task.completed);
        let task = self.complete(&task, false).await?;
        ensure!(!task.completed && self.status(&task.id).await? == "in_progress", "nothing was changed");
        let task = self.complete(&task, true).await?;
        ensure!(task.completed && self.status(&task.id).await? == "completed");
        self.set_status(&task.id, "pending").await?;
        ensure!(!self.get(&task.id).await?.completed);
        self.set_status(&task.id, "completed").await?;
        ensure!(self.get(&task.id).await?.completed && self.list("true").await? == ["shared"]);
        self.delete(&task.id).await
    }
}

#[tokio::test]
async fn the_first_release_works_on_every_schema_before_the_contraction() -> Result<()> {
    let mut steps = Steps::new().await?;
    steps.until(BEFORE).await?;
    Old::connect(&steps.database).await?.work().await?;
    loop {
        let Step { name, .. } = steps.next().await?.context("no contraction")?;
        if name == CONTRACTION {
            return Ok(());
        }
        let old = Old::connect(&steps.database).await?;
        old.work().await.context(name.clone())?;
        old.work_beside_later_releases().await.context(name)?;
        let done = old.call(&format!("delete_user ('{}', 0)", old.user)).await?;
        assert_eq!(done.first().context("no row")?.try_get("done")?, Some("t"));
    }
}

#[tokio::test]
async fn the_contraction_ends_what_the_first_release_does_with_tasks() -> Result<()> {
    let mut steps = Steps::new().await?;
    steps.until(CONTRACTION).await?;
    let old = Old::connect(&steps.database).await?;
    let user = old.user;
    for call in [
        format!("create_task ('{user}', 0, '{}', 'first', NULL)", Uuid::new_v4()),
        format!("get_task ('{user}', 0, '{}')", Uuid::new_v4()),
        format!("list_tasks ('{user}', 0, NULL, NULL, NULL, 51)"),
        format!("update_task ('{user}', 0, '{}', NULL, NULL, false, NULL, true)", Uuid::new_v4()),
    ] {
        assert!(old.tasks(&call).await.is_err(), "{call}");
    }
    // The statement of `create_task` itself goes on, with the default: what failed was to read its answer.
    assert_eq!(column(&old.client, "SELECT status FROM tasks").await?, ["pending"]);
    Ok(())
}

#[tokio::test]
async fn the_functions_serve_every_route_of_tasks_before_and_after_the_contraction() -> Result<()> {
    let mut steps = Steps::new().await?;
    steps.until(EXPANDED).await?;
    let server = TestServer::start(&Settings::shared().with("DATABASE_URL", steps.database.url()));
    let user = server.api.user().await;
    for contract in [false, true] {
        if contract {
            steps.until(CONTRACTED).await?;
        }
        let body = json!({"title": "x", "status": "in_progress", "tags": ["home"], "priority": 1});
        let task = user.post("/tasks", &body).await.expect(201).body;
        let path = task_path(&task);
        for (change, completed) in [(json!({"completed": true}), true), (json!({"completed": false}), false)] {
            assert_eq!(user.patch(&path, &change).await.expect(200).body["completed"], completed);
        }
        assert_eq!(user.get(&path).await.expect(200).body["status"], "pending");
        for query in ["", "?completed=false", "?status=pending&sort=-priority", "?tag=home&sort=due_date", "?q=X"] {
            let list = user.get(&format!("/tasks{query}")).await.expect(200).body;
            assert_eq!((&list[0]["id"], list[1].is_null()), (&task["id"], true), "{query}");
        }
        assert_eq!(user.get("/summary").await.expect(200).body["tasks"]["pending"], 1);
        user.delete(&path).await.expect(204);
    }
    user.delete("").await.expect(204);
    Ok(())
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_holds_at_both_releases_until_the_contraction() -> Result<()> {
    let mut steps = Steps::new().await?;
    steps.until(EXPANDED).await?;
    let server = TestServer::start(&Settings::shared().with("DATABASE_URL", steps.database.url()));
    let user = server.api.user().await;
    let old = Old { user: user.id.parse()?, ..Old::connect(&steps.database).await? };
    assert_eq!(claims(&user.token)["token_version"], 0);
    let change = json!({"current_password": PASSWORD, "password": "another password"});
    user.put("", &change).await.expect(200);
    assert!(old.call(&format!("get_user ('{}', 0)", user.id)).await?.is_empty(), "the password has changed");
    let session = server.api.sign_in(&user.email, "another password").await.expect(200);
    assert_eq!(claims(&session.token())["token_version"], 1);
    assert_eq!(old.call(&format!("get_user ('{}', 1)", user.id)).await?.len(), 1);

    steps.until(CONTRACTED).await?;
    user.get("").await.expect(200);
    let session = server.api.refresh(&session.refresh_token()).await.expect(200);
    assert_eq!(claims(&session.token()).get("token_version"), None);
    let change = json!({"current_password": "another password", "password": PASSWORD});
    user.put("", &change).await.expect(200);
    server.api.refresh(&session.refresh_token()).await.expect(401);
    let again = user.signed_in_again().await;
    again.delete("/sessions").await.expect(204);
    user.get("").await.expect(401);
    Ok(())
}

#[tokio::test]
async fn a_password_that_the_first_release_changes_ends_every_session() -> Result<()> {
    let mut steps = Steps::new().await?;
    steps.until(EXPANDED).await?;
    let server = TestServer::start(&Settings::shared().with("DATABASE_URL", steps.database.url()));
    let (user, stranger) = (server.api.user().await, server.api.user().await);
    let old = Old::connect(&steps.database).await?;
    let update = |hash: &str| format!("update_user ('{}', 0, NULL, {hash}, 1)", user.id);
    old.call(&update("NULL").replace(", 1)", ", 0)")).await?;
    user.get("").await.expect(200);
    old.call(&update("repeat('y', 60)")).await?;
    assert_eq!(
        column(&old.client, &format!("SELECT token_version::text FROM users WHERE id = '{}'", user.id)).await?,
        ["1"]
    );
    assert_eq!(user.get("").await.expect(401).body["code"], "session_ended");
    stranger.get("").await.expect(200);
    Ok(())
}

#[tokio::test]
async fn the_fill_gives_every_task_its_status_and_changes_nothing_else() -> Result<()> {
    let mut steps = Steps::new().await?;
    steps.until(BEFORE).await?;
    let old = Old::connect(&steps.database).await?;
    let many = format!(
        "INSERT INTO tasks (user_id, title, completed, updated_at)
         SELECT '{}', 'Task ' || n, n % 3 = 0, TIMESTAMP '2026-01-01' + n * interval '1 second'
         FROM generate_series(1, 20000) AS n",
        old.user
    );
    old.client.batch_execute(&many).await?;
    // As JSON, without what the new columns hold.
    let rows =
        "SELECT md5(string_agg((to_jsonb(tasks) - ARRAY['status', 'priority', 'due_date'])::text, ',' ORDER BY id))
                FROM tasks";
    let before = column(&old.client, rows).await?;
    steps.until(FILLED).await?;
    assert_eq!(column(&old.client, rows).await?, before);
    let statuses =
        "SELECT concat_ws(' ', status, completed, count(*)) FROM tasks GROUP BY status, completed ORDER BY status";
    assert_eq!(column(&old.client, statuses).await?, ["completed t 6666", "pending f 13334"]);

    steps.until("0015_set_status_not_null.sql").await?;
    let nullable =
        "SELECT is_nullable::text FROM information_schema.columns WHERE table_name = 'tasks' AND column_name = 'status'
                    UNION ALL SELECT conname::text FROM pg_constraint WHERE conname = 'status_not_null'";
    assert_eq!(column(&old.client, nullable).await?, ["NO"]);
    Ok(())
}
