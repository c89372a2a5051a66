use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How long one attempt may take, connecting included. Several fit into a request's budget.
pub const ATTEMPT: Duration = Duration::from_secs(3);

/// The budget where no request has set one: that of opening the connection while the function starts.
const START_UP: Duration = Duration::from_secs(3);

/// What a request asked of the database, for its log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Attempts made: the number of statements when nothing failed.
    pub attempts: u32,
    /// Those among them that repeated one before.
    pub repeats: u32,
    /// Time spent waiting for the database, pauses between attempts included.
    pub time: Duration,
}

struct Budget {
    deadline: Instant,
    usage: Cell<Usage>,
}

tokio::task_local! {
    static BUDGET: Budget;
}

/// Runs a request's work: no statement in it starts, or goes on, after the deadline.
pub async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> (T, Usage) {
    BUDGET
        .scope(Budget { deadline, usage: Cell::default() }, async {
            let output = work.await;
            (output, BUDGET.with(|budget| budget.usage.get()))
        })
        .await
}

/// The attempts at one statement: how many there were, and when there may be another.
pub(crate) struct Attempts {
    started: Instant,
    deadline: Instant,
    count: u32,
    sent: u32,
}

impl Attempts {
    /// The longest pause between two attempts.
    const LONGEST_PAUSE: Duration = Duration::from_millis(800);

    pub(crate) fn start() -> Self {
        let started = Instant::now();
        let deadline = BUDGET.try_with(|budget| budget.deadline).unwrap_or(started + START_UP);
        Self { started, deadline, count: 0, sent: 0 }
    }

    /// When the budget is spent.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        self.deadline.into()
    }

    /// Begins an attempt; when it has taken too long.
    pub(crate) fn next(&mut self) -> tokio::time::Instant {
        self.count += 1;
        (Instant::now() + ATTEMPT).min(self.deadline).into()
    }

    /// From here on the attempt may be carried out, whatever becomes of its answer.
    pub(crate) fn sending(&mut self) {
        self.sent += 1;
    }

    /// Whether an earlier attempt was sent, and may have been carried out.
    pub(crate) fn is_repeat(&self) -> bool {
        self.sent > 1
    }

    /// Waits 100, 200, 400 and then 800 ms, each cut by up to a half at random so that those who failed together do
    /// not come back together.
    pub(crate) async fn pause(&self) {
        let pause = (Duration::from_millis(100) * 2_u32.pow((self.count - 1).min(3))).min(Self::LONGEST_PAUSE);
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
    }
}

/// Adds the attempts to the request's usage, however they ended.
impl Drop for Attempts {
    fn drop(&mut self) {
        // There is no request while the function starts.
        let _ = BUDGET.try_with(|budget| {
            let mut usage = budget.usage.get();
            usage.attempts += self.count;
            usage.repeats += self.count.saturating_sub(1);
            usage.time += self.started.elapsed();
            budget.usage.set(usage);
        });
    }
}
