//! The types of fields, from JSON.

use auth::RefreshToken;
use domain::{
    ChosenPassword, Description, Email, PasswordAttempt, Priority, ResetToken, Status, Tags, Timestamp, Title,
    ValidationError,
};
use serde_json::Value;

/// A type that a field of a body is parsed into.
pub trait FromJson: Sized {
    /// The JSON type, for error messages.
    const EXPECTED: &'static str;

    /// `None` when the value is of another JSON type.
    fn from_json(value: Value) -> Option<Result<Self, ValidationError>>;
}

impl FromJson for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(value: Value) -> Option<Result<Self, ValidationError>> {
        value.as_bool().map(Ok)
    }
}

impl FromJson for Priority {
    const EXPECTED: &'static str = "an integer";

    /// A number without a fraction is an integer, as in JSON Schema.
    fn from_json(value: Value) -> Option<Result<Self, ValidationError>> {
        let number = value.as_i64().or_else(|| {
            let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
            // Saturates, and is then out of range.
            #[allow(clippy::cast_possible_truncation)]
            Some(number as i64)
        });
        number.map(Self::new)
    }
}

impl FromJson for Tags {
    const EXPECTED: &'static str = "an array of strings";

    fn from_json(value: Value) -> Option<Result<Self, ValidationError>> {
        let names = value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
        Some(Self::parse(names))
    }
}

/// Any text is accepted: `None` when it is no token, which gets the same answer as one that has ended.
impl FromJson for Option<RefreshToken> {
    const EXPECTED: &'static str = "a string";

    fn from_json(value: Value) -> Option<Result<Self, ValidationError>> {
        let text = value.as_str()?;
        Some(if text.contains('\0') { Err(ValidationError::Nul) } else { Ok(RefreshToken::parse(text)) })
    }
}

macro_rules! from_json_string {
    ($($type:ty: $parse:expr),*) => {$(
        impl FromJson for $type {
            const EXPECTED: &'static str = "a string";

            fn from_json(value: Value) -> Option<Result<Self, ValidationError>> {
                match value {
                    Value::String(text) => Some($parse(text)),
                    _ => None,
                }
            }
        }
    )*};
}
from_json_string! {
    Email: |text: String| Email::parse(&text),
    Title: |text: String| Title::parse(&text),
    Description: Description::parse,
    ChosenPassword: ChosenPassword::parse,
    PasswordAttempt: PasswordAttempt::parse,
    ResetToken: ResetToken::parse,
    Status: |text: String| Status::parse(&text),
    Timestamp: |text: String| Timestamp::parse(&text)
}
