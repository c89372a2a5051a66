//! Fault injection: the ways in which a database, or the network to it, fails.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sysinfo::Signal;
use tests::{
    network::Network,
    relay::{Hold, Relay},
    server::TestServer,
    store::ParameterStore,
};
use tokio::time::sleep;

use crate::{
    breakable::{Breakable, POOLER, SERVER},
    harness::ca_certificate,
    processes::Processes,
    workload::Workload,
};

/// An API with a relay before a database that can be stopped, whose password is in a Parameter Store.
pub(crate) struct Fixture {
    pub(crate) server: TestServer,
    pub(crate) database: Breakable,
    /// The network of the relay, or why this machine does not allow one.
    pub(crate) network: anyhow::Result<Network>,
    relay: Relay,
    store: ParameterStore,
    /// The number of round trips until a new connection has had its first statement.
    first_statement: u32,
    /// The longest time without a database.
    pub(crate) longest_outage: Duration,
    /// Whether the next connections that deliver late are closed at once.
    disconnects: bool,
}

impl Fixture {
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
            Err(_) => Relay::in_front_of(url.as_str()).await,
        };
        let settings = database.settings.clone().with("DATABASE_URL", &url);
        let config = db::Config::new(settings.get("DATABASE_URL"), Some(&ca_certificate(&settings))).unwrap();
        db::Database::open(config, None).await.ping().await.unwrap();
        // Opening the connection has run a statement, and the ping another.
        let first_statement = relay.round_trips() - 1;
        let settings = store.move_settings(&settings, &["DATABASE_URL"]).await.concurrency(4);
        Self {
            server: TestServer::start(&settings),
            database,
            network,
            relay,
            store,
            first_statement,
            longest_outage: Duration::ZERO,
            disconnects: false,
        }
    }

    /// The URL by which the functions reach the database.
    fn relayed_url(&self, url: &str) -> String {
        match &self.network {
            Ok(network) => network.url(&self.relay, url),
            Err(_) => self.relay.url(url),
        }
    }
}

/// A kind of fault. Every outage is shorter than a request's budget, 11 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    BackendsTerminated,
    PoolerRestarted,
    ServerStopped,
    AnswersLost,
    BytesDropped,
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
        Self::BytesDropped,
        Self::BytesDeliveredLate,
        Self::PacketsLost,
        Self::ProcessesFrozen,
        Self::PoolFilled,
        Self::PasswordRotated,
    ];

    /// Injects it once and repairs the damage; the number of faults that this was.
    pub(crate) async fn inject(self, fixture: &mut Fixture, workload: &Workload) -> u32 {
        match self {
            Self::BackendsTerminated => terminate_backends(fixture, workload).await,
            Self::PoolerRestarted => restart_the_pooler(fixture).await,
            Self::ServerStopped => stop_the_server(fixture).await,
            Self::AnswersLost => lose_answers(fixture).await,
            Self::BytesDropped => drop_bytes(fixture).await,
            Self::BytesDeliveredLate => deliver_late(fixture).await,
            Self::PacketsLost => lose_packets(fixture).await,
            Self::ProcessesFrozen => freeze_processes(fixture).await,
            Self::PoolFilled => fill_the_pool(fixture).await,
            Self::PasswordRotated => rotate_the_password(fixture).await,
        }
    }
}

/// Terminates the pooler's backends three times within 100 ms, and then lets every request that this can have hit end: on a
/// busy machine, a longer series would leave a request no time for a whole attempt.
async fn terminate_backends(fixture: &mut Fixture, workload: &Workload) -> u32 {
    let superuser = fixture.database.superuser().await;
    let mut terminated = 0;
    for _ in 0..3 {
        terminated += terminate(fixture, &superuser).await;
        sleep(Duration::from_millis(50)).await;
    }
    workload.until_answered().await;
    terminated
}

/// Terminates the API's backends; how many there were.
async fn terminate(fixture: &Fixture, superuser: &tokio_postgres::Client) -> u32 {
    let role = fixture.database.role();
    let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    u32::try_from(superuser.query_typed(&sql, &[]).await.unwrap().len()).unwrap()
}

async fn restart_the_pooler(fixture: &mut Fixture) -> u32 {
    restart(fixture, POOLER, Duration::ZERO).await;
    sleep(Duration::from_secs(1)).await;
    1
}

/// Stops a server and starts it again after a pause.
async fn restart(fixture: &mut Fixture, part: &str, pause: Duration) {
    let begun = Instant::now();
    fixture.database.stop(part).await;
    sleep(pause).await;
    fixture.database.start_again(part).await;
    fixture.database.until_served().await;
    fixture.longest_outage = fixture.longest_outage.max(begun.elapsed());
}

