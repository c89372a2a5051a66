use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::Error;

/// How long the breaker stays open.
const OPEN_FOR: Duration = Duration::from_secs(5);

/// Trips when Neon's proxy refuses every attempt of a request (a used-up quota, a disabled endpoint). While it is open,
/// requests fail at once; then it is half-open, and a request makes a single attempt.
#[derive(Default)]
pub(crate) struct CircuitBreaker(Mutex<Option<Trip>>);

struct Trip {
    cause: String,
    until: Instant,
}

pub(crate) enum State {
    Closed,
    HalfOpen,
}

impl CircuitBreaker {
    /// # Errors
    /// [`Error::Unavailable`] with the cause while the breaker is open.
    pub(crate) fn check(&self) -> Result<State, Error> {
        match &*self.lock() {
            Some(trip) if Instant::now() < trip.until => Err(Error::Unavailable(trip.cause.clone())),
            Some(_) => Ok(State::HalfOpen),
            None => Ok(State::Closed),
        }
    }

    pub(crate) fn trip(&self, cause: &str) {
        *self.lock() = Some(Trip { cause: cause.to_owned(), until: Instant::now() + OPEN_FOR });
    }

    pub(crate) fn reset(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trip>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
