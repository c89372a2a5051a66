//! What a function's memory is worth: with it Lambda gives processor time, which a control group of the kernel limits here
//! as it does there.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use cli::price;

use crate::{process::Program, programs::Programs, route::Route, samples::Samples};

/// With this much memory (MB) Lambda gives a function one whole processor
/// ([its manual](https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html)).
const WHOLE_PROCESSOR: u64 = 1769;

/// MB.
const SIZES: [u64; 6] = [128, 256, 512, 1024, WHOLE_PROCESSOR, 2 * WHOLE_PROCESSOR];

/// How often Lambda gives a function its processor time, in microseconds.
const PERIOD: u64 = 20_000;

/// How many of each kind there are in a round.
const SIGN_INS: usize = 2;
const LISTS: usize = 40;

/// A control group with the processor time of so much memory.
struct Limit(PathBuf);

impl Limit {
    fn of(memory: u64) -> Result<Self> {
        let quota = PERIOD * memory / WHOLE_PROCESSOR;
        let root = Path::new("/sys/fs/cgroup");
        // With version 1 each controller has a tree of its own.
        let (root, limits) = if root.join("cpu").exists() {
            let limits = [("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
            (root.join("cpu"), limits.to_vec())
        } else {
            (root.to_owned(), vec![("cpu.max", format!("{quota} {PERIOD}"))])
        };
        let this = Self(root.join(format!("bench-{memory}")));
        if !this.0.exists() {
            fs::create_dir(&this.0)?;
        }
        limits.into_iter().try_for_each(|(file, text)| fs::write(this.0.join(file), text))?;
        Ok(this)
    }

    /// The program, which limits itself before it starts.
    fn on(&self, program: &Program) -> Program {
        let script = format!("echo $$ >{}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        let shell = ["sh".into(), "-c".into(), script.into()];
        Program { command: shell.into_iter().chain(program.command.clone()).collect(), ..program.clone() }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// In milliseconds.
#[derive(Default)]
struct Times {
    sign_in: Samples,
    list: Samples,
    start: Samples,
}

/// By [`SIZES`]; nothing where this machine does not let us limit a process.
#[derive(Default)]
pub(crate) struct Memory([Times; SIZES.len()]);

impl Memory {
    /// Measures sign-ins, lists, and the start of a list, with each size after the other.
    pub(crate) fn add_round(&mut self, routes: &[Route], programs: &Programs, database: &str) -> Result<()> {
        for (memory, times) in SIZES.into_iter().zip(&mut self.0) {
            let Ok(limit) = Limit::of(memory) else { return Ok(()) };
            for (function, count, samples) in
                [("signin", SIGN_INS, &mut times.sign_in), ("tasks-list", LISTS, &mut times.list)]
            {
                let route = routes.iter().find(|route| route.function == function).context("no such route")?;
                let process = limit.on(programs.function(function)?).start(database)?;
                let first = process.invoke(&route.requests[0].event)?;
                if function == "tasks-list" {
                    times.start.add_round(vec![process.since_start(&first)]);
                }
                let events = route.requests.iter().cycle().take(count);
                let took = events.map(|request| Ok(process.invoke(&request.event)?.took.as_secs_f64() * 1000.0));
                samples.add_round(took.collect::<Result<_>>()?);
            }
        }
        Ok(())
    }

    /// As a table; empty where nothing was measured.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for (memory, Times { sign_in, list, start }) in SIZES.into_iter().zip(&self.0) {
            if sign_in.is_empty() {
                continue;
            }
            let price = |samples: &Samples| price::of_million_invocations(samples.median(), memory as f64);
            let _ = writeln!(
                table,
                "| {memory} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} |",
                sign_in.median(),
                price(sign_in),
                list.median(),
                price(list),
                start.median()
            );
        }
        table
    }
}
