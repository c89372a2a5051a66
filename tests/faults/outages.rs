//! The ways in which a database fails, each as one blow.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sysinfo::Signal;
use tests::{relay::Relay, store::ParameterStore, watch::Watch};
use tokio::time::sleep;

use crate::{
    breakable::{Breakable, POOLER, SERVER},
    processes::Processes,
};

/// The API with a database that can be broken, a relay between the two, and its password in a Parameter Store.
pub(crate) struct Stage {
    pub(crate) watch: Watch,
    pub(crate) database: Breakable,
    relay: Relay,
    store: ParameterStore,
    /// The round trips of opening a connection and of its first statement.
    first_statement: u32,
    /// The longest time for which there was no way to the database.
    pub(crate) longest_outage: Duration,
}

impl Stage {
    /// Starts everything.
    pub(crate) async fn start() -> Self {
        let (database, store) = tokio::join!(Breakable::start(), ParameterStore::start());
        let (relay, settings) = database.settings.clone().relayed().await;
        let config = db::Config::new(settings.get("DATABASE_URL"), Some(&authority(&settings))).unwrap();
        db::Database::open(config, None).await.ping().await.unwrap();
        // The connection was opened with a statement, and has had one more.
        let first_statement = relay.round_trips() - 1;
        let settings = store.holding(&settings, &["DATABASE_URL"]).await.side_by_side(4);
        Self { watch: Watch::start(&settings), database, relay, store, first_statement, longest_outage: Duration::ZERO }
    }
}

/// The certificate that the servers' are verified against.
pub(crate) fn authority(settings: &tests::watch::Settings) -> Vec<u8> {
    std::fs::read(settings.get("DATABASE_CA_FILE")).unwrap()
}

/// What breaks. Every outage is shorter than a request's budget, 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    BackendsTerminated,
    PoolerRestarted,
    ServerStopped,
    AnswersLost,
    BytesSwallowed,
    ProcessesFrozen,
    PoolFilled,
    PasswordRotated,
}

impl Fault {
    pub(crate) const ALL: [Self; 8] = [
        Self::BackendsTerminated,
        Self::PoolerRestarted,
        Self::ServerStopped,
        Self::AnswersLost,
        Self::BytesSwallowed,
        Self::ProcessesFrozen,
        Self::PoolFilled,
        Self::PasswordRotated,
    ];

    /// Strikes once and mends what it broke; how many faults that were.
    pub(crate) async fn strike(self, stage: &mut Stage) -> u32 {
        match self {
            Self::BackendsTerminated => terminate_backends(stage).await,
            Self::PoolerRestarted => restart_the_pooler(stage).await,
            Self::ServerStopped => stop_the_server(stage).await,
            Self::AnswersLost => lose_answers(stage).await,
            Self::BytesSwallowed => swallow_bytes(stage).await,
            Self::ProcessesFrozen => freeze_processes(stage).await,
            Self::PoolFilled => fill_the_pool(stage).await,
            Self::PasswordRotated => rotate_the_password(stage).await,
        }
    }
}

/// For a second, whatever the pooler has open is terminated every 50 ms.
async fn terminate_backends(stage: &mut Stage) -> u32 {
    let superuser = stage.database.superuser().await;
    let mut terminated = 0;
    for _ in 0..20 {
        terminated += terminate(&superuser).await;
        sleep(Duration::from_millis(50)).await;
    }
    terminated
}

/// Terminates the API's backends; how many there were.
async fn terminate(superuser: &tokio_postgres::Client) -> u32 {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'task_api_functions'";
    u32::try_from(superuser.query_typed(sql, &[]).await.unwrap().len()).unwrap()
}

async fn restart_the_pooler(stage: &mut Stage) -> u32 {
    without(stage, POOLER, Duration::ZERO).await;
    sleep(Duration::from_secs(1)).await;
    1
}

/// Stops a part and starts it again after a while.
async fn without(stage: &mut Stage, part: &str, pause: Duration) {
    let begun = Instant::now();
    stage.database.stop(part).await;
    sleep(pause).await;
    stage.database.start_again(part).await;
    stage.database.until_served().await;
    stage.longest_outage = stage.longest_outage.max(begun.elapsed());
}

/// For 4 s there is no PostgreSQL, and then none for the pooler, which looks again after 15 s.
async fn stop_the_server(stage: &mut Stage) -> u32 {
    without(stage, SERVER, Duration::from_secs(4)).await;
    // Another one at once would be the same outage, only longer.
    sleep(Duration::from_secs(6)).await;
    1
}

/// For a second, every connection is cut after the server has carried out its second statement and before the
/// answer comes through.
async fn lose_answers(stage: &mut Stage) -> u32 {
    let before = stage.relay.answers_lost();
    stage.relay.lose_answers_after(Some(stage.first_statement));
    sleep(Duration::from_secs(1)).await;
    stage.relay.lose_answers_after(None);
    stage.relay.answers_lost() - before
}

/// Connections that are used, or opened, in these 300 ms stay open, and nothing comes through them any more.
async fn swallow_bytes(stage: &mut Stage) -> u32 {
    stage.relay.swallow(true);
    sleep(Duration::from_millis(300)).await;
    stage.relay.swallow(false);
    sleep(Duration::from_secs(5)).await;
    1
}

/// The functions are frozen, as Lambda freezes them between requests; meanwhile their backends and connections end.
async fn freeze_processes(stage: &mut Stage) -> u32 {
    let superuser = stage.database.superuser().await;
    let processes = Processes::of(&stage.watch);
    processes.signal_functions(Signal::Stop);
    terminate(&superuser).await;
    stage.relay.cut();
    sleep(Duration::from_millis(200)).await;
    processes.signal_functions(Signal::Continue);
    sleep(Duration::from_millis(500)).await;
    u32::try_from(processes.functions().len()).unwrap()
}

/// Others hold every connection of the pool for 1.4 s, and the pooler lets nobody wait longer than 1 s.
async fn fill_the_pool(stage: &mut Stage) -> u32 {
    /// `default_pool_size`.
    const POOL: usize = 64;
    stage.database.set_pooler("query_wait_timeout", 1).await;
    let holders = join_all((0..POOL).map(|_| stage.database.pooled())).await;
    join_all(holders.iter().map(|holder| holder.batch_execute("SELECT pg_sleep(1.4)"))).await;
    stage.database.set_pooler("query_wait_timeout", 120).await;
    sleep(Duration::from_secs(1)).await;
    1
}

/// The role gets another password and the store hears of it; then every connection ends. More often than the store is
/// asked, nobody rotates.
async fn rotate_the_password(stage: &mut Stage) -> u32 {
    let password = uuid::Uuid::new_v4().simple().to_string();
    stage.database.change_password(&password).await;
    let mut url = stage.database.url();
    url.set_password(Some(&password)).unwrap();
    stage.database.settings = stage.database.settings.clone().with("DATABASE_URL", url.as_str());
    stage.store.put("/task-api/DATABASE_URL", &stage.relay.url(url.as_str())).await;
    without(stage, POOLER, Duration::ZERO).await;
    sleep(Duration::from_secs(8)).await;
    1
}
