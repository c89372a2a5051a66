//! A long time under many clients, with connections that break: what the processes hold stays level.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use crate::{
    ALONE,
    outages::{Fault, Stage},
    processes::Processes,
    say, short_or_long,
    workload::{Client, Work},
};

/// The run is looked at after each of so many parts, all of the same number of requests.
const PARTS: usize = 10;

/// How much more there may be in the last parts than in the middle ones.
const LEVEL: f64 = 1.1;

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_descriptors_stay_level() {
    let _alone = ALONE.lock().await;
    let requests = short_or_long(3_000, 15_000);
    let mut stage = Stage::start().await;
    let work = Work::start(Client::sign_up(&stage.watch.api, 16).await);
    let (mut memory, mut descriptors) = (Vec::new(), Vec::new());
    for part in 1..=PARTS {
        Fault::AnswersLost.strike(&mut stage).await;
        while work.figures.requests.load(Ordering::SeqCst) < requests * part / PARTS && !work.has_failed() {
            sleep(Duration::from_millis(50)).await;
        }
        let processes = Processes::of(&stage.watch);
        memory.push(processes.memory() as f64 / f64::from(1 << 20));
        descriptors.push(processes.descriptors() as f64);
    }
    let (_, figures) = work.finish().await;
    let (memory, descriptors) = (Course::of(&memory), Course::of(&descriptors));
    say(&format!(
        "\n  {} requests by 16 clients: memory {:.1} MiB in the middle, {:.1} MiB at the end; descriptors {:.0} and {:.0}",
        figures.requests.load(Ordering::SeqCst),
        memory.middle,
        memory.end,
        descriptors.middle,
        descriptors.end,
    ));
    assert!(memory.end < memory.middle * LEVEL, "memory grows");
    assert!(descriptors.end < descriptors.middle * LEVEL, "descriptors grow");
}

/// Of a row of samples, the mean of three in the middle and of the last three. At the start everything grows.
struct Course {
    middle: f64,
    end: f64,
}

impl Course {
    fn of(samples: &[f64]) -> Self {
        let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len() as f64;
        Self { middle: mean(&samples[PARTS / 2 - 2..PARTS / 2 + 1]), end: mean(&samples[PARTS - 3..]) }
    }
}
