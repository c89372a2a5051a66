//! Whether the machine was quiet enough.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result};

use crate::samples::Samples;

/// How far the medians of a floor may be apart in two rounds.
const SPREAD: f64 = 0.15;

/// How much of the processors' time others may take.
const OTHERS: f64 = 0.05;

/// The processors' time, in ticks of the kernel's.
#[derive(Clone, Copy)]
struct Ticks {
    idle: f64,
    /// Taken by other machines on the same host.
    stolen: f64,
    all: f64,
}

impl Ticks {
    fn read() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat")?;
        let ticks = line.split_whitespace().skip(1).map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        // In this order: user, nice, system, idle, iowait, irq, softirq, steal, and guests, which are in the first two.
        let [user, nice, system, idle, wait, irq, softirq, stolen, ..] = ticks[..] else { anyhow::bail!("/proc/stat") };
        Ok(Self { idle: idle + wait, stolen, all: user + nice + system + idle + wait + irq + softirq + stolen })
    }
}

pub(crate) struct Noise {
    begun: Ticks,
    /// The part of the processors' time that was used while this bench paused.
    others: Vec<f64>,
}

impl Noise {
    pub(crate) fn begin() -> Result<Self> {
        Ok(Self { begun: Ticks::read()?, others: Vec::new() })
    }

    /// Listens for others in a pause.
    pub(crate) fn listen(&mut self) -> Result<()> {
        let before = Ticks::read()?;
        thread::sleep(Duration::from_millis(500));
        let after = Ticks::read()?;
        self.others.push(1.0 - (after.idle - before.idle) / (after.all - before.all));
        Ok(())
    }

    /// What to think of the figures, by these floors too.
    pub(crate) fn verdict(&self, floors: &[(&str, &Samples)]) -> Result<String> {
        let now = Ticks::read()?;
        let stolen = (now.stolen - self.begun.stolen) / (now.all - self.begun.all);
        let others = self.others.iter().copied().fold(0.0, f64::max);
        let spreads =
            floors.iter().map(|(name, samples)| (format!("the rounds of {name} differ by"), samples.spread(), SPREAD));
        let found = spreads.chain([
            ("others used, in the pauses, up to".to_owned(), others, OTHERS),
            ("the host took".to_owned(), stolen, OTHERS),
        ]);
        let found: Vec<_> = found.collect();
        let is_quiet = found.iter().all(|(_, part, limit)| part <= limit);
        let list: Vec<_> = found
            .iter()
            .map(|(what, part, limit)| format!("{what} {:.0} % (limit {:.0} %)", part * 100.0, limit * 100.0))
            .collect();
        let verdict = match self.others.len() {
            1 => "**One round does not tell how noisy the machine was**",
            _ if is_quiet => "**The machine was quiet enough**",
            _ => "**The machine was too noisy**",
        };
        Ok(format!("{verdict}: {}.", list.join(", ")))
    }
}
