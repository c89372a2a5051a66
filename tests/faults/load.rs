//! Many more client connections than the pooler has server connections.

use std::time::{Duration, Instant};

use auth::Caller;
use db::{Created, Database, Usage, with_deadline};
use domain::{NewTask, PageRequest, Precondition, Status, StatusChange, TaskChanges, TaskValues, Title, UserId};
use futures_util::{StreamExt, future::join_all, stream};
use tests::caller::{SESSIONS, caller};

use crate::{
    breakable::Breakable,
    harness::{EXCLUSIVE, ca_certificate, report},
};

const CONNECTIONS: usize = 200;
const STATEMENTS: usize = 10_000;
/// `default_pool_size`.
const SERVERS: u32 = 2;

/// A user, with a connection as a function has one.
struct Connection {
    database: Database,
    caller: Caller,
    usage: Usage,
}

impl Connection {
    /// Runs a statement within the budget a request has.
    async fn run<T>(&mut self, statement: impl AsyncFnOnce(&Database, Caller) -> Result<T, db::Error>) -> T {
        let deadline = Instant::now() + Duration::from_secs(10);
        let (result, usage) = with_deadline(deadline, statement(&self.database, self.caller)).await;
        self.usage.attempts += usage.attempts;
        result.unwrap()
    }

    /// Creates, changes, lists and deletes a task: each statement must see this user's rows and no others.
    async fn use_task(&mut self, round: usize) {
        let user = self.caller.user();
        let title = Title::parse(&format!("{user} {round}")).unwrap();
        let new = NewTask::new(UserId::random(), None, TaskValues::new(title.clone(), TaskChanges::default()));
        let created = self.run(async |db, caller| db.create_task(caller, &new, 10_000).await).await;
        let Created::New(task) = created else { panic!("{} was there before", new.id) };
        assert_eq!((task.id, task.user_id, task.title.as_str()), (new.id, user, title.as_str()));

        let changes = TaskChanges { status: Some(StatusChange::To(Status::Completed)), ..TaskChanges::default() };
        let task =
            self.run(async |db, caller| db.update_task(caller, new.id, &Precondition::Any, &changes).await).await;
        assert_eq!((task.id, task.user_id, task.completed), (new.id, user, true));

        let page = self.run(async |db, caller| db.list_tasks(caller, &PageRequest::default()).await).await;
        assert_eq!(page.tasks.iter().map(|task| (task.id, task.user_id)).collect::<Vec<_>>(), [(new.id, user)]);

        self.run(async |db, caller| db.delete_task(caller, new.id, &Precondition::Any).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_connections_on_two_servers_get_no_error_and_no_other_users_row() {
    let _exclusive = EXCLUSIVE.lock().await;
    let database = Breakable::start().await;
    database.set_pooler("default_pool_size", SERVERS).await;
    let superuser = database.superuser().await;
    let config = db::Config::new(database.url().as_str(), Some(&ca_certificate(&database.settings))).unwrap();

    let begun = Instant::now();
    // A few at a time: all clients share the cores of one machine, and TLS handshakes are expensive.
    let connections: Vec<_> = stream::iter(0..CONNECTIONS)
        .map(async |_| {
            let caller = caller(UserId::random());
            let database = Database::open(config.clone(), None).await;
            Connection { database, caller, usage: Usage::default() }
        })
        .buffer_unordered(4)
        .collect()
        .await;
    for Connection { caller, .. } in &connections {
        let id = caller.user();
        let sql = format!(
            "INSERT INTO users (id, email, password_hash) VALUES ('{id}', '{id}@example.com', repeat('x', 60))"
        );
        superuser.batch_execute(&sql).await.unwrap();
    }
    superuser.batch_execute(SESSIONS).await.unwrap();
    let opened = begun.elapsed();

    let rounds = STATEMENTS / 4 / CONNECTIONS + 1;
    let tasks = connections.into_iter().map(|mut connection| {
        tokio::spawn(async move {
            for round in 0..rounds {
                connection.use_task(round).await;
            }
            connection
        })
    });
    let connections: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    let attempts: u32 = connections.iter().map(|connection| connection.usage.attempts).sum();
    let statements = rounds * 4 * CONNECTIONS;
    report(&format!(
        "\n  {CONNECTIONS} connections on {SERVERS} servers: {statements} statements in {attempts} attempts, {:.1} s to open, {:.1} s in all",
        opened.as_secs_f32(),
        begun.elapsed().as_secs_f32(),
    ));
    assert!(statements >= STATEMENTS);
}
