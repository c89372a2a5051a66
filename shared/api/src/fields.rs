//! The fields of a JSON body. Errors of the shape (400) come before invalid values (422), and all are reported at once.

use std::marker::PhantomData;

use domain::ValidationError;
use serde_json::Value;

use crate::{FieldError, Problem, excerpt::excerpt, from_json::FromJson, object::Object};

/// A field of a body. See [`required`], [`optional`] and [`nullable`].
pub struct Field<P> {
    name: &'static str,
    presence: P,
}

/// A field that must be present.
pub fn required<T: FromJson>(name: &'static str) -> Field<impl Presence<Value = T>> {
    Field { name, presence: Required(PhantomData) }
}

/// A field that may be left out: `None`.
pub fn optional<T: FromJson>(name: &'static str) -> Field<impl Presence<Value = Option<T>>> {
    Field { name, presence: Optional(PhantomData) }
}

/// A field that may be left out, `None`, or be null, `Some(None)`.
pub fn nullable<T: FromJson>(name: &'static str) -> Field<impl Presence<Value = Option<Option<T>>>> {
    Field { name, presence: Nullable(PhantomData) }
}

/// Whether a field may be left out or null.
pub trait Presence {
    type Value;

    /// `value` is `None` if the field was left out.
    #[doc(hidden)]
    fn parse(&self, value: Option<Value>) -> Result<Self::Value, InvalidField>;
}

#[doc(hidden)]
#[derive(Debug)]
pub enum InvalidField {
    Missing,
    WrongType { expected: &'static str },
    InvalidValue(ValidationError),
}

fn parse<T: FromJson>(value: Value) -> Result<T, InvalidField> {
    let wrong_type = InvalidField::WrongType { expected: T::EXPECTED };
    T::from_json(value).ok_or(wrong_type)?.map_err(InvalidField::InvalidValue)
}

struct Required<T>(PhantomData<T>);
struct Optional<T>(PhantomData<T>);
struct Nullable<T>(PhantomData<T>);

impl<T: FromJson> Presence for Required<T> {
    type Value = T;

    fn parse(&self, value: Option<Value>) -> Result<T, InvalidField> {
        parse(value.ok_or(InvalidField::Missing)?)
    }
}

impl<T: FromJson> Presence for Optional<T> {
    type Value = Option<T>;

    fn parse(&self, value: Option<Value>) -> Result<Option<T>, InvalidField> {
        value.map(parse).transpose()
    }
}

impl<T: FromJson> Presence for Nullable<T> {
    type Value = Option<Option<T>>;

    fn parse(&self, value: Option<Value>) -> Result<Option<Option<T>>, InvalidField> {
        match value {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => parse(value).map(|value| Some(Some(value))),
        }
    }
}

/// Fields of a body: one, or a tuple.
pub trait Fields {
    /// The parsed value, or the tuple of them.
    type Values;

    /// Takes the fields out of the object; `None` when any is invalid.
    #[doc(hidden)]
    fn parse(self, object: &mut Object, errors: &mut BodyErrors) -> Option<Self::Values>;
}

impl<P: Presence> Fields for Field<P> {
    type Values = P::Value;

    fn parse(self, object: &mut Object, errors: &mut BodyErrors) -> Option<P::Value> {
        errors.collect(self.name, self.presence.parse(object.take(self.name)))
    }
}

macro_rules! fields {
    ($($field:ident)+) => {
        impl<$($field: Fields),+> Fields for ($($field,)+) {
            type Values = ($($field::Values,)+);

            #[allow(non_snake_case)]
            fn parse(self, object: &mut Object, errors: &mut BodyErrors) -> Option<Self::Values> {
                let ($($field,)+) = self;
                // All fields are parsed before the first error counts.
                $(let $field = $field.parse(object, errors);)+
                Some(($($field?,)+))
            }
        }
    };
}
fields! { A B }
fields! { A B C }
fields! { A B C D E F }

#[doc(hidden)]
#[derive(Default)]
pub struct BodyErrors {
    /// 400.
    shape: Vec<String>,
    /// 422.
    values: Vec<FieldError>,
}

impl BodyErrors {
    /// The value of a rule that covers several fields, under the name of one.
    pub(crate) fn check<T>(&mut self, field: &'static str, checked: Result<T, ValidationError>) -> Option<T> {
        self.collect(field, checked.map_err(InvalidField::InvalidValue))
    }

