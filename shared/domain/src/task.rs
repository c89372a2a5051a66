use std::fmt;

use serde::{Serialize, Serializer};

use crate::{Description, Priority, RequestHash, Status, StatusChange, Tag, Tags, TaskId, Timestamp, Title, UserId};

/// A task as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    pub id: TaskId,
    /// The task's owner.
    pub user_id: UserId,
    pub title: String,
    pub description: Option<String>,
    pub status: Status,
    /// Whether the status is completed, for clients of the first release.
    pub completed: bool,
    pub priority: Option<i32>,
    pub due_date: Option<Timestamp>,
    /// By code point.
    pub tags: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(rename = "etag")]
    pub version: Version,
}

/// A version of a task: the time of its last change, which strictly increases (migration 0005).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(Timestamp);

impl Version {
    pub fn changed_at(self) -> Timestamp {
        self.0
    }
}

impl Version {
    /// Parses what [`Version`] is displayed as, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let version = i64::from_str_radix(text, 16).ok().and_then(Timestamp::from_micros).map(Self)?;
        (version.to_string() == text).then_some(version)
    }
}

impl From<Timestamp> for Version {
    fn from(changed_at: Timestamp) -> Self {
        Self(changed_at)
    }
}

/// The microseconds of the last change, in hexadecimal.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0.as_micros())
    }
}

/// The strong entity tag (RFC 9110, section 8.8.3).
impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("\"{self}\""))
    }
}

/// The versions of a task that a change may be applied to (`If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    Any,
    /// An empty list matches no version.
    OneOf(Vec<Version>),
}

/// What a task to create is asked to be.
#[derive(Clone, Debug)]
pub struct TaskValues {
    pub title: Title,
    pub description: Option<Description>,
    pub status: Status,
    pub priority: Option<Priority>,
    pub due_date: Option<Timestamp>,
    pub tags: Tags,
}

impl TaskValues {
    /// The values of a new task after the changes; its title is this one.
    pub fn new(title: Title, changes: TaskChanges) -> Self {
        Self {
            title,
            description: changes.description.flatten(),
            status: changes.status.map_or(Status::Pending, StatusChange::of_new_task),
            priority: changes.priority.flatten(),
            due_date: changes.due_date.flatten(),
            tags: changes.tags.unwrap_or_default(),
        }
    }
}

/// A task to create. The id is chosen before the first attempt, so that a retry finds the task.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Random, or derived from the idempotency key.
    pub id: TaskId,
    pub values: TaskValues,
    /// `None` without an idempotency key.
    pub request_hash: Option<RequestHash>,
}

impl NewTask {
    /// With an idempotency key the id is always the same.
    pub fn new(owner: UserId, key: Option<&str>, values: TaskValues) -> Self {
        let request_hash = key.map(|_| RequestHash::of(&values));
        let id = key.map_or_else(TaskId::random, |key| TaskId::derived(owner, key));
        Self { id, values, request_hash }
    }
}

/// Changes to a task; `None` keeps the value, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskChanges {
    pub title: Option<Title>,
    pub description: Option<Option<Description>>,
    pub status: Option<StatusChange>,
    pub priority: Option<Option<Priority>>,
    pub due_date: Option<Option<Timestamp>>,
    pub tags: Option<Tags>,
}

impl TaskChanges {
    /// Whether the task already has these values.
    pub fn are_applied_to(&self, task: &Task) -> bool {
        let Self { title, description, status, priority, due_date, tags } = self;
        title.as_ref().is_none_or(|title| title.as_str() == task.title)
            && description
                .as_ref()
                .is_none_or(|new| new.as_ref().map(Description::as_str) == task.description.as_deref())
            && status.is_none_or(|change| change.is_applied_to(task.status))
            && priority.is_none_or(|new| new.map(Priority::get) == task.priority)
            && due_date.is_none_or(|new| new == task.due_date)
            && tags.as_ref().is_none_or(|new| new.iter().map(Tag::as_str).eq(task.tags.iter()))
    }
}
