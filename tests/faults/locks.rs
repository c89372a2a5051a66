//! Requests that wait for locks: how many of their statements run, for how long, and on how many connections.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tests::{
    api::{User, task_path},
    server::TestServer,
};
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::{breakable::Breakable, harness::EXCLUSIVE};

/// `default_pool_size` in these tests.
const POOL: u32 = 20;

/// `pg_stat_activity`, read by a superuser.
struct Activity {
    superuser: Client,
    sql: String,
}

struct Sample {
    /// In seconds, by the database's clock.
    at: f64,
    /// The functions' backends.
    backends: i64,
    /// Those that run the observed statement.
    running: i64,
}

impl Activity {
    /// Observes the functions' role except for one session, and its statements that contain this text.
    async fn of(database: &Breakable, statement: &str, except: &Client) -> Self {
        let pid: i32 = except.query_typed("SELECT pg_backend_pid()", &[]).await.unwrap()[0].get(0);
        let role = database.role();
        let sql = format!(
            "SELECT extract(epoch FROM clock_timestamp())::float8, count(*),
                    count(*) FILTER (WHERE state = 'active' AND query LIKE '%{statement}%')
             FROM pg_stat_activity
             WHERE usename = '{role}' AND pid <> {pid}"
        );
        Self { superuser: database.superuser().await, sql }
    }

    async fn sample(&self) -> Sample {
        let row = self.superuser.query_typed(&self.sql, &[]).await.unwrap().remove(0);
        Sample { at: row.get(0), backends: row.get(1), running: row.get(2) }
    }

    /// Takes samples until a future completes.
    async fn during<T>(&self, future: impl Future<Output = T>) -> (T, Vec<Sample>) {
        let mut samples = Vec::new();
        let output = tokio::select! {
            output = future => output,
            never = async {
                loop {
                    samples.push(self.sample().await);
                    sleep(Duration::from_millis(10)).await;
                }
            } => never,
        };
        (output, samples)
    }
}

/// Renames locked tasks, each in a request. The lock is held until some time after the last answer.
async fn rename_locked(requests: usize) {
    let _exclusive = EXCLUSIVE.lock().await;
    let database = Breakable::start().await;
    database.set_pooler("default_pool_size", POOL).await;
    let server = TestServer::start(&database.settings.clone().concurrency(u8::try_from(requests).unwrap()));
    let user = server.api.user().await;
    let mut paths = Vec::new();
    for _ in 0..requests {
        paths.push(task_path(&user.task("before").await));
    }
    // Start all processes and connections before there is a lock.
    assert!(rename(&user, &paths, "unlocked").await.iter().all(|status| *status == 200));
    let lock = database.owner().await;
    lock.batch_execute("BEGIN; SELECT FROM tasks FOR UPDATE").await.unwrap();
    let activity = Activity::of(&database, "UPDATE tasks", &lock).await;

    let (statuses, samples) = activity.during(rename(&user, &paths, "late")).await;
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    let most = |figure: fn(&Sample) -> i64| samples.iter().map(figure).max().unwrap();
    let copies = most(|sample| sample.running);
    assert!((1..=i64::try_from(requests).unwrap()).contains(&copies), "{copies} copies of {requests} statements");
    assert!(most(|sample| sample.backends) <= i64::from(POOL), "{} backends", most(|sample| sample.backends));

    // A second after the last 503 by the database's clock, which limits the statements.
    let over = activity.sample().await.at + 1.0;
    while activity.sample().await.at < over {
        sleep(Duration::from_millis(10)).await;
    }
    let (_, samples) = activity.during(sleep(Duration::from_secs(1))).await;
    assert_eq!(samples.iter().map(|sample| sample.running).max(), Some(0), "still running");
    lock.batch_execute("ROLLBACK").await.unwrap();
    database.until_idle().await;
    for path in &paths {
        assert_eq!(user.get(path).await.expect(200).body["title"], "unlocked");
    }
}

async fn rename(user: &User, paths: &[String], title: &str) -> Vec<u16> {
    let title = json!({ "title": title });
    let replies = join_all(paths.iter().map(|path| user.put(path, &title))).await;
    replies.into_iter().map(|reply| reply.status).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_statement_never_runs_twice_at_once_nor_after_its_503() {
    rename_locked(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_waiting_requests_do_not_exhaust_the_pool() {
    rename_locked(8).await;
}
