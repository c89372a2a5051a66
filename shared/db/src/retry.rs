use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How long opening a connection may take. Several attempts fit into a request's budget.
pub const CONNECT: Duration = Duration::from_secs(3);

/// How long a statement may run at the server: `statement_timeout` of the functions' role.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a statement may wait for a lock: `lock_timeout` of the functions' role.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the server looks whether somebody still waits for a statement: `client_connection_check_interval` of the
/// functions' role.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// How long a statement may be on its way before the server begins it. What comes later writes nothing.
const DELIVERY: Duration = Duration::from_millis(500);

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
}

impl Attempts {
    /// The longest pause between two attempts.
    const LONGEST_PAUSE: Duration = Duration::from_millis(800);

    pub(crate) fn start() -> Self {
        let started = Instant::now();
        let deadline = BUDGET.try_with(|budget| budget.deadline).unwrap_or(started + START_UP);
        Self { started, deadline, count: 0 }
    }

    /// When the budget is spent.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether there was any.
    pub(crate) fn were_made(&self) -> bool {
        self.count > 0
    }

    /// Begins an attempt; when it is given up if there is no connection by then. `None` when there is no time for one.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.deadline <= now {
            return None;
        }
        self.count += 1;
        Some((now + CONNECT).min(self.deadline))
    }

    /// When a statement that is sent now is given up: begun in time, it is over by then. `None` when there is not as
    /// much time as it `needs`.
    pub(crate) fn sending(&self, needs: Duration) -> Option<Instant> {
        let now = Instant::now();
        let until = (now + DELIVERY + STATEMENT_TIMEOUT).min(self.deadline);
        (until > now + needs).then_some(until)
    }

    /// Waits 100, 200, 400 and then 800 ms, each cut by up to a half at random so that those who failed together do
    /// not come back together.
    pub(crate) async fn pause(&self) {
        let pause = (Duration::from_millis(100) * 2_u32.pow((self.count - 1).min(3))).min(Self::LONGEST_PAUSE);
        let until = Instant::now() + pause.mul_f64(rand::random_range(0.5..=1.0));
        tokio::time::sleep_until(until.min(self.deadline).into()).await;
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
