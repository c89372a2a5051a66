//! Requests that wait for locks: what they leave running, for how long, and on how many connections.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tests::{api::User, watch::Watch};
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::{ALONE, breakable::Breakable};

/// `default_pool_size` here.
const POOL: u32 = 20;

/// The database's activity, seen by a superuser.
struct Activity {
    superuser: Client,
    sql: String,
}

/// What there was at one moment.
struct Sample {
    /// In seconds, by the database's clock.
    at: f64,
    /// The functions' backends.
    backends: i64,
    /// Those among them that run the statement in question.
    running: i64,
}

impl Activity {
    /// Of the functions, apart from one session, and of their statements with this text in particular.
    async fn of(database: &Breakable, statement: &str, apart_from: &Client) -> Self {
        let pid: i32 = apart_from.query_typed("SELECT pg_backend_pid()", &[]).await.unwrap()[0].get(0);
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

    /// Looks again and again while something else is done.
    async fn during<T>(&self, done: impl Future<Output = T>) -> (T, Vec<Sample>) {
        let mut samples = Vec::new();
        let output = tokio::select! {
            output = done => output,
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

/// Renames so many locked tasks at once. The lock is there until every request is answered, and some time after.
async fn rename_locked(requests: usize) {
    let _alone = ALONE.lock().await;
    let database = Breakable::start().await;
    database.set_pooler("default_pool_size", POOL).await;
    let watch = Watch::start(&database.settings.clone().side_by_side(u8::try_from(requests).unwrap()));
    let user = watch.api.user().await;
    let mut paths = Vec::new();
    for _ in 0..requests {
        paths.push(format!("/tasks/{}", user.task("before").await["id"].as_str().unwrap()));
    }
    // Every process is there, with its connection, before there is a lock.
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

    // By the clock that tells how long statements run, a second after the last 503.
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
async fn of_a_statement_that_waits_there_is_never_a_second_copy_nor_any_after_the_503() {
    rename_locked(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_requests_that_wait_leave_the_pool_to_the_others() {
    rename_locked(8).await;
}
