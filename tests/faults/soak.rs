//! Memory and file descriptors stay level under long load with lost connections.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use crate::{
    client::Client,
    harness::{EXCLUSIVE, report, short_or_long},
    outages::{Fault, Fixture},
    processes::Processes,
    workload::Workload,
};

/// How many samples are taken, one after each equal part of the requests.
const PARTS: usize = 10;

/// The highest allowed ratio of the last samples to the middle ones.
const LEVEL: f64 = 1.1;

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_descriptors_stay_level() {
    let _exclusive = EXCLUSIVE.lock().await;
    let requests = short_or_long(3_000, 15_000);
    let mut fixture = Fixture::start().await;
    let workload = Workload::start(Client::sign_up(&fixture.server.api, 16).await);
    let (mut memory, mut descriptors) = (Vec::new(), Vec::new());
    for part in 1..=PARTS {
        Fault::AnswersLost.inject(&mut fixture, &workload).await;
        while workload.counters.requests.load(Ordering::SeqCst) < requests * part / PARTS && !workload.has_failed() {
            sleep(Duration::from_millis(50)).await;
        }
        let processes = Processes::of(&fixture.server);
        memory.push(processes.memory() as f64 / f64::from(1 << 20));
        descriptors.push(processes.descriptors() as f64);
    }
    let (_, counters) = workload.finish().await;
    let (memory, descriptors) = (Trend::of(&memory), Trend::of(&descriptors));
    report(&format!(
        "\n  {} requests by 16 clients: memory {:.1} MiB in the middle, {:.1} MiB at the end; descriptors {:.0} and {:.0}",
        counters.requests.load(Ordering::SeqCst),
        memory.middle,
        memory.end,
        descriptors.middle,
        descriptors.end,
    ));
    assert!(memory.end < memory.middle * LEVEL, "memory grows");
    assert!(descriptors.end < descriptors.middle * LEVEL, "descriptors grow");
}

/// The mean of three samples in the middle, and of the last three. Growth at the start is normal.
struct Trend {
    middle: f64,
    end: f64,
}

impl Trend {
    fn of(samples: &[f64]) -> Self {
        let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len() as f64;
        Self { middle: mean(&samples[PARTS / 2 - 2..PARTS / 2 + 1]), end: mean(&samples[PARTS - 3..]) }
    }
}
