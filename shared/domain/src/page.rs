use std::{cmp::Ordering, fmt};

use crate::{Priority, SearchWords, Status, Tags, Task, TaskId, Timestamp};

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

/// Which tasks a list has: those that meet all conditions.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Any of these.
    pub statuses: Option<Vec<Status>>,
    /// Any of these.
    pub priorities: Option<Vec<Priority>>,
    /// All of these.
    pub tags: Tags,
    /// Due then or later.
    pub due_after: Option<Timestamp>,
    /// Due earlier.
    pub due_before: Option<Timestamp>,
    /// Each occurs in the title or the description, in upper or lower case.
    pub words: SearchWords,
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    CreatedAt,
    /// Tasks without one come last, in both directions.
    DueDate,
    /// As [`SortKey::DueDate`].
    Priority,
    UpdatedAt,
}

/// The order of a list. Tasks of equal value are sorted by id, in the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    pub key: SortKey,
    pub is_descending: bool,
}

impl Sort {
    const KEYS: [(SortKey, &str); 4] = [
        (SortKey::CreatedAt, "created_at"),
        (SortKey::DueDate, "due_date"),
        (SortKey::Priority, "priority"),
        (SortKey::UpdatedAt, "updated_at"),
    ];

    /// Parses the name of a key, with a `-` before it for descending.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let (key, _) = Self::KEYS.into_iter().find(|(_, known)| *known == name)?;
        Some(Self { key, is_descending })
    }

    /// The position right after a task.
    pub fn position_of(self, task: &Task) -> Position {
        let value = match self.key {
            SortKey::CreatedAt => Some(task.created_at.as_micros()),
            SortKey::DueDate => task.due_date.map(Timestamp::as_micros),
            SortKey::Priority => task.priority.map(i64::from),
            SortKey::UpdatedAt => Some(task.updated_at.as_micros()),
        };
        Position { value, id: task.id }
    }

    /// The order of two tasks in the list.
    pub fn compare(self, a: &Task, b: &Task) -> Ordering {
        let (a, b) = (self.position_of(a), self.position_of(b));
        let order = (a.value, a.id).cmp(&(b.value, b.id));
        let order = if self.is_descending { order.reverse() } else { order };
        a.value.is_none().cmp(&b.value.is_none()).then(order)
    }
}

/// Newest first.
impl Default for Sort {
    fn default() -> Self {
        Self { key: SortKey::CreatedAt, is_descending: true }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::KEYS.into_iter().find_map(|(key, name)| (key == self.key).then_some(name));
        write!(f, "{}{}", if self.is_descending { "-" } else { "" }, name.unwrap_or_default())
    }
}

/// A position in a sorted list: right after the task with this value and id.
///
/// A task that does not change keeps its place, so a position stays valid while others are created, changed and deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Of the sort's key: microseconds since 1970, or the priority; `None` among the tasks without a value.
    pub value: Option<i64>,
    pub id: TaskId,
}

/// A page of a user's tasks to list.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    pub filter: TaskFilter,
    pub sort: Sort,
    pub size: PageSize,
    /// `None` for the first page.
    pub after: Option<Position>,
}

/// A page of a user's tasks, in the order of the request.
#[derive(Clone, Debug)]
pub struct Page {
    pub tasks: Vec<Task>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Position>,
}
