use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// The timeout for opening a connection. Several attempts fit into a request's budget.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// `statement_timeout` of the functions' role.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// `lock_timeout` of the functions' role.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// `client_connection_check_interval` of the functions' role.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The time for a statement to reach the server. A write that starts later does nothing.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(500);

/// The budget of what has no deadline.
const DEFAULT_BUDGET: Duration = Duration::from_secs(3);

/// A request's use of the database, for its log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Attempts at statements: the number of statements when nothing failed.
    pub attempts: u32,
    /// Attempts after the first one, of all statements.
    pub retries: u32,
    /// Time spent waiting for the database, backoff included.
    pub time: Duration,
}

struct Budget {
    deadline: Instant,
    usage: Cell<Usage>,
}

tokio::task_local! {
    static BUDGET: Budget;
}

/// Runs a request's work, or a function's start: in it, nothing is attempted or waited for after the deadline.
pub async fn with_deadline<T>(deadline: Instant, work: impl Future<Output = T>) -> (T, Usage) {
    BUDGET
        .scope(Budget { deadline, usage: Cell::default() }, async {
            let output = work.await;
            (output, BUDGET.with(|budget| budget.usage.get()))
        })
        .await
}

/// The attempts at one statement.
pub(crate) struct Attempts {
    started: Instant,
    deadline: Instant,
    count: u32,
}

impl Attempts {
    const MAX_BACKOFF: Duration = Duration::from_millis(800);

    pub(crate) fn start() -> Self {
        let started = Instant::now();
        let deadline = BUDGET.try_with(|budget| budget.deadline).unwrap_or(started + DEFAULT_BUDGET);
        Self { started, deadline, count: 0 }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Starts an attempt, and returns its deadline for connecting; `None` when no time is left.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.deadline <= now {
            return None;
        }
        self.count += 1;
        Some((now + CONNECT_TIMEOUT).min(self.deadline))
    }

    /// The deadline for a statement that is sent now: unless it arrives late, it has ended by then. `None` when less than
    /// `minimum` is left.
    pub(crate) fn statement_deadline(&self, minimum: Duration) -> Option<Instant> {
        let now = Instant::now();
        let deadline = (now + DELIVERY_TIMEOUT + STATEMENT_TIMEOUT).min(self.deadline);
        (deadline > now + minimum).then_some(deadline)
    }

    /// Waits 100, 200, 400, and then 800 ms, each shortened at random by up to a half (jitter).
    pub(crate) async fn backoff(&self) {
        let backoff = (Duration::from_millis(100) * 2_u32.pow((self.count - 1).min(3))).min(Self::MAX_BACKOFF);
        let until = Instant::now() + backoff.mul_f64(rand::random_range(0.5..=1.0));
        tokio::time::sleep_until(until.min(self.deadline).into()).await;
    }
}

/// Adds the attempts to the request's usage.
impl Drop for Attempts {
    fn drop(&mut self) {
        // Fails without a deadline, and so a usage.
        let _ = BUDGET.try_with(|budget| {
            let mut usage = budget.usage.get();
            usage.attempts += self.count;
            usage.retries += self.count.saturating_sub(1);
            usage.time += self.started.elapsed();
            budget.usage.set(usage);
        });
    }
}
