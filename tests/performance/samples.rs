//! Measured values and what is reported of them.

/// Values of one kind, by round. Times are in milliseconds.
#[derive(Clone, Default)]
pub(crate) struct Samples(Vec<Vec<f64>>);

impl Samples {
    pub(crate) fn add_round(&mut self, values: Vec<f64>) {
        self.0.push(values);
    }

    /// All of these, round by round.
    pub(crate) fn together<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut together = Self::default();
        for samples in all {
            together.0.resize(together.0.len().max(samples.0.len()), Vec::new());
            for (to, from) in together.0.iter_mut().zip(&samples.0) {
                to.extend(from);
            }
        }
        together
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of all rounds together.
    pub(crate) fn median(&self) -> f64 {
        percentile(self.0.concat(), 0.5)
    }

    /// The same; of fewer than a hundred values it is the largest.
    pub(crate) fn p99(&self) -> f64 {
        percentile(self.0.concat(), 0.99)
    }

    /// How far the rounds' medians are apart, as a part of the median.
    pub(crate) fn spread(&self) -> f64 {
        let medians = self.0.iter().map(|round| percentile(round.clone(), 0.5));
        let (least, most) = medians.fold((f64::MAX, f64::MIN), |(least, most), it| (least.min(it), most.max(it)));
        (most - least) / self.median()
    }
}

/// The nearest-rank percentile; not a number without values.
fn percentile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
