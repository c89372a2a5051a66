//! Every request of a run, and how long it took.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tests::workspace::Route;

/// A request that was answered, or failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The release that it was sent to.
    pub(crate) release: &'static str,
    pub(crate) method: &'static str,
    /// With placeholders.
    pub(crate) path: &'static str,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// Without an answer, or with a 5xx.
    pub(crate) has_failed: bool,
}

impl Request {
    /// Whether it hashes a password, which takes longer than all else.
    fn hashes(&self) -> bool {
        matches!(
            (self.method, self.path),
            ("POST", "/users/signup" | "/users/signin")
                | ("PUT" | "PATCH", "/users/{user_id}")
                | ("PUT", "/users/password-reset")
        )
    }

    /// Whether it takes 2 s on purpose, whatever the database does.
    fn takes_its_time(&self) -> bool {
        (self.method, self.path) == ("POST", "/users/password-reset")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Request>>);

/// The longest that a request took, without and with a password to hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Longest {
    pub(crate) plain: Duration,
    pub(crate) hashing: Duration,
}

/// How many requests there were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) by_release: BTreeMap<&'static str, usize>,
    pub(crate) failed: usize,
}

impl Log {
    pub(crate) fn add(&self, request: Request) {
        self.lock().push(request);
    }

    /// Of the requests that were under way at any time between these two.
    pub(crate) fn longest_between(&self, from: Instant, to: Instant) -> Longest {
        self.longest(|request| request.begun < to && request.ended > from)
    }

    /// Of the requests that began from then on.
    pub(crate) fn longest_since(&self, from: Instant) -> Longest {
        self.longest(|request| request.begun >= from)
    }

    fn longest(&self, counts: impl Fn(&Request) -> bool) -> Longest {
        let mut longest = Longest::default();
        for request in self.lock().iter().filter(|request| counts(request) && !request.takes_its_time()) {
            let slot = if request.hashes() { &mut longest.hashing } else { &mut longest.plain };
            *slot = (*slot).max(request.ended - request.begun);
        }
        longest
    }

    /// Of the requests that began from then on.
    pub(crate) fn counts(&self, from: Instant) -> Counts {
        let mut counts = Counts::default();
        for request in self.lock().iter().filter(|request| request.begun >= from) {
            *counts.by_release.entry(request.release).or_default() += 1;
            counts.failed += usize::from(request.has_failed);
        }
        counts
    }

    /// Those of a release's routes that nobody has used.
    pub(crate) fn unused(&self, release: &str, routes: Vec<Route>) -> Vec<Route> {
        let log = self.lock();
        let is_used = |route: &Route| {
            log.iter().any(|it| it.release == release && it.method == route.method && it.path == route.path)
        };
        routes.into_iter().filter(|route| !is_used(route)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
