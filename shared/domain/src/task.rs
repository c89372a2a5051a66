use serde::Serialize;

use crate::{Description, RequestHash, TaskId, Timestamp, Title, UserId};

/// A task as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    pub id: TaskId,
    /// The task's owner.
    pub user_id: UserId,
    pub title: String,
    pub description: Option<String>,
    pub completed: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Task {
    pub fn version(&self) -> Version {
        Version(self.updated_at)
    }
}

/// A version of a task: the time of its last change, which strictly increases (migration 0005).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(Timestamp);

impl Version {
    pub fn changed_at(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Version {
    fn from(changed_at: Timestamp) -> Self {
        Self(changed_at)
    }
}

/// The versions of a task that a change may be applied to (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    Any,
    /// An empty list matches no version.
    OneOf(Vec<Version>),
}

/// A task to create. The id is chosen before the first attempt, so that a retry finds the task.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Random, or derived from the idempotency key.
    pub id: TaskId,
    pub title: Title,
    pub description: Option<Description>,
    /// `None` without an idempotency key.
    pub request_hash: Option<RequestHash>,
}

impl NewTask {
    /// With an idempotency key the id is always the same.
    pub fn new(owner: UserId, key: Option<&str>, title: Title, description: Option<Description>) -> Self {
        let request_hash = key.map(|_| RequestHash::of(&title, description.as_ref()));
        let id = key.map_or_else(TaskId::random, |key| TaskId::derived(owner, key));
        Self { id, title, description, request_hash }
    }
}

/// Changes to a task; `None` keeps the value.
#[derive(Clone, Debug)]
pub struct TaskChanges {
    pub title: Option<Title>,
    /// `Some(None)` clears it.
    pub description: Option<Option<Description>>,
    pub completed: Option<bool>,
}

impl TaskChanges {
    /// Whether the task already has these values.
    pub fn are_applied_to(&self, task: &Task) -> bool {
        let description =
            |new: &Option<Description>| new.as_ref().map(Description::as_str) == task.description.as_deref();
        self.title.as_ref().is_none_or(|title| title.as_str() == task.title)
            && self.description.as_ref().is_none_or(description)
            && self.completed.is_none_or(|completed| completed == task.completed)
    }
}

/// The maximum number of tasks on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u8);

impl PageSize {
    pub const MAX: u8 = 100;

    /// `None` unless `size` is 1 to [`PageSize::MAX`].
    pub fn new(size: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&size).then_some(Self(size))
    }

    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(50)
    }
}

/// A position in a user's list, newest first: right after the task with this `created_at` and `id`.
///
/// Neither changes, so a position stays valid while tasks are created and deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub created_at: Timestamp,
    /// Orders tasks created in the same microsecond.
    pub id: TaskId,
}

/// A page of a user's tasks to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageRequest {
    /// Keeps tasks with this value only.
    pub completed: Option<bool>,
    pub size: PageSize,
    /// `None` for the first page.
    pub after: Option<Position>,
}

/// A page of a user's tasks, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    pub tasks: Vec<Task>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Position>,
}
