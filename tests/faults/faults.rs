//! While every kind of fault strikes: each acknowledged write is there once, and stays until another is acknowledged;
//! nothing is there twice, and nothing has to be restarted.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tests::watch::request_lines;

use crate::{
    ALONE,
    outages::{Fault, Stage},
    processes::Processes,
    say, short_or_long,
    workload::{Client, Harm, Work},
};

/// How many clients work side by side.
const CLIENTS: usize = 8;

/// An outage that every request sits out: its budget is 11 s, and its last attempt may begin 3 s before its end.
const OUTAGE: Duration = Duration::from_secs(6);

/// What came of one kind of fault.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    requests: usize,
    creates: usize,
    faults: usize,
    retries: usize,
    unavailable: usize,
    harm: Harm,
}

impl Figures {
    const HEAD: &str = "  fault                 requests  creates   faults  retries     503s     lost  doubled reverted \
                        resurrected  seconds";

    fn line(&self, name: &str, seconds: f32) -> String {
        let Self { requests, creates, faults, retries, unavailable, harm } = self;
        let Harm { lost, doubled, reverted, resurrected } = harm;
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
        self.harm += other.harm;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_every_acknowledged_write_is_there_exactly_once() {
    let _alone = ALONE.lock().await;
    let creates = short_or_long(200, 1_300);
    let mut stage = Stage::start().await;
    let mut clients = Client::sign_up(&stage.watch.api, CLIENTS).await;
    let work = Work::start(clients);
    until_created(&work, 50).await;
    clients = work.finish().await.0;
    let functions = Processes::of(&stage.watch).functions();

    say(&format!("\n{}", Figures::HEAD));
    let (begun, mut all, mut failures) = (Instant::now(), Figures::default(), Vec::new());
    for fault in Fault::ALL {
        if let (Fault::PacketsLost, Err(reason)) = (fault, &stage.network) {
            say(&format!("  {fault:?}: SKIPPED, this machine allows no network of the tests' own: {reason:#}"));
            continue;
        }
        let figures;
        (clients, figures) = under(fault, &mut stage, clients, creates).await;
        all.add(&figures);
        let surprises = clients.iter_mut().flat_map(|client| client.surprises.drain(..));
        failures.extend(surprises.map(|surprise| format!("{fault:?}: {surprise}")));
        if figures.faults == 0 || figures.retries == 0 {
            failures.push(format!("{fault:?} was not felt"));
        }
        // A machine that is busy may take longer to start a server than a request can wait.
        if figures.unavailable > 0 && stage.longest_outage < OUTAGE {
            failures.push(format!("{fault:?}: 503 after {:?}", stage.longest_outage));
        }
    }
    say(&all.line("all", begun.elapsed().as_secs_f32()));
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(all.harm, Harm::default());
    let functions_now = Processes::of(&stage.watch).functions();
    assert!(functions.iter().all(|(pid, name)| functions_now.get(pid) == Some(name)), "a function was restarted");
}

/// Lets the clients work while the fault strikes again and again, and then looks at what is left.
async fn under(fault: Fault, stage: &mut Stage, clients: Vec<Client>, creates: usize) -> (Vec<Client>, Figures) {
    let begun = Instant::now();
    stage.longest_outage = Duration::ZERO;
    let log_before = stage.watch.output().len();
    let work = Work::start(clients);
    let mut faults = fault.strike(stage).await;
    while work.figures.creates.load(Ordering::SeqCst) < creates && !work.has_failed() {
        faults += fault.strike(stage).await;
    }
    let (mut clients, figures) = work.finish().await;

    let log = stage.watch.output().split_off(log_before);
    let attempts = request_lines(&log).into_iter().filter_map(|line| line["attempts"].as_u64());
    let retries = attempts.map(|attempts| attempts.saturating_sub(1)).sum::<u64>();
    let mut figures = Figures {
        requests: figures.requests.load(Ordering::SeqCst),
        creates: figures.creates.load(Ordering::SeqCst),
        unavailable: figures.unavailable.load(Ordering::SeqCst),
        faults: usize::try_from(faults).unwrap(),
        retries: usize::try_from(retries).unwrap(),
        ..Figures::default()
    };
    // By now all that was late has been delivered.
    stage.database.until_idle().await;
    let database = stage.database.superuser().await;
    for client in &mut clients {
        client.verify(&database).await;
        figures.harm += std::mem::take(&mut client.harm);
    }
    say(&figures.line(&format!("{fault:?}"), begun.elapsed().as_secs_f32()));
    (clients, figures)
}

async fn until_created(work: &Work, creates: usize) {
    while work.figures.creates.load(Ordering::SeqCst) < creates && !work.has_failed() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
