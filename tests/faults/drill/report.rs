//! What a drill leaves.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tests::machine::machine;

use super::Data;
use crate::workload::Counters;

/// What a scenario came to.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    /// Of the way back, and how long each took.
    steps: Vec<(String, Duration)>,
    /// Rows, and states that clients know of.
    pub(crate) compared: usize,
    /// How many of them are lost or altered, and other answers that were wrong.
    pub(crate) wrong: usize,
    /// Acknowledged writes after the moment that the database has gone back to.
    pub(crate) undone: usize,
    requests: usize,
    failed: usize,
    longest: Duration,
}

impl Row {
    pub(crate) fn of(scenario: &'static str) -> Self {
        Self { scenario, ..Self::default() }
    }

    /// Takes a step of the way back.
    pub(crate) async fn step<T>(&mut self, what: &str, step: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let output = step.await;
        self.steps.push((what.to_owned(), begun.elapsed()));
        output
    }

    /// The same, for a step that compares.
    pub(crate) async fn verify(&mut self, verify: impl AsyncFnOnce(&mut Self)) {
        let begun = Instant::now();
        verify(self).await;
        self.steps.push(("compare everything there".to_owned(), begun.elapsed()));
    }

    /// Adds what the clients have counted.
    pub(crate) fn count(&mut self, counters: &Counters) {
        let number = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        self.requests += number(&counters.requests);
        self.failed += number(&counters.unavailable) + number(&counters.refused);
        self.longest = self.longest.max(counters.longest());
    }

    /// Compares what there is with what there was.
    pub(crate) fn compare<T: PartialEq + Debug>(&mut self, was: &BTreeMap<String, T>, is: &BTreeMap<String, T>) {
        self.compared += was.len();
        for key in was.keys().chain(is.keys().filter(|key| !was.contains_key(*key))) {
            if was.get(key) != is.get(key) {
                eprintln!("{}: {key} was {:?} and is {:?}", self.scenario, was.get(key), is.get(key));
                self.wrong += 1;
            }
        }
    }

    fn took(&self) -> Duration {
        self.steps.iter().map(|(_, took)| *took).sum()
    }
}

/// The scenarios, and their steps.
pub(crate) fn tables(rows: &[Row]) -> String {
    let scenario = |row: &Row| {
        let Row { scenario, compared, wrong, undone, requests, failed, longest, .. } = row;
        let (took, longest) = (row.took().as_secs_f32(), longest.as_secs_f32());
        format!("| {scenario} | {took:.1} | {compared} | {wrong} | {undone} | {requests} | {failed} | {longest:.1} |\n")
    };
    let step = |(scenario, (what, took)): (&str, &(String, Duration))| {
        format!("| {scenario} | {what} | {:.1} |\n", took.as_secs_f32())
    };
    let steps = rows.iter().flat_map(|row| row.steps.iter().map(|step| (row.scenario, step)));
    format!(
        "\
| scenario | way back, s | rows compared | lost or altered | writes undone | requests | failed | longest, s |
|---{}|
{}
| scenario | step of the way back | s |
|---|---|---:|
{}",
        "|---:".repeat(7),
        rows.iter().map(scenario).collect::<String>(),
        steps.map(step).collect::<String>(),
    )
}

pub(crate) fn document(rows: &[Row], data: &Data, server: &str) -> String {
    let Data { clients, quiet, tasks, .. } = data;
    format!(
        "\
# Disasters, and the way back

Written by `make drill`: the specification's scenarios on PostgreSQL {server},
without fsync, behind PgBouncer. Everything runs on one machine ({machine}), in
development builds.

{clients} clients write all the time, over HTTP, and remember what was acknowledged. Beside theirs there are {quiet} tasks
of accounts that nobody uses, and in each scenario an account with {tasks} tasks. After the chosen moment, and before the
harm, a migration adds a column. A copy of PostgreSQL's data folder and its WAL, archived since then, stand for the
history that Neon keeps: a second server recovers the moment from them, which at Neon is a branch. If the whole database
goes back, that server takes the place of the other one once all that it has was compared.

*Way back* is the sum of the steps below: what people need to notice the harm, and to choose the moment, comes on top.
*Lost or altered* counts, of what was acknowledged before the moment, and in scenarios 1 and 3 at any time, what is not as
it was, and every other wrong answer. *Writes undone* were acknowledged after the moment to which the whole database goes
back. *Failed* requests got a 503, or a 401 as their account was gone.

In scenario 3 PgBouncer, Neon's pooler, adds up to 15 s: so long after a refused connection it tries the next one.

{tables}",
        machine = machine(),
        tables = tables(rows),
    )
}
