//! The table that a run leaves.

use std::fmt::Write;

use cli::price;
use tests::machine::machine;

use crate::{
    load::CLIENTS,
    requests::LISTED,
    route::{PAUSE, Route, Times},
    samples::Samples,
};

/// A figure of this API beside a floor and the peers.
#[derive(Clone)]
pub(crate) struct Row {
    figure: String,
    own: f64,
    floor: Option<f64>,
    node: Option<f64>,
    python: Option<f64>,
    goals: Vec<String>,
}

/// How a figure of each contestant is.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) own: f64,
    pub(crate) floor: f64,
    pub(crate) node: f64,
    pub(crate) python: f64,
}

impl Figures {
    /// In the order of [`Programs::contestants`](crate::programs::Programs::contestants).
    pub(crate) fn of([own, floor, node, python]: [f64; 4]) -> Self {
        Self { own, floor, node, python }
    }
}

impl Row {
    fn new(figure: impl Into<String>, own: f64, floor: Option<f64>) -> Self {
        Self { figure: figure.into(), own, floor, node: None, python: None, goals: Vec::new() }
    }

    pub(crate) fn compared(figure: impl Into<String>, Figures { own, floor, node, python }: Figures) -> Self {
        Self { node: Some(node), python: Some(python), ..Self::new(figure, own, Some(floor)) }
    }

    fn with_peers(mut self, route: &Route, of: impl Fn(&Samples) -> f64) -> Self {
        if route.is_compared() {
            self.node = Some(of(&route.times.node));
            self.python = Some(of(&route.times.python));
        }
        self
    }

    /// Adds a goal, as in "≤ 0.5 × Node.js", and whether it is met.
    fn goal(mut self, goal: String, is_met: bool) -> Self {
        self.goals.push(format!("{goal}: {}", if is_met { "met" } else { "**missed**" }));
        self
    }

    pub(crate) fn at_most(self, limit: f64) -> Self {
        let is_met = self.own <= limit;
        self.goal(format!("≤ {limit}"), is_met)
    }

    fn at_most_of_floor(self, limit: f64) -> Self {
        let is_met = self.floor.is_some_and(|floor| self.own <= limit * floor);
        self.goal(format!("≤ {limit} × floor"), is_met)
    }

    pub(crate) fn at_most_of_peers(self, node: f64, python: f64) -> Self {
        let is_met = [(self.node, node), (self.python, python)]
            .map(|(peer, limit)| peer.is_some_and(|it| self.own <= limit * it));
        self.goal(format!("≤ {node} × Node.js"), is_met[0]).goal(format!("≤ {python} × Python"), is_met[1])
    }

    pub(crate) fn at_least_of_peers(self, limit: f64) -> Self {
        let is_met = [self.node, self.python].map(|peer| peer.is_some_and(|it| self.own >= limit * it));
        self.goal(format!("≥ {limit} × Node.js"), is_met[0]).goal(format!("≥ {limit} × Python"), is_met[1])
    }

    /// As a line of the table.
    fn line(&self) -> String {
        let mut line = format!("| {} | {} |", self.figure, number(self.own));
        for other in [self.floor, self.node, self.python] {
            match other {
                Some(other) => write!(line, " {} | {} |", number(other), number(self.own / other)),
                None => write!(line, " | |"),
            }
            .unwrap_or_default();
        }
        format!("{line} {} |\n", self.goals.join("; "))
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
    let p50 = routes.iter().map(|route| {
        let Times { own, echo, same, .. } = &route.times;
        let statements = if route.statements > 0 { same.median() } else { 0.0 };
        let hash = if route.hashes() { hash.median() } else { 0.0 };
        let pause = if route.pauses() { PAUSE } else { 0.0 };
        let row = Row::new(
            format!("p50 of `{}`, ms", route.name),
            own.median(),
            Some(echo.median() + statements + hash + pause),
        );
        let row = row.with_peers(route, Samples::median).at_most_of_floor(1.2);
        if route.function == "tasks-list" { row.at_most_of_peers(0.5, 0.4) } else { row }
    });
    let p99 = routes.iter().map(|route| {
        let own = &route.times.own;
        let row = Row::new(format!("p99 of `{}`, ms, beside its p50", route.name), own.p99(), Some(own.median()));
        let row = row.with_peers(route, Samples::p99);
        if route.function == "tasks-list" { row.at_most_of_floor(1.5) } else { row }
    });
    let talking = routes.iter().filter(|route| route.statements > 0);
    let statements = talking.clone().map(|route| {
        let (same, plainest) = (route.times.same.median(), route.times.plainest.median());
        Row::new(format!("statement of `{}`, ms, beside the plainest", route.name), same, Some(plainest))
            .at_most_of_floor(1.25)
    });
    let round_trips = talking.map(|route| {
        let figure = format!("round trips of `{}`, beside its statements", route.name);
        Row::new(figure, route.round_trips.into(), Some(route.statements as f64))
    });
    let costs = routes.iter().map(|route| {
        let price = |samples: &Samples| price::of_million_invocations(samples.median(), route.memory as f64);
        let figure = format!("a million `{}`, $", route.name);
        Row::new(figure, price(&route.times.own), Some(price(&route.times.echo))).with_peers(route, price)
    });
    p50.chain(p99).chain(statements).chain(round_trips).chain(costs).collect()
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
}

/// The document.
pub(crate) fn document(head: &Head, rows: &[Row]) -> String {
    let Head { commit, versions, rounds, verdict, floors } = head;
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

| figure | this API | floor | ratio | Node.js | ratio | Python | ratio | goals |
|---|---:|---:|---:|---:|---:|---:|---:|---|
{lines}",
        machine = machine(),
    )
}
