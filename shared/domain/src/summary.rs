use serde::Serialize;

/// How many tasks an account has.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub tasks: TaskCounts,
    /// The most used first.
    pub tags: Vec<TagCount>,
}

impl Summary {
    /// The maximum number of tags in it.
    pub const MAX_TAGS: usize = 500;
}

/// The number of tasks of each status, and of those that are due but not completed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TaskCounts {
    pub pending: i64,
    pub in_progress: i64,
    pub completed: i64,
    pub overdue: i64,
}

/// The number of tasks with a tag.
#[derive(Clone, Debug, Serialize)]
pub struct TagCount {
    pub name: String,
    /// Those that are not completed.
    pub open: i64,
    pub total: i64,
}
