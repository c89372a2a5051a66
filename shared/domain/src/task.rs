use serde::Serialize;

use crate::{Description, RequestHash, TaskId, Timestamp, Title, UserId};

/// Something to be done, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    /// Which it is.
    pub id: TaskId,
    /// Whose it is.
    pub user_id: UserId,
    /// What is to be done.
    pub title: String,
    /// The rest that is to be said.
    pub description: Option<String>,
    /// Whether it is done.
    pub completed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Task {
    /// The state it is in.
    pub fn version(&self) -> Version {
        Version(self.updated_at)
    }
}

/// A state of a task: when it last changed. No two states of one task share it (migration 0005).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(Timestamp);

impl Version {
    /// The moment of the change.
    pub fn changed_at(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Version {
    fn from(changed_at: Timestamp) -> Self {
        Self(changed_at)
    }
}

/// What state a task must be in for a change to be made to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever state it is in.
    Any,
    /// One of these; with none of them, it never is.
    OneOf(Vec<Version>),
}

/// A task to create. Its id is chosen before the database is first spoken to, so that a repeat finds it.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Random, or derived from an idempotency key.
    pub id: TaskId,
    /// What is to be done.
    pub title: Title,
    /// The rest that is to be said.
    pub description: Option<Description>,
    /// What an idempotency key was used for; `None` without one.
    pub request_hash: Option<RequestHash>,
}

impl NewTask {
    /// The task that `owner` asks for: under an idempotency key always the same one.
    pub fn new(owner: UserId, key: Option<&str>, title: Title, description: Option<Description>) -> Self {
        let request_hash = key.map(|_| RequestHash::of(&title, description.as_ref()));
        let id = key.map_or_else(TaskId::random, |key| TaskId::derived(owner, key));
        Self { id, title, description, request_hash }
    }
}

/// What to change of a task; `None` keeps the value.
#[derive(Clone, Debug)]
pub struct TaskChanges {
    /// The new title.
    pub title: Option<Title>,
    /// The new description; `Some(None)` clears it.
    pub description: Option<Option<Description>>,
    /// Whether it is done.
    pub completed: Option<bool>,
}

impl TaskChanges {
    /// Whether they would leave the task as it is.
    pub fn are_made_in(&self, task: &Task) -> bool {
        let description =
            |new: &Option<Description>| new.as_ref().map(Description::as_str) == task.description.as_deref();
        self.title.as_ref().is_none_or(|title| title.as_str() == task.title)
            && self.description.as_ref().is_none_or(description)
            && self.completed.is_none_or(|completed| completed == task.completed)
    }
}

/// How many tasks a page holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u8);

impl PageSize {
    /// The largest page.
    pub const MAX: u8 = 100;

    /// A size of 1 to [`PageSize::MAX`].
    pub fn new(size: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&size).then_some(Self(size))
    }

    /// The number of tasks.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// Fifty tasks.
impl Default for PageSize {
    fn default() -> Self {
        Self(50)
    }
}

/// A place in a user's list, newest first: just behind the task made at `created_at` with this `id`.
///
/// Neither ever changes, so a place stays where it is while tasks around it come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When the task before it was made.
    pub created_at: Timestamp,
    /// The id of the task before it: it orders tasks made in the same microsecond.
    pub id: TaskId,
}

/// Which of a user's tasks to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageRequest {
    /// Only those done, or only those not done.
    pub completed: Option<bool>,
    /// How many at most.
    pub size: PageSize,
    /// From where on; the start without it.
    pub after: Option<Position>,
}

/// Some of a user's tasks, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// Where the next page starts, if there is one.
    pub next: Option<Position>,
}
