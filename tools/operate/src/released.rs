//! Which versions of the settings the running functions have read. Functions read settings only at start-up, so a key
//! rotation has to wait for a deployment.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{
    setting::Setting,
    store::{Settings, Store, Stored, versions_of_functions},
};

/// By the settings' names.
#[derive(Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Released(BTreeMap<String, Release>);

#[derive(Clone, Copy, Deserialize, Serialize)]
struct Release {
    version: i64,
    /// Unix time in seconds.
    since: u64,
}

impl Released {
    pub(crate) fn parse(stored: Option<&Stored>) -> anyhow::Result<Self> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        serde_json::from_str(&stored.value).context("the record of the last release cannot be read")
    }

    /// The Unix time since which all functions have this version.
    pub(crate) fn since(&self, setting: Setting, version: i64) -> Option<Duration> {
        let release = self.0.get(setting.name()).filter(|release| release.version == version)?;
        Some(Duration::from_secs(release.since))
    }

    /// Records that every function was restarted after these settings were stored.
    pub(crate) async fn record(store: &Store, settings: &Settings) -> anyhow::Result<()> {
        let mut released = Self::read(store).await?;
        for (name, version) in versions_of_functions(settings) {
            if released.0.get(name).is_none_or(|release| release.version != version) {
                released.0.insert(name.to_owned(), Release { version, since: unix_time().as_secs() });
            }
        }
        released.write(store).await
    }

    /// Records that functions run again which may have read other versions, except of these settings.
    pub(crate) async fn keep(store: &Store, settings: impl Fn(Setting) -> bool) -> anyhow::Result<()> {
        let mut released = Self::read(store).await?;
        released.0.retain(|name, _| Setting::OF_FUNCTIONS.into_iter().any(|it| it.name() == name && settings(it)));
        released.write(store).await
    }

    async fn read(store: &Store) -> anyhow::Result<Self> {
        Self::parse(store.read(&[Setting::Released]).await?.get(&Setting::Released))
    }

    async fn write(&self, store: &Store) -> anyhow::Result<()> {
        store.write(Setting::Released, &serde_json::to_string(self)?).await.map(drop)
    }
}

pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parameter that is removed and stored again starts at version 1.
    #[test]
    fn a_release_is_of_exactly_one_version() {
        let released: Released = serde_json::from_str(r#"{"jwt-public-keys": {"version": 3, "since": 7}}"#).unwrap();
        assert_eq!(released.since(Setting::JwtPublicKeys, 3), Some(Duration::from_secs(7)));
        assert_eq!(released.since(Setting::JwtPublicKeys, 2), None);
        assert_eq!(released.since(Setting::JwtPublicKeys, 4), None);
        assert_eq!(released.since(Setting::JwtSigningKey, 1), None);
    }
}
