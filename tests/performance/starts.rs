//! What a start takes, until it has answered an event that was waiting.

use std::time::Duration;

use anyhow::Result;

use crate::{
    pgbench::Pgbench,
    process::{Program, Start},
    programs::Programs,
    report::Row,
    samples::Samples,
};

/// How often each contestant is started in a round.
const STARTS: usize = 5;

/// In milliseconds, by contestant as in [`Programs::contestants`].
#[derive(Default)]
pub(crate) struct Starts {
    next: [Samples; 4],
    answer: [Samples; 4],
    processor: [Samples; 4],
    /// With secrets by name: the first answer, and the processor time.
    by_name: [Samples; 2],
    psql: Samples,
}

impl Starts {
    pub(crate) fn add_round(
        &mut self,
        programs: &Programs,
        by_name: &Program,
        (database, pgbench): (&str, &Pgbench),
        event: &[u8],
    ) -> Result<()> {
        let mut starts: [Vec<Start>; 4] = Default::default();
        for _ in 0..STARTS {
            let start = by_name.try_start(database, event)?;
            self.by_name[0].add_round(vec![milliseconds(start.answer)]);
            self.by_name[1].add_round(vec![milliseconds(start.processor)]);
            self.psql.add_round(vec![milliseconds(pgbench.processor_of_psql()?)]);
            for (program, starts) in programs.contestants("tasks-list")?.into_iter().zip(&mut starts) {
                starts.push(program.try_start(database, event)?);
            }
        }
        for (number, starts) in starts.iter().enumerate() {
            let add = |samples: &mut [Samples; 4], of: fn(&Start) -> f64| {
                samples[number].add_round(starts.iter().map(of).collect())
            };
            add(&mut self.next, |start| milliseconds(start.next));
            add(&mut self.answer, |start| milliseconds(start.answer));
            add(&mut self.processor, |start| milliseconds(start.processor));
        }
        Ok(())
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |figure: &str, samples: &[Samples; 4]| Row::compared(figure, samples.each_ref().map(Samples::median));
        vec![
            row("start to `next`, ms", &self.next),
            row("start to first answer, ms", &self.answer).at_most_of_peers(0.08, 0.04),
            row("processor time of a start, ms", &self.processor).at_most(10.0),
            Row::alone("the same of `psql` for one query, ms", self.psql.median()),
            Row::alone("first answer with secrets by name, ms", self.by_name[0].median()),
            Row::alone("processor time of that start, ms", self.by_name[1].median()),
        ]
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
