use domain::{Description, Priority, Status, StatusChange, Tags, TaskChanges, Timestamp};

use crate::{
    Fields,
    fields::{BodyErrors, nullable, optional},
    object::Object,
};

/// The writable fields of a task, but for its title, which a new task requires.
pub struct TaskFields;

impl Fields for TaskFields {
    type Values = TaskChanges;

    fn parse(self, object: &mut Object, errors: &mut BodyErrors) -> Option<TaskChanges> {
        let fields = (
            nullable::<Description>("description"),
            optional::<Status>("status"),
            optional::<bool>("completed"),
            nullable::<Priority>("priority"),
            nullable::<Timestamp>("due_date"),
            nullable::<Tags>("tags"),
        );
        let (description, status, completed, priority, due_date, tags) = fields.parse(object, errors)?;
        let status = errors.check("completed", StatusChange::from_fields(status, completed))?;
        let tags = tags.map(Option::unwrap_or_default);
        Some(TaskChanges { title: None, description, status, priority, due_date, tags })
    }
}
