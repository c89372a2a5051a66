//! What a task or account may be: what was acknowledged, what may have been done, and what it replaced.

use std::ops::AddAssign;

/// How often something happened that must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anomalies {
    /// An acknowledged write is missing.
    pub(crate) lost: usize,
    /// Something exists twice.
    pub(crate) doubled: usize,
    /// A state that an acknowledged write has replaced is back.
    pub(crate) reverted: usize,
    /// Something deleted is back.
    pub(crate) resurrected: usize,
}

impl AddAssign for Anomalies {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reverted += other.reverted;
        self.resurrected += other.resurrected;
    }
}

/// A task's title or an account's e-mail address; `None` if there is no such task or account. Every title and address
/// is used once.
pub(crate) type State = Option<String>;

/// The states of one task or account.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Its possible states: one after an acknowledged write, more after others.
    pub(crate) possible: Vec<State>,
    /// The states that acknowledged writes have replaced.
    replaced: Vec<State>,
}

impl History {
    /// Of something that was created.
    pub(crate) fn after(created: &str) -> Self {
        Self { possible: vec![Some(created.to_owned())], replaced: Vec::new() }
    }

    /// Of something that is about to be created.
    pub(crate) fn before(created: &str) -> Self {
        Self { possible: vec![None, Some(created.to_owned())], replaced: Vec::new() }
    }

    pub(crate) fn acknowledge(&mut self, state: State) {
        self.replaced.extend(self.possible.drain(..).filter(|before| *before != state));
        self.possible.push(state);
    }

    pub(crate) fn is_certain(&self) -> bool {
        self.possible.len() == 1
    }

    pub(crate) fn may_exist(&self) -> bool {
        self.possible.iter().any(Option::is_some)
    }

    /// Checks an observed state. An impossible one is possible from now on, so that it is counted once.
    pub(crate) fn check(&mut self, seen: &State) -> Option<Anomalies> {
        if self.possible.contains(seen) {
            return None;
        }
        let anomaly = match seen {
            Some(_) if !self.may_exist() => Anomalies { resurrected: 1, ..Anomalies::default() },
            Some(_) if self.replaced.contains(seen) => Anomalies { reverted: 1, ..Anomalies::default() },
            _ => Anomalies { lost: 1, ..Anomalies::default() },
        };
        self.possible.push(seen.clone());
        Some(anomaly)
    }
}
