use serde::Serialize;

use crate::ValidationError;

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A new task's.
    Pending,
    InProgress,
    Completed,
}

impl Status {
    pub const ALL: [Self; 3] = [Self::Pending, Self::InProgress, Self::Completed];

    /// # Errors
    /// [`ValidationError::StatusUnknown`].
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(ValidationError::StatusUnknown)
    }

    /// As the `status_valid` constraint has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }

    pub fn is_completed(self) -> bool {
        self == Self::Completed
    }
}

/// A change of a task's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusChange {
    To(Status),
    /// From completed to pending; any other status stays.
    Reopen,
}

impl StatusChange {
    /// From the fields `status` and `completed`, which is that of clients of the first release.
    ///
    /// # Errors
    /// [`ValidationError::StatusContradicted`] when they are at odds.
    pub fn from_fields(status: Option<Status>, completed: Option<bool>) -> Result<Option<Self>, ValidationError> {
        match (status, completed) {
            (Some(status), Some(completed)) if status.is_completed() != completed => {
                Err(ValidationError::StatusContradicted)
            }
            (Some(status), _) => Ok(Some(Self::To(status))),
            (None, Some(true)) => Ok(Some(Self::To(Status::Completed))),
            (None, Some(false)) => Ok(Some(Self::Reopen)),
            (None, None) => Ok(None),
        }
    }

    /// The status that a new task begins with.
    pub(crate) fn of_new_task(self) -> Status {
        match self {
            Self::To(status) => status,
            Self::Reopen => Status::Pending,
        }
    }

    /// Whether a task of this status is left as it is.
    pub(crate) fn is_applied_to(self, status: Status) -> bool {
        match self {
            Self::To(new) => new == status,
            Self::Reopen => !status.is_completed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_of_three_words() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for text in ["", "Pending", "in progress", " pending", "done"] {
            assert_eq!(Status::parse(text), Err(ValidationError::StatusUnknown), "{text:?}");
        }
    }

    #[test]
    fn completed_stands_for_a_status() {
        let change = |completed| StatusChange::from_fields(None, completed).unwrap();
        assert_eq!(change(Some(true)), Some(StatusChange::To(Status::Completed)));
        assert_eq!(change(Some(false)), Some(StatusChange::Reopen));
        assert_eq!(change(None), None);
    }

    #[test]
    fn status_and_completed_must_agree() {
        for status in Status::ALL {
            for completed in [true, false] {
                let change = StatusChange::from_fields(Some(status), Some(completed));
                if status.is_completed() == completed {
                    assert_eq!(change, Ok(Some(StatusChange::To(status))));
                } else {
                    assert_eq!(change, Err(ValidationError::StatusContradicted));
                }
            }
        }
    }
}
