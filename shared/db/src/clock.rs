use std::time::{Duration, Instant, SystemTime};

/// The server's clock, seen from here: never ahead of it, and behind by no more than an answer took.
///
/// It is kept by our monotonic clock, so that setting ours changes nothing. Where time stands still here (a process that
/// is frozen), it falls behind, and a statement is found late that was not: that is the safe side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    server: SystemTime,
    read_at: Instant,
}

impl Clock {
    /// A clock that was just read.
    pub(crate) fn read(server: SystemTime) -> Self {
        Self { server, read_at: Instant::now() }
    }

    /// What the server's clock says at a moment of ours: to the microsecond, as PostgreSQL tells and compares times.
    pub(crate) fn at(&self, moment: Instant) -> SystemTime {
        match moment.checked_duration_since(self.read_at) {
            Some(later) => self.server + whole_micros(later),
            None => self.server - whole_micros(self.read_at.duration_since(moment)),
        }
    }

    /// Reads the clock again: the server named a moment between the sending of a statement and now.
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
    fn the_clock_goes_on_with_ours_and_back_with_it() {
        let now = Instant::now();
        let clock = Clock { server: SystemTime::UNIX_EPOCH + 10 * SECOND, read_at: now };
        assert_eq!(clock.at(now + 3 * SECOND), SystemTime::UNIX_EPOCH + 13 * SECOND);
        assert_eq!(clock.at(now - 3 * SECOND), SystemTime::UNIX_EPOCH + 7 * SECOND);
        let in_between = clock.at(now + Duration::from_nanos(1_999));
        assert_eq!(in_between, SystemTime::UNIX_EPOCH + 10 * SECOND + Duration::from_micros(1));
    }

    #[test]
    fn what_is_known_is_kept_where_an_answer_allows_for_it_and_given_up_where_not() {
        let sent = Instant::now() - SECOND;
        let after = |server: SystemTime| {
            let mut clock = Clock::read(SystemTime::UNIX_EPOCH + 100 * SECOND);
            clock.correct(server, sent);
            clock.at(Instant::now()).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        // The statement began half a second before its answer came: the clock knew better than that.
        assert_eq!(after(SystemTime::UNIX_EPOCH + Duration::from_millis(99_500)), 100);
        assert_eq!(after(SystemTime::UNIX_EPOCH + 200 * SECOND), 200, "the server's clock was set ahead");
        assert!((50..=52).contains(&after(SystemTime::UNIX_EPOCH + 50 * SECOND)), "and back");
    }
}
