//! The table that a run leaves.

use cli::price;
use tests::machine::machine;

use crate::{
    load::CLIENTS,
    requests::LISTED,
    route::{PAUSE, Route},
    samples::Samples,
};

/// A figure of this API, beside a floor and those of the peers in Node.js and in Python.
#[derive(Clone)]
pub(crate) struct Row {
    figure: String,
    values: [Option<f64>; 4],
    goals: Vec<String>,
}

impl Row {
    pub(crate) fn new(figure: impl Into<String>, values: [Option<f64>; 4]) -> Self {
        Self { figure: figure.into(), values, goals: Vec::new() }
    }

    /// Only of this API.
    pub(crate) fn alone(figure: impl Into<String>, own: f64) -> Self {
        Self::new(figure, [Some(own), None, None, None])
    }

    /// In the order of [`Programs::contestants`](crate::programs::Programs::contestants).
    pub(crate) fn compared(figure: impl Into<String>, values: [f64; 4]) -> Self {
        Self::new(figure, values.map(Some))
    }

    /// Whether this API's figure compares so with another, by the number of it.
    fn is(&self, compare: impl Fn(f64, f64) -> bool, other: usize) -> bool {
        matches!((self.values[0], self.values[other]), (Some(own), Some(other)) if compare(own, other))
    }

    /// Adds a goal, as in "≤ 0.5 × Node.js", and whether it is met.
    fn goal(mut self, goal: String, is_met: bool) -> Self {
        self.goals.push(format!("{goal}: {}", if is_met { "met" } else { "**missed**" }));
        self
    }

    pub(crate) fn at_most(self, limit: f64) -> Self {
        let is_met = self.values[0].is_some_and(|own| own <= limit);
        self.goal(format!("≤ {limit}"), is_met)
    }

    fn at_most_of_floor(self, limit: f64) -> Self {
        let is_met = self.is(|own, floor| own <= limit * floor, 1);
        self.goal(format!("≤ {limit} × floor"), is_met)
    }

    pub(crate) fn at_most_of_peers(self, node: f64, python: f64) -> Self {
        let (first, second) = (self.is(|own, it| own <= node * it, 2), self.is(|own, it| own <= python * it, 3));
        self.goal(format!("≤ {node} × Node.js"), first).goal(format!("≤ {python} × Python"), second)
    }

    pub(crate) fn at_least_of_peers(self, limit: f64) -> Self {
        let [node, python] = [2, 3].map(|peer| self.is(|own, it| own >= limit * it, peer));
        self.goal(format!("≥ {limit} × Node.js"), node).goal(format!("≥ {limit} × Python"), python)
    }

    /// As a line of the table.
    fn line(&self) -> String {
        let own = self.values[0].unwrap_or(f64::NAN);
        let others = self.values[1..].iter().map(|value| match value {
            Some(value) => format!(" {} | {} |", number(*value), number(own / value)),
            None => " | |".to_owned(),
        });
        format!("| {} | {} |{} {} |\n", self.figure, number(own), others.collect::<String>(), self.goals.join("; "))
    }
}

/// With three digits, or whole.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// The figures of the routes, of one kind after the other.
pub(crate) fn rows(routes: &[Route], hash: &Samples) -> Vec<Row> {
    // Beside a floor.
    let compared = |route: &Route, figure: String, of: &dyn Fn(&Samples) -> f64, floor: f64| {
        let [own, _, node, python] = &route.times;
        let peers = [node, python].map(|samples| route.is_compared().then(|| of(samples)));
        Row::new(figure, [Some(of(own)), Some(floor), peers[0], peers[1]])
    };
    let p50 = routes.iter().map(|route| {
        let row = compared(route, format!("p50 of `{}`, ms", route.name), &Samples::median, floor(route, hash));
        let row = row.at_most_of_floor(1.2);
        if route.function == "tasks-list" { row.at_most_of_peers(0.5, 0.4) } else { row }
    });
    let p99 = routes.iter().map(|route| {
        let figure = format!("p99 of `{}`, ms, beside its p50", route.name);
        let row = compared(route, figure, &Samples::p99, route.times[0].median());
        if route.function == "tasks-list" { row.at_most_of_floor(1.5) } else { row }
    });
    let processor = routes.iter().filter(|route| route.is_compared()).map(|route| {
        let figure = format!("processor time of `{}`, ms", route.name);
        Row::compared(figure, route.processor.each_ref().map(Samples::median))
    });
    let talking = routes.iter().filter(|route| route.statements > 0);
    let statements = talking.clone().map(|route| {
        let times = [Some(route.same_times.median()), Some(route.plainest_times.median()), None, None];
        Row::new(format!("statement of `{}`, ms, beside the plainest", route.name), times).at_most_of_floor(1.25)
    });
    let round_trips = talking.map(|route| {
        let figure = format!("round trips of `{}`, beside its statements", route.name);
        Row::new(figure, [Some(route.round_trips.into()), Some(route.statements as f64), None, None])
    });
    let costs = routes.iter().map(|route| {
        let price = |samples: &Samples| price::of_million_invocations(samples.median(), route.memory as f64);
        compared(route, format!("a million `{}`, $", route.name), &price, price(&route.times[1]))
    });
    p50.chain(p99).chain(processor).chain(statements).chain(round_trips).chain(costs).collect()
}

