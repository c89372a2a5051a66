use std::time::{Duration, Instant, SystemTime};

/// An estimate of the server's clock: never ahead of it, and behind by the latency of an answer at most.
///
/// It advances with the local monotonic clock, so setting the local time has no effect. While the process is frozen it
/// falls behind; a statement may then be taken for late although it is not, which is safe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    server: SystemTime,
    read_at: Instant,
}

impl Clock {
    /// `server` was received just now.
    pub(crate) fn read(server: SystemTime) -> Self {
        Self { server, read_at: Instant::now() }
    }

    /// The server's time at a local instant, to the microsecond, as PostgreSQL compares times.
    pub(crate) fn at(&self, instant: Instant) -> SystemTime {
        match instant.checked_duration_since(self.read_at) {
            Some(later) => self.server + whole_micros(later),
            None => self.server - whole_micros(self.read_at.duration_since(instant)),
        }
    }

    /// Corrects the estimate: `server` is a time between the sending of a statement and now.
    pub(crate) fn correct(&mut self, server: SystemTime, sent: Instant) {
        let now = Instant::now();
        *self = Self { server: self.at(now).clamp(server, server + whole_micros(now - sent)), read_at: now };
    }
}

fn whole_micros(time: Duration) -> Duration {
    time - Duration::from_nanos((time.subsec_nanos() % 1_000).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_clock_advances_with_the_local_one() {
        let now = Instant::now();
        let clock = Clock { server: SystemTime::UNIX_EPOCH + 10 * SECOND, read_at: now };
        assert_eq!(clock.at(now + 3 * SECOND), SystemTime::UNIX_EPOCH + 13 * SECOND);
        assert_eq!(clock.at(now - 3 * SECOND), SystemTime::UNIX_EPOCH + 7 * SECOND);
        let in_between = clock.at(now + Duration::from_nanos(1_999));
        assert_eq!(in_between, SystemTime::UNIX_EPOCH + 10 * SECOND + Duration::from_micros(1));
    }

    #[test]
    fn the_estimate_is_kept_within_the_bounds_that_an_answer_sets() {
        let sent = Instant::now() - SECOND;
        let after = |server: SystemTime| {
            let mut clock = Clock::read(SystemTime::UNIX_EPOCH + 100 * SECOND);
            clock.correct(server, sent);
            clock.at(Instant::now()).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        // The statement started half a second before its answer: the estimate is better.
        assert_eq!(after(SystemTime::UNIX_EPOCH + Duration::from_millis(99_500)), 100);
        assert_eq!(after(SystemTime::UNIX_EPOCH + 200 * SECOND), 200, "the server's clock was set ahead");
        assert!((50..=52).contains(&after(SystemTime::UNIX_EPOCH + 50 * SECOND)), "and back");
    }
}