/// Stops PostgreSQL for 4 s, or longer for the pooler, which retries a failed login after 15 s.
async fn stop_the_server(fixture: &mut Fixture) -> u32 {
    restart(fixture, SERVER, Duration::from_secs(4)).await;
    // Without this pause, the next fault would only prolong the outage.
    sleep(Duration::from_secs(6)).await;
    1
}

/// For 300 ms, closes every connection when its second statement has been executed, and drops the answer. A write is then
/// retried when its first attempt is certain to be over.
async fn lose_answers(fixture: &mut Fixture) -> u32 {
    let before = fixture.relay.answers_lost();
    fixture.relay.lose_answers_after(Some(fixture.first_statement));
    sleep(Duration::from_millis(300)).await;
    fixture.relay.lose_answers_after(None);
    sleep(Duration::from_millis(2_500)).await;
    fixture.relay.answers_lost() - before
}

/// Connections that are used or opened within 300 ms stay open, but drop everything from then on.
async fn drop_bytes(fixture: &mut Fixture) -> u32 {
    fixture.relay.black_hole(true);
    sleep(Duration::from_millis(300)).await;
    fixture.relay.black_hole(false);
    sleep(Duration::from_secs(5)).await;
    1
}

/// For 300 ms, holds what is sent after a connection's first statement, and delivers it long after the client has retried.
/// Every other time, closes the connection at once and delivers soon.
async fn deliver_late(fixture: &mut Fixture) -> u32 {
    const WINDOW: Duration = Duration::from_millis(300);
    let hold = Hold::all_after(fixture.first_statement);
    fixture.relay.hold(Some(if fixture.disconnects { hold.disconnecting() } else { hold }));
    sleep(WINDOW).await;
    fixture.relay.hold(None);
    sleep(if fixture.disconnects { WINDOW } else { Duration::from_secs(4) }).await;
    fixture.disconnects = !fixture.disconnects;
    u32::try_from(fixture.relay.deliver().await).unwrap()
}

/// Loses all packets to the database for 3.6 s. The kernel retransmits them at growing intervals.
async fn lose_packets(fixture: &mut Fixture) -> u32 {
    let Ok(network) = &fixture.network else { return 0 };
    let begun = Instant::now();
    network.lose_packets(true);
    sleep(Duration::from_millis(3_600)).await;
    network.lose_packets(false);
    fixture.longest_outage = fixture.longest_outage.max(begun.elapsed());
    network.wait_until_acknowledged().await;
    // As long as the next interval of the kernel would be, so that two outages do not become one.
    sleep(Duration::from_secs(4)).await;
    1
}

/// Freezes the functions, as Lambda does between requests, and closes their backends and connections meanwhile.
async fn freeze_processes(fixture: &mut Fixture) -> u32 {
    let superuser = fixture.database.superuser().await;
    let processes = Processes::of(&fixture.server);
    processes.signal_functions(Signal::Stop);
    terminate(fixture, &superuser).await;
    fixture.relay.cut();
    sleep(Duration::from_millis(200)).await;
    processes.signal_functions(Signal::Continue);
    sleep(Duration::from_millis(500)).await;
    u32::try_from(processes.functions().len()).unwrap()
}

/// Occupies every connection of the pool for 1.4 s, while the pooler lets clients wait for 1 s.
async fn fill_the_pool(fixture: &mut Fixture) -> u32 {
    /// `default_pool_size`.
    const POOL: usize = 64;
    fixture.database.set_pooler("query_wait_timeout", 1).await;
    let holders = join_all((0..POOL).map(|_| fixture.database.pooled())).await;
    join_all(holders.iter().map(|holder| holder.batch_execute("SELECT pg_sleep(1.4)"))).await;
    fixture.database.set_pooler("query_wait_timeout", 120).await;
    sleep(Duration::from_secs(1)).await;
    1
}

/// Changes the role's password, stores it, and closes every connection. Then a pause, as functions read the
/// store only every few seconds.
async fn rotate_the_password(fixture: &mut Fixture) -> u32 {
    let password = uuid::Uuid::new_v4().simple().to_string();
    fixture.database.change_password(&password).await;
    let mut url = fixture.database.url();
    url.set_password(Some(&password)).unwrap();
    fixture.database.settings = fixture.database.settings.clone().with("DATABASE_URL", url.as_str());
    fixture.store.put("/task-api/DATABASE_URL", &fixture.relayed_url(url.as_str())).await;
    restart(fixture, POOLER, Duration::ZERO).await;
    sleep(Duration::from_secs(8)).await;
    1
}