    fn collect<T>(&mut self, field: &'static str, parsed: Result<T, InvalidField>) -> Option<T> {
        match parsed {
            Ok(value) => return Some(value),
            Err(InvalidField::Missing) => self.shape.push(format!("The field \"{field}\" is missing.")),
            Err(InvalidField::WrongType { expected }) => {
                self.shape.push(format!("The field \"{field}\" must be {expected}."));
            }
            Err(InvalidField::InvalidValue(error)) => self.values.push(FieldError { field, detail: error.to_string() }),
        }
        None
    }
}

/// Parses a body: a JSON object with these fields and no others.
pub(crate) fn parse_body<F: Fields>(body: &[u8], fields: F) -> Result<F::Values, Problem> {
    let mut object = Object::parse(body)?;
    let mut errors = BodyErrors::default();
    let values = fields.parse(&mut object, &mut errors);
    errors.shape.extend(object.names().map(|name| format!("The field \"{}\" is unknown.", excerpt(name))));
    match values {
        _ if !errors.shape.is_empty() => Err(Problem::BadBody(errors.shape.join(" "))),
        Some(values) => Ok(values),
        None => Err(Problem::Unprocessable(errors.values)),
    }
}

#[cfg(test)]
mod tests {
    use domain::{Description, Title};

    use super::*;

    type Values = (Title, Option<Option<Description>>, Option<bool>);

    fn read(body: impl AsRef<[u8]>) -> Result<Values, Problem> {
        parse_body(body.as_ref(), (required("title"), nullable("description"), optional("completed")))
    }

    fn bad_body(body: impl AsRef<[u8]>) -> String {
        match read(body).err() {
            Some(Problem::BadBody(detail)) => detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn left_out_null_and_given_are_three_things() {
        let (_, description, completed) = read(r#"{"title": "a"}"#).unwrap();
        assert_eq!((description, completed), (None, None));
        let (_, description, completed) = read(r#"{"title": "a", "description": null, "completed": false}"#).unwrap();
        assert_eq!((description, completed), (Some(None), Some(false)));
    }

    #[test]
    fn every_fault_of_the_shape_is_named() {
        assert_eq!(
            bad_body(r#"{"completed": 1, "titel": "a", "description": []}"#),
            "The field \"title\" is missing. The field \"description\" must be a string. \
             The field \"completed\" must be true or false. The field \"titel\" is unknown."
        );
        assert_eq!(bad_body(r#"{"title": null}"#), "The field \"title\" must be a string.");
    }

    #[test]
    fn values_are_never_quoted() {
        assert!(!bad_body(r#"{"title": 4711, "completed": "secret"}"#).contains("4711"));
        assert!(!bad_body(r#"{"title": 4711, "completed": "secret"}"#).contains("secret"));
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        assert_eq!(bad_body(r#"{"title": "a", "title": "b"}"#), "The field \"title\" is given twice.");
        assert_eq!(bad_body(r#"{"title": "a", "t\u0069tle": "b"}"#), "The field \"title\" is given twice.");
    }

    #[test]
    fn a_body_of_very_many_fields_is_refused_without_naming_them() {
        let fields: Vec<_> = (0..7500).map(|number| format!("\"{number}\": 0")).collect();
        let body = |count: usize| format!("{{{}}}", fields[..count].join(", "));
        assert_eq!(bad_body(body(7500)), "The body has more than 32 fields.");
        assert!(bad_body(body(32)).ends_with("The field \"31\" is unknown."));
    }

    #[test]
    fn only_a_json_object_is_a_body() {
        for body in ["[]", "null", "1", "\"title\"", "[\"a\", null, true]"] {
            assert_eq!(bad_body(body), "The body must be a JSON object.", "{body}");
        }
        for body in ["", " ", "{", "{\"title\": \"a\"} x", "{\"title\": \"a\",}", "\u{feff}{}", "{'title': 1}"] {
            assert!(bad_body(body).starts_with("The body is not valid JSON"), "{body}");
        }
        assert!(bad_body(b"{\"title\": \"\xff\"}").starts_with("The body is not valid JSON"));
        assert!(bad_body(r#"{"title": "\ud800"}"#).starts_with("The body is not valid JSON"));
        assert!(bad_body(format!("{{\"title\": {}", "[".repeat(10_000))).starts_with("The body is not valid JSON"));
    }

    #[test]
    fn all_broken_rules_are_reported_at_once() {
        let body = serde_json::json!({"title": " ", "description": "a".repeat(5001)}).to_string();
        let Err(Problem::Unprocessable(errors)) = read(body) else { panic!("422 expected") };
        assert_eq!(errors.iter().map(|error| error.field).collect::<Vec<_>>(), ["title", "description"]);
    }

    #[test]
    fn the_shape_comes_before_the_rules() {
        assert_eq!(bad_body(r#"{"title": "", "completed": 0}"#), "The field \"completed\" must be true or false.");
    }
}
