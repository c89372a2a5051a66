//! What a start takes, until it has answered an event that was waiting.

use anyhow::Result;

use crate::{
    process::Start,
    programs::Programs,
    report::{Figures, Row},
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
}

impl Starts {
    pub(crate) fn add_round(&mut self, programs: &Programs, database: &str, event: &[u8]) -> Result<()> {
        let mut starts: [Vec<Start>; 4] = Default::default();
        for _ in 0..STARTS {
            for (program, starts) in programs.contestants("tasks-list")?.into_iter().zip(&mut starts) {
                starts.push(program.try_start(database, event)?);
            }
        }
        for (number, starts) in starts.iter().enumerate() {
            let add = |samples: &mut [Samples; 4], of: fn(&Start) -> f64| {
                samples[number].add_round(starts.iter().map(of).collect())
            };
            add(&mut self.next, |start| start.next.as_secs_f64() * 1000.0);
            add(&mut self.answer, |start| start.answer.as_secs_f64() * 1000.0);
            add(&mut self.processor, |start| start.processor.as_secs_f64() * 1000.0);
        }
        Ok(())
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |figure: &str, samples: &[Samples; 4]| {
            Row::compared(figure, Figures::of(samples.each_ref().map(Samples::median)))
        };
        vec![
            row("start to `next`, ms", &self.next),
            row("start to first answer, ms", &self.answer).at_most_of_peers(0.08, 0.04),
            row("processor time of a start, ms", &self.processor).at_most(10.0),
        ]
    }
}
