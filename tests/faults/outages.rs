//! The ways in which a database fails, each as one blow.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sysinfo::Signal;
use tests::{
    network::Network,
    relay::{Hold, Relay},
    store::ParameterStore,
    watch::Watch,
};
use tokio::time::sleep;

use crate::{
    breakable::{Breakable, POOLER, SERVER},
    processes::Processes,
};

/// The API with a database that can be broken, a relay between the two, and its password in a Parameter Store.
pub(crate) struct Stage {
    pub(crate) watch: Watch,
    pub(crate) database: Breakable,
    /// What the relay is reached over, or why this machine does not allow it.
    pub(crate) network: anyhow::Result<Network>,
    relay: Relay,
    store: ParameterStore,
    /// The round trips of opening a connection and of its first statement.
    first_statement: u32,
    /// The longest time for which there was no way to the database.
    pub(crate) longest_outage: Duration,
    /// Whether the next connections that deliver late are cut at once.
    cuts: bool,
}

impl Stage {
    /// Starts everything.
    pub(crate) async fn start() -> Self {
        let (database, store) = tokio::join!(Breakable::start(), ParameterStore::start());
        let network = Network::start();
        let (url, port) = (database.url(), database.url().port().unwrap());
        let (relay, url) = match &network {
            Ok(network) => {
                let relay = network.relay(port);
                let url = network.url(&relay, url.as_str());
                (relay, url)
            }
            Err(_) => Relay::before(url.as_str()).await,
        };
        let settings = database.settings.clone().with("DATABASE_URL", &url);
        let config = db::Config::new(settings.get("DATABASE_URL"), Some(&authority(&settings))).unwrap();
        db::Database::open(config, None).await.ping().await.unwrap();
        // The connection was opened with a statement, and has had one more.
        let first_statement = relay.round_trips() - 1;
        let settings = store.holding(&settings, &["DATABASE_URL"]).await.side_by_side(4);
        Self {
            watch: Watch::start(&settings),
            database,
            network,
            relay,
            store,
            first_statement,
            longest_outage: Duration::ZERO,
            cuts: false,
        }
    }

    /// The address by which the functions reach the database.
    fn way_to(&self, url: &str) -> String {
        match &self.network {
            Ok(network) => network.url(&self.relay, url),
            Err(_) => self.relay.url(url),
        }
    }
}

/// The certificate that the servers' are verified against.
pub(crate) fn authority(settings: &tests::watch::Settings) -> Vec<u8> {
    std::fs::read(settings.get("DATABASE_CA_FILE")).unwrap()
}

/// What breaks. Every outage is shorter than a request's budget, 11 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    BackendsTerminated,
    PoolerRestarted,
    ServerStopped,
    AnswersLost,
    BytesSwallowed,
    BytesDeliveredLate,
    PacketsLost,
    ProcessesFrozen,
    PoolFilled,
    PasswordRotated,
}

impl Fault {
    pub(crate) const ALL: [Self; 10] = [
        Self::BackendsTerminated,
        Self::PoolerRestarted,
        Self::ServerStopped,
        Self::AnswersLost,
        Self::BytesSwallowed,
        Self::BytesDeliveredLate,
        Self::PacketsLost,
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
            Self::BytesDeliveredLate => deliver_late(stage).await,
            Self::PacketsLost => lose_packets(stage).await,
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
        terminated += terminate(stage, &superuser).await;
        sleep(Duration::from_millis(50)).await;
    }
    terminated
}

/// Terminates the API's backends; how many there were.
async fn terminate(stage: &Stage, superuser: &tokio_postgres::Client) -> u32 {
    let role = stage.database.role();
    let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    u32::try_from(superuser.query_typed(&sql, &[]).await.unwrap().len()).unwrap()
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

/// For 300 ms, every connection is cut after the server has carried out its second statement and before the answer
/// comes through. A write is then repeated when the first attempt at it is sure to be over.
async fn lose_answers(stage: &mut Stage) -> u32 {
    let before = stage.relay.answers_lost();
    stage.relay.lose_answers_after(Some(stage.first_statement));
    sleep(Duration::from_millis(300)).await;
    stage.relay.lose_answers_after(None);
    sleep(Duration::from_millis(2_500)).await;
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

/// In 300 ms, whatever a connection says after its first statement is held, and delivered when the client has long
/// repeated it. Every other time the connection is cut at once, and the bytes come soon.
async fn deliver_late(stage: &mut Stage) -> u32 {
    const WINDOW: Duration = Duration::from_millis(300);
    let hold = Hold::all_after(stage.first_statement);
    stage.relay.hold(Some(if stage.cuts { hold.cutting() } else { hold }));
    sleep(WINDOW).await;
    stage.relay.hold(None);
    sleep(if stage.cuts { WINDOW } else { Duration::from_secs(4) }).await;
    stage.cuts = !stage.cuts;
    u32::try_from(stage.relay.deliver().await).unwrap()
}

/// For 3.6 s no packet reaches the database. What was sent meanwhile the kernel sends again, at growing intervals.
async fn lose_packets(stage: &mut Stage) -> u32 {
    let Ok(network) = &stage.network else { return 0 };
    let begun = Instant::now();
    network.lose_packets(true);
    sleep(Duration::from_millis(3_600)).await;
    network.lose_packets(false);
    stage.longest_outage = stage.longest_outage.max(begun.elapsed());
    network.until_arrived().await;
    // As long as another pause of the kernel's would be: an outage after the other is a longer one.
    sleep(Duration::from_secs(4)).await;
    1
}

/// The functions are frozen, as Lambda freezes them between requests; meanwhile their backends and connections end.
async fn freeze_processes(stage: &mut Stage) -> u32 {
    let superuser = stage.database.superuser().await;
    let processes = Processes::of(&stage.watch);
    processes.signal_functions(Signal::Stop);
    terminate(stage, &superuser).await;
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
    stage.store.put("/task-api/DATABASE_URL", &stage.way_to(url.as_str())).await;
    without(stage, POOLER, Duration::ZERO).await;
    sleep(Duration::from_secs(8)).await;
    1
}
