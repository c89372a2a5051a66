use crate::ValidationError;

/// How urgent a task is: 1, the most urgent, to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(i32);

impl Priority {
    /// As the `priority_valid` constraint has it.
    pub const RANGE: std::ops::RangeInclusive<i32> = 1..=4;

    /// # Errors
    /// [`ValidationError::PriorityOutOfRange`].
    pub fn new(number: i64) -> Result<Self, ValidationError> {
        let number = i32::try_from(number).ok().filter(|number| Self::RANGE.contains(number));
        number.map(Self).ok_or(ValidationError::PriorityOutOfRange)
    }

    pub fn get(self) -> i32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_one_to_four() {
        for number in [1, 2, 3, 4] {
            assert_eq!(i64::from(Priority::new(number).unwrap().get()), number);
        }
        for number in [0, 5, -1, i64::MIN, i64::MAX, (1 << 32) + 1] {
            assert_eq!(Priority::new(number), Err(ValidationError::PriorityOutOfRange), "{number}");
        }
    }
}
