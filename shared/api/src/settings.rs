use std::{collections::HashMap, fmt, str::FromStr, time::Instant};

use crate::{
    Error, log,
    parameter_store::fetch,
    setting::{Setting, non_empty},
};

/// The values of the settings that a state has declared.
pub struct Settings(HashMap<&'static str, String>);

impl Settings {
    /// Reads the environment and, for secrets that are not in it, the Parameter Store: with one call, or none.
    pub(crate) async fn load(settings: &[Setting]) -> Result<Self, Error> {
        let (mut values, mut stored, mut missing) = (HashMap::new(), Vec::new(), Vec::new());
        for setting in settings {
            if let Some(value) = setting.variable()? {
                values.insert(setting.name, value);
            } else if setting.is_secret {
                match setting.parameter()? {
                    Some(parameter) => stored.push((setting, parameter)),
                    None => missing.push(setting.name),
                }
            }
        }
        if !missing.is_empty() {
            return Err(Error::Missing(missing));
        }
        if !stored.is_empty() {
            let started = Instant::now();
            let mut fetched = fetch(stored.iter().map(|(_, parameter)| parameter.clone()).collect()).await?;
            log::record_settings(started.elapsed());
            for (setting, parameter) in stored {
                let text = fetched.remove(&parameter).ok_or_else(|| {
                    setting.invalid(format!("cannot be read: the Parameter Store has no parameter {parameter:?}"))
                })?;
                let empty = || setting.invalid(format!("is empty in parameter {parameter:?}"));
                values.insert(setting.name, non_empty(&text).ok_or_else(empty)?);
            }
        }
        Ok(Self(values))
    }

    pub(crate) fn get(&self, setting: Setting) -> Option<&str> {
        self.0.get(setting.name).map(String::as_str)
    }

    pub(crate) fn secret(&self, setting: Setting) -> Result<&str, Error> {
        self.get(setting).ok_or_else(|| Error::Missing(vec![setting.name]))
    }

    /// The value; `None` without one.
    ///
    /// # Errors
    /// The value cannot be parsed.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self, setting: Setting) -> Result<Option<T>, Error> {
        let parse = |text: &str| text.parse().map_err(|reason| unusable(setting, reason));
        self.get(setting).map(parse).transpose()
    }

    pub(crate) fn parse_secret<T: FromStr<Err: fmt::Display>>(&self, setting: Setting) -> Result<T, Error> {
        self.secret(setting)?.parse().map_err(|reason| unusable(setting, reason))
    }
}

pub(crate) fn unusable(setting: Setting, reason: impl fmt::Display) -> Error {
    setting.invalid(format!("cannot be used: {reason}"))
}
