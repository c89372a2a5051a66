//! A route under measurement, beside its floors.

use anyhow::{Context, Result, ensure};
use tests::{template::Function, workspace};

use crate::{
    pgbench::Pgbench,
    process::{Process, Program},
    requests::{Author, Request},
    samples::Samples,
    statements::{Plainest, Recorder},
};

/// The routes that the peers have.
const COMPARED: [&str; 3] = ["GET /health", "GET /users/{user_id}/tasks", "POST /users/{user_id}/tasks"];

/// The functions that hash a password for a request of the bench.
const HASHING: [&str; 4] = ["signup", "signin", "password-reset", "user-update"];

/// How long the answer to a request for a mail takes at least, in milliseconds: `LEAST_TIME` of that function.
pub(crate) const PAUSE: f64 = 2000.0;

pub(crate) struct Route {
    /// Method and path.
    pub(crate) name: String,
    pub(crate) function: String,
    /// Of the function, in MB.
    pub(crate) memory: u64,
    /// How many there are in a round. There are a few more at the beginning, to warm up.
    per_round: usize,
    pub(crate) requests: Vec<Request>,
    /// The bytes of an answer.
    answer: usize,
    /// For a request.
    pub(crate) round_trips: u32,
    /// How many it sends for a request.
    pub(crate) statements: usize,
    /// By request.
    pub(crate) same: Vec<Vec<String>>,
    pub(crate) plainest: Vec<Vec<String>>,
    /// In milliseconds, by contestant; the echo answers with as many bytes.
    pub(crate) times: [Samples; 4],
    /// The processor time of a request, by contestant, a value for each round.
    pub(crate) processor: [Samples; 4],
    /// Of the statements by `pgbench`.
    pub(crate) same_times: Samples,
    /// Of the plainest statements that do the same work.
    pub(crate) plainest_times: Samples,
}

/// What a route is measured with.
pub(crate) struct Contestants<'a> {
    /// As in [`Programs::contestants`](crate::programs::Programs::contestants).
    pub(crate) processes: [&'a Process; 4],
    pub(crate) same: &'a Pgbench,
    pub(crate) plainest: &'a Pgbench,
}

impl Route {
    pub(crate) fn new(
        route: &workspace::Route,
        function: &Function,
        author: &mut Author,
        rounds: usize,
    ) -> Result<Self> {
        let name = format!("{} {}", route.method, route.path);
        let memory = function.properties["MemorySize"].as_u64().context("no MemorySize")?;
        let mut this = Self {
            function: route.function.clone(),
            memory,
            per_round: 0,
            requests: Vec::new(),
            answer: 0,
            round_trips: 0,
            statements: 0,
            same: Vec::new(),
            plainest: Vec::new(),
            times: Default::default(),
            processor: Default::default(),
            same_times: Samples::default(),
            plainest_times: Samples::default(),
            name,
        };
        this.per_round = match () {
            () if this.pauses() => 1,
            () if this.hashes() => 2,
            () if this.is_compared() => 200,
            () => 60,
        };
        let count = this.warm_up_count() + rounds * this.per_round;
        this.requests = (0..count).map(|_| author.write(route)).collect::<Result<_>>()?;
        Ok(this)
    }

    pub(crate) fn is_compared(&self) -> bool {
        COMPARED.contains(&&*self.name)
    }

    /// Whether it hashes a password.
    pub(crate) fn hashes(&self) -> bool {
        HASHING.contains(&&*self.function)
    }

    /// Whether it waits before it answers, whatever it has done.
    pub(crate) fn pauses(&self) -> bool {
        self.function == "password-reset-request"
    }

    /// How many requests warm a process up.
    fn warm_up_count(&self) -> usize {
        self.per_round.min(3)
    }

    /// Hears what each request says to the database.
    pub(crate) fn record(&mut self, program: &Program, recorder: &Recorder, plainest: &Plainest) -> Result<()> {
        let process = program.start(&recorder.url)?;
        let mut talks = Vec::new();
        for request in &self.requests {
            talks.push(recorder.listen(|| {
                self.answer = process.invoke(&request.event)?.body.len();
                Ok(())
            })?);
            self.plainest.push(plainest.of(&self.name, &request.account)?);
        }
        // More is an attempt that was too late on a busy machine, and its repetition.
        self.round_trips = talks.iter().map(|talk| talk.round_trips).min().unwrap_or_default();
        self.statements = talks.iter().map(|talk| talk.statements.len()).min().unwrap_or_default();
        let (expected, sample) = (self.plainest[0].len(), &talks[0].statements);
        ensure!(expected == self.statements, "{} sends {sample:?}, plainest.sql has {expected}", self.name);
        self.same =
            talks.into_iter().map(|mut talk| talk.statements.split_off(talk.statements.len() - expected)).collect();
        Ok(())
    }

    pub(crate) fn warm_up(&self, process: &Process) -> Result<()> {
        self.requests[..self.warm_up_count()].iter().try_for_each(|request| process.invoke(&request.event).map(drop))
    }

    /// Measures all contestants, one after the other.
    pub(crate) fn measure(&mut self, round: usize, with: &Contestants<'_>) -> Result<()> {
        let from = self.warm_up_count() + round * self.per_round;
        let range = from..from + self.per_round;
        let events: Vec<_> = self.requests[range.clone()].iter().map(|request| request.event.clone()).collect();
        // A few do for the floor.
        let to_echo = vec![self.requests[from].to_echo(self.answer)?; self.per_round.max(20)];
        let contestants = if self.is_compared() { 4 } else { 2 };
        for number in 0..contestants {
            let (process, events) = (with.processes[number], if number == 1 { &to_echo } else { &events });
            let before = process.processor()?;
            self.times[number].add_round(times(process, events)?);
            let used = (process.processor()? - before).as_secs_f64() * 1000.0;
            self.processor[number].add_round(vec![used / events.len() as f64]);
        }
        if self.statements > 0 {
            self.same_times.add_round(self.sums(with.same.times(&self.same[range.clone()].concat())?));
            self.plainest_times.add_round(self.sums(with.plainest.times(&self.plainest[range].concat())?));
        }
        Ok(())
    }

    /// The times of requests, from those of their statements, where all are known.
    fn sums(&self, times: Vec<f64>) -> Vec<f64> {
        let known = times.chunks(self.statements).filter(|times| times.iter().all(|time| *time > 0.0));
        known.map(|times| times.iter().sum()).collect()
    }
}

fn times(process: &Process, events: &[Vec<u8>]) -> Result<Vec<f64>> {
    events.iter().map(|event| Ok(process.invoke(event)?.took.as_secs_f64() * 1000.0)).collect()
}
