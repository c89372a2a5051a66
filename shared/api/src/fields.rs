//! A JSON body, field by field: shape first (400), then the rules of the values (422), all broken ones at once.

use std::fmt;

use domain::{Broken, Description, Email, Password, PasswordAttempt, Title};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::{FieldError, Problem};

/// A type that a field of a body is parsed into.
pub trait FromJson: Sized {
    /// The JSON type, as it is named to the client.
    const EXPECTED: &'static str;

    /// Parses a value; `None` when it is of another JSON type.
    fn from_json(value: Value) -> Option<Result<Self, Broken>>;
}

impl FromJson for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(value: Value) -> Option<Result<Self, Broken>> {
        value.as_bool().map(Ok)
    }
}

macro_rules! from_json_string {
    ($($type:ty: $parse:expr),*) => {$(
        impl FromJson for $type {
            const EXPECTED: &'static str = "a string";

            fn from_json(value: Value) -> Option<Result<Self, Broken>> {
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
    Password: Password::parse,
    PasswordAttempt: PasswordAttempt::parse
}

/// A field a body has, or may have.
pub struct Field<P> {
    name: &'static str,
    presence: P,
}

/// A field that must be there.
pub fn required<T: FromJson>(name: &'static str) -> Field<impl Presence<Value = T>> {
    Field { name, presence: Required(std::marker::PhantomData) }
}

/// A field that may be left out: `None`.
pub fn optional<T: FromJson>(name: &'static str) -> Field<impl Presence<Value = Option<T>>> {
    Field { name, presence: Optional(std::marker::PhantomData) }
}

/// A field that may be left out, `None`, or be null, `Some(None)`.
pub fn nullable<T: FromJson>(name: &'static str) -> Field<impl Presence<Value = Option<Option<T>>>> {
    Field { name, presence: Nullable(std::marker::PhantomData) }
}

/// What a field's being left out or null means.
pub trait Presence {
    /// What the field is read into.
    type Value;

    /// Reads the value, `None` if the field was left out.
    #[doc(hidden)]
    fn read(&self, value: Option<Value>) -> Result<Self::Value, Fault>;
}

/// What is wrong with one field.
#[doc(hidden)]
#[derive(Debug)]
pub enum Fault {
    Missing,
    Type(&'static str),
    Rule(Broken),
}

fn parse<T: FromJson>(value: Value) -> Result<T, Fault> {
    T::from_json(value).ok_or(Fault::Type(T::EXPECTED))?.map_err(Fault::Rule)
}

struct Required<T>(std::marker::PhantomData<T>);
struct Optional<T>(std::marker::PhantomData<T>);
struct Nullable<T>(std::marker::PhantomData<T>);

impl<T: FromJson> Presence for Required<T> {
    type Value = T;

    fn read(&self, value: Option<Value>) -> Result<T, Fault> {
        parse(value.ok_or(Fault::Missing)?)
    }
}

impl<T: FromJson> Presence for Optional<T> {
    type Value = Option<T>;

    fn read(&self, value: Option<Value>) -> Result<Option<T>, Fault> {
        value.map(parse).transpose()
    }
}

impl<T: FromJson> Presence for Nullable<T> {
    type Value = Option<Option<T>>;

    fn read(&self, value: Option<Value>) -> Result<Option<Option<T>>, Fault> {
        match value {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => parse(value).map(|value| Some(Some(value))),
        }
    }
}

/// All the fields a body has: a tuple of [`required`], [`optional`] and [`nullable`] ones.
pub trait Fields {
    /// A tuple of what they are read into.
    type Values;

    /// Takes the fields out of the object, noting what is wrong with them; `None` when anything is.
    #[doc(hidden)]
    fn read(self, object: &mut Object, faults: &mut Faults) -> Option<Self::Values>;
}

macro_rules! fields {
    ($($field:ident)+) => {
        impl<$($field: Presence),+> Fields for ($(Field<$field>,)+) {
            type Values = ($($field::Value,)+);

            #[allow(non_snake_case)]
            fn read(self, object: &mut Object, faults: &mut Faults) -> Option<Self::Values> {
                let ($($field,)+) = self;
                // Every field is read before the first fault counts.
                $(let $field = faults.note($field.name, $field.presence.read(object.take($field.name)));)+
                Some(($($field?,)+))
            }
        }
    };
}
fields! { A B }
fields! { A B C }

/// What is wrong with a body.
#[doc(hidden)]
#[derive(Default)]
pub struct Faults {
    shape: Vec<String>,
    rules: Vec<FieldError>,
}

impl Faults {
    fn note<T>(&mut self, field: &'static str, read: Result<T, Fault>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(Fault::Missing) => self.shape.push(format!("The field \"{field}\" is missing.")),
            Err(Fault::Type(expected)) => self.shape.push(format!("The field \"{field}\" must be {expected}.")),
            Err(Fault::Rule(rule)) => self.rules.push(FieldError { field, detail: rule.to_string() }),
        }
        None
    }
}

/// The members of a JSON object, each name once.
#[doc(hidden)]
#[derive(Debug)]
pub struct Object(Vec<(String, Value)>);

/// The most fields an object may have: more than any body of ours, and few enough to compare and to name.
const MAX_FIELDS: usize = 32;

/// Encloses a reason of ours for refusing an object, as the deserialiser passes it on: none of its own has this
/// character.
const MARK: char = '\u{1}';

impl Object {
    /// Reads a body that is a JSON object and nothing else.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(body).map_err(|error| {
            let reason = error.to_string();
            Problem::BadBody(match reason.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK)) {
                Some((ours, _)) => ours.to_owned(),
                None if error.is_data() => "The body must be a JSON object.".to_owned(),
                None => {
                    format!("The body is not valid JSON: see line {}, column {}.", error.line(), error.column())
                }
            })
        })
    }

    /// Reads the fields; the object may have no others.
    pub(crate) fn read<F: Fields>(mut self, fields: F) -> Result<F::Values, Problem> {
        let mut faults = Faults::default();
        let values = fields.read(&mut self, &mut faults);
        faults.shape.extend(self.0.iter().map(|(name, _)| format!("The field \"{}\" is unknown.", excerpt(name))));
        match values {
            _ if !faults.shape.is_empty() => Err(Problem::BadBody(faults.shape.join(" "))),
            Some(values) => Ok(values),
            None => Err(Problem::Unprocessable(faults.rules)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }
}

/// A name from outside, short enough to be quoted.
pub(crate) fn excerpt(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let refuse = |reason: String| A::Error::custom(format_args!("{MARK}{reason}{MARK}"));
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(refuse(format!("The field \"{}\" is given twice.", excerpt(&name))));
                    }
                    if members.len() == MAX_FIELDS {
                        return Err(refuse(format!("The body has more than {MAX_FIELDS} fields.")));
                    }
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Title, Option<Option<Description>>, Option<bool>);

    fn read(body: impl AsRef<[u8]>) -> Result<Read, Problem> {
        Object::parse(body.as_ref())?.read((required("title"), nullable("description"), optional("completed")))
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
