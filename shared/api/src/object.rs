use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::{Problem, excerpt::excerpt};

/// A JSON object without duplicate names.
#[derive(Debug)]
pub struct Object(Vec<(String, Value)>);

/// The maximum number of fields: more than any route's body has, and few enough for a linear search.
const MAX_FIELDS: usize = 32;

/// Encloses our own messages in a deserialiser's error: its own messages never contain this character.
const MARK: char = '\u{1}';

impl Object {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(body).map_err(|error| {
            let message = error.to_string();
            Problem::BadBody(match message.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK)) {
                Some((own, _)) => own.to_owned(),
                None if error.is_data() => "The body must be a JSON object.".to_owned(),
                None => {
                    format!("The body is not valid JSON: see line {}, column {}.", error.line(), error.column())
                }
            })
        })
    }

    /// Removes a field and returns its value.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// The names of the fields that were not taken.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
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
                    let refuse = |message: String| A::Error::custom(format_args!("{MARK}{message}{MARK}"));
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
