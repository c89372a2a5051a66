//! Under every kind of fault: an acknowledged write is there exactly once and stays until the next one, and no function
//! restarts.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tests::server::request_lines;

use crate::{
    client::Client,
    harness::{EXCLUSIVE, report, short_or_long},
    history::Anomalies,
    outages::{Fault, Fixture},
    processes::Processes,
    workload::Workload,
};

/// How many clients run concurrently.
const CLIENTS: usize = 8;

/// An outage that every request survives: its budget is 11 s, and its last attempt may start 3 s before the end.
const OUTAGE: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    requests: usize,
    creates: usize,
    faults: usize,
    retries: usize,
    unavailable: usize,
    anomalies: Anomalies,
}

impl Figures {
    const HEAD: &str = "  fault                 requests  creates   faults  retries     503s     lost  doubled reverted \
                        resurrected  seconds";

    fn line(&self, name: &str, seconds: f32) -> String {
        let Self { requests, creates, faults, retries, unavailable, anomalies } = self;
        let Anomalies { lost, doubled, reverted, resurrected } = anomalies;
        format!(
            "  {name:<20} {requests:>9}{creates:>9}{faults:>9}{retries:>9}{unavailable:>9}\
             {lost:>9}{doubled:>9}{reverted:>9}{resurrected:>12}{seconds:>9.1}"
        )
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.creates += other.creates;
        self.faults += other.faults;
        self.retries += other.retries;
        self.unavailable += other.unavailable;
        self.anomalies += other.anomalies;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_every_fault_acknowledged_writes_are_there_exactly_once() {
    let _exclusive = EXCLUSIVE.lock().await;
    let creates = short_or_long(200, 1_300);
    let mut fixture = Fixture::start().await;
    let mut clients = Client::sign_up(&fixture.server.api, CLIENTS).await;
    let workload = Workload::start(clients);
    wait_until_created(&workload, 50).await;
    clients = workload.finish().await.0;
    let functions = Processes::of(&fixture.server).functions();

    report(&format!("\n{}", Figures::HEAD));
    let (begun, mut all, mut failures) = (Instant::now(), Figures::default(), Vec::new());
    for fault in Fault::ALL {
        if let (Fault::PacketsLost, Err(reason)) = (fault, &fixture.network) {
            report(&format!("  {fault:?}: SKIPPED, this machine allows no network of the tests' own: {reason:#}"));
            continue;
        }
        let figures;
        (clients, figures) = run_under(fault, &mut fixture, clients, creates).await;
        all.add(&figures);
        let unexpected = clients.iter_mut().flat_map(|client| client.unexpected.drain(..));
        failures.extend(unexpected.map(|unexpected| format!("{fault:?}: {unexpected}")));
        if figures.faults == 0 || figures.retries == 0 {
            failures.push(format!("{fault:?} had no effect"));
        }
        // A busy machine may take longer to start a server than a request can wait.
        if figures.unavailable > 0 && fixture.longest_outage < OUTAGE {
            failures.push(format!("{fault:?}: 503 after {:?}", fixture.longest_outage));
        }
    }
    report(&all.line("all", begun.elapsed().as_secs_f32()));
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(all.anomalies, Anomalies::default());
    let functions_now = Processes::of(&fixture.server).functions();
    assert!(functions.iter().all(|(pid, name)| functions_now.get(pid) == Some(name)), "a function was restarted");
}

/// Injects a fault again and again while the clients work, and then verifies what is in the database.
async fn run_under(
    fault: Fault,
    fixture: &mut Fixture,
    clients: Vec<Client>,
    creates: usize,
) -> (Vec<Client>, Figures) {
    let begun = Instant::now();
    fixture.longest_outage = Duration::ZERO;
    let log_before = fixture.server.output().len();
    let workload = Workload::start(clients);
    let mut faults = fault.inject(fixture, &workload).await;
    while workload.counters.creates.load(Ordering::SeqCst) < creates && !workload.has_failed() {
        faults += fault.inject(fixture, &workload).await;
    }
    let (mut clients, counters) = workload.finish().await;

    let log = fixture.server.output().split_off(log_before);
    let attempts = request_lines(&log).into_iter().filter_map(|line| line["attempts"].as_u64());
    let retries = attempts.map(|attempts| attempts.saturating_sub(1)).sum::<u64>();
    let mut figures = Figures {
        requests: counters.requests.load(Ordering::SeqCst),
        creates: counters.creates.load(Ordering::SeqCst),
        unavailable: counters.unavailable.load(Ordering::SeqCst),
        faults: usize::try_from(faults).unwrap(),
        retries: usize::try_from(retries).unwrap(),
        ..Figures::default()
    };
    // By now everything late has been delivered.
    fixture.database.until_idle().await;
    let database = fixture.database.superuser().await;
    for client in &mut clients {
        client.verify(&database).await;
        figures.anomalies += std::mem::take(&mut client.anomalies);
    }
    report(&figures.line(&format!("{fault:?}"), begun.elapsed().as_secs_f32()));
    (clients, figures)
}

async fn wait_until_created(workload: &Workload, creates: usize) {
    while workload.counters.creates.load(Ordering::SeqCst) < creates && !workload.has_failed() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