/// What a warm request takes without this API.
fn floor(route: &Route, hash: &Samples) -> f64 {
    let statements = if route.statements > 0 { route.same_times.median() } else { 0.0 };
    let hash = if route.hashes() { hash.median() } else { 0.0 };
    let pause = if route.pauses() { PAUSE } else { 0.0 };
    route.times[1].median() + statements + hash + pause
}

/// What requests to some routes take beyond their floors.
pub(crate) fn own_times(routes: &[Route], hash: &Samples) -> String {
    let own = |route: &Route| format!("{:.2} ms for `{}`", route.times[0].median() - floor(route, hash), route.name);
    let names = ["GET /docs", "GET /health", "GET /users/{user_id}", "GET /users/{user_id}/tasks"];
    let chosen = routes.iter().filter(|route| names.contains(&&*route.name));
    chosen.map(own).collect::<Vec<_>>().join(", ")
}

/// What the floors of some routes are of the peers' times.
pub(crate) fn floors_of_peers(routes: &[Route], hash: &Samples) -> String {
    let compared = routes.iter().filter(|route| route.is_compared());
    let parts = compared.map(|route| {
        let [node, python] = [2, 3].map(|peer| floor(route, hash) / route.times[peer].median());
        format!("{node:.2} of Node.js's time and {python:.2} of Python's for `{}`", route.name)
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// What the report says above the table.
pub(crate) struct Head {
    /// Of what was measured, as in "1234567 of 2026-11-30".
    pub(crate) commit: String,
    /// As in "Node.js v20.20.2, ...".
    pub(crate) versions: String,
    pub(crate) rounds: usize,
    pub(crate) verdict: String,
    /// The floors that all routes share, as in "an echo takes 0.1 ms".
    pub(crate) floors: String,
    pub(crate) own_times: String,
    pub(crate) floors_of_peers: String,
}

/// The document.
pub(crate) fn document(head: &Head, rows: &[Row], plans: &str, memory: &str) -> String {
    let Head { commit, versions, rounds, verdict, floors, own_times, floors_of_peers } = head;
    let lines: String = rows.iter().map(Row::line).collect();
    let (missed, goals) = rows
        .iter()
        .flat_map(|row| &row.goals)
        .fold((0, 0), |(missed, goals), goal| (missed + usize::from(goal.ends_with("**missed**")), goals + 1));
    format!(
        "\
# Performance

Written by `make bench`: commit {commit}, release builds, on {machine}; {versions}.
Everything runs on this one machine, the processes one after the other unless it says otherwise.

{verdict} {missed} of {goals} goals are missed.

Each function is a process that takes its events from a Lambda service of the bench's own, as in the cloud. A *start* is
that of `tasks-list`, up to its first question for an event (`next`) and up to its first answer, a list of {LISTED} tasks.
The *warm* times are from the event being handed over until the answer is complete. Each request is of an account of its
own. In each of {rounds} rounds the contestants take turns; the figures are medians of all rounds, and p99 is the largest
of fewer than 100. The peers ([tests/peers](../tests/peers)) have three of the routes in one function: Node.js with pg and
jose, and Python with FastAPI, Mangum and psycopg, on the same schema, with the same tokens.

The *floor* of a start, of memory, of a package and of a million requests is an echo function in Rust, which does nothing
else. That of a warm p50 is the echo of as many bytes, the same statements with the same parameters by `pgbench` through
the same pooler and TLS, one hash where a password is hashed, and the {PAUSE} ms that a request for a mail always takes:
{floors}. *Statements a second* are per second of one processor of PostgreSQL's, with {CLIENTS} processes asking at once;
its floor is the plainest statement by `pgbench`. The plainest statements are in `tests/performance/plainest.sql`. Prices
are AWS's ([operations.md](operations.md)) for functions alone, at the durations on this machine.

What a request takes beyond its floor is the function's own work: the event, the token's signature, the answer, the log's
line. It is {own_times}. The floor
itself is {floors_of_peers}. What a statement takes
beyond the plainest one is planning above all ([below](#statements)), and where statements are planned anew, nothing gets
more of them a second than the plainest. What a start takes beyond the echo's is its connection; `psql`, a program in C,
opens one with the same TLS and SCRAM.

| figure | this API | floor | ratio | Node.js | ratio | Python | ratio | goals |
|---|---:|---:|---:|---:|---:|---:|---:|---|
{lines}
## Statements

Statements are unnamed, since behind a transaction pooler a named one could be another process's. So PostgreSQL plans
each of them anew. These are its own figures (`EXPLAIN ANALYZE`), in milliseconds, on a connection without the pooler.

| route | planning | execution | of the plainest: planning | execution |
|---|---:|---:|---:|---:|
{plans}
## Memory

With its memory a function gets processor time: one processor with 1,769 MB. Here a control group limits each process in
the same way, every 20 ms. A million invocations cost by the median. The first answer is of a process that was started
with the same limit; Lambda does not limit a start so, up to the first `next`.

| memory, MB | sign-in, ms | a million, $ | list, ms | a million, $ | start to first list, ms |
|---:|---:|---:|---:|---:|---:|
{memory}",
        machine = machine(),
    )
}
