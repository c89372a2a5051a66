//! How many requests the database can serve: as many as it has processor time for.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use tokio_postgres::Client;

use crate::{
    pgbench::Pgbench,
    process::{Process, Program},
    programs::Programs,
    report::Row,
    route::Route,
};

/// How many processes, or connections, ask at once.
pub(crate) const CLIENTS: usize = 8;

/// How long they ask in a round.
const SECONDS: u64 = 1;

/// What the database has done, and what it has cost.
#[derive(Clone, Copy, Default)]
struct Served {
    statements: f64,
    /// Seconds of a processor.
    processor: f64,
}

impl Served {
    fn add(&mut self, other: Self) {
        self.statements += other.statements;
        self.processor += other.processor;
    }

    /// In a second of a processor.
    fn rate(self) -> f64 {
        self.statements / self.processor
    }
}

/// The server's processes.
pub(crate) struct Server {
    /// The parent of all others.
    postmaster: u32,
}

impl Server {
    pub(crate) async fn of(client: &Client) -> Result<Self> {
        let backend: i32 = client.query_typed_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        Ok(Self { postmaster: parent(&backend.to_string()).context("the server is elsewhere")? })
    }

    /// What some work costs that sends so many statements as it returns.
    fn serve(&self, work: impl FnOnce() -> Result<f64>) -> Result<Served> {
        let before = self.processor()?;
        let statements = work()?;
        Ok(Served { statements, processor: (self.processor()? - before).as_secs_f64() })
    }

    /// The processor time that they have used.
    fn processor(&self) -> Result<Duration> {
        let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let own = pids.filter(|pid| parent(pid) == Some(self.postmaster));
        let nanoseconds = own.filter_map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Ok(Duration::from_nanos(nanoseconds.sum()))
    }
}

fn parent(pid: &str) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, in parentheses, and the state.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The loads of some routes, by contestant as in [`Programs::contestants`]; the floor is `pgbench`.
#[derive(Default)]
pub(crate) struct Loads(Vec<(String, [Served; 4])>);

impl Loads {
    /// In each round, the contestants take turns.
    pub(crate) fn measure(
        &mut self,
        route: &Route,
        programs: &Programs,
        database: &str,
        plainest: &Pgbench,
        server: &Server,
        rounds: usize,
    ) -> Result<()> {
        let events: Vec<_> = route.requests.iter().map(|request| &*request.event).collect();
        let [own, _, node, python] =
            programs.contestants(&route.function)?.map(|program| start(program, database, events[0]));
        let (mut own, mut node, mut python) = (own?, node?, python?);
        let statements = route.plainest.concat();
        let mut served = [Served::default(); 4];
        for _ in 0..rounds {
            served[0].add(server.serve(|| run(&mut own, &events))?);
            served[1].add(server.serve(|| plainest.load(&statements, CLIENTS, SECONDS))?);
            served[2].add(server.serve(|| run(&mut node, &events))?);
            served[3].add(server.serve(|| run(&mut python, &events))?);
        }
        self.0.push((route.name.clone(), served));
        Ok(())
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        let rows = self.0.iter().map(|(name, served)| {
            let rates = served.map(Served::rate);
            Row::compared(format!("statements a second of `{name}`"), rates).at_least_of_peers(2.0)
        });
        rows.collect()
    }
}

/// Starts the processes of a load, which have answered once.
fn start(program: &Program, database: &str, event: &[u8]) -> Result<Vec<Process>> {
    let started = (0..CLIENTS).map(|_| {
        let process = program.start(database)?;
        process.invoke(event)?;
        Ok(process)
    });
    started.collect()
}

/// Hands these events to all processes, to each one after the other; how many were answered.
fn run(processes: &mut [Process], events: &[&[u8]]) -> Result<f64> {
    let answered = AtomicU32::new(0);
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let work = |process: &mut Process| -> Result<()> {
        for event in events.iter().cycle() {
            if Instant::now() > end {
                break;
            }
            process.invoke(event)?;
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = processes.iter_mut().map(|process| scope.spawn(|| work(process))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a panic"))?)
    })?;
    Ok(answered.into_inner().into())
}
