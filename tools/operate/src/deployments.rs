//! The last deployments of a stage, so that one can be live again.

use std::collections::BTreeMap;

use anyhow::Context;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    setting::Setting,
    stack::Versions,
    store::{Settings, Store, Stored, versions_of_functions},
};

/// What a parameter of the Parameter Store's standard tier holds, in bytes.
const CAPACITY: usize = 4096;

#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Deployments {
    /// How often one has become live again.
    pub(crate) rollbacks: u32,
    /// The oldest first. At least two fit into a parameter.
    last: Vec<Deployment>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Deployment {
    /// Its abbreviated hash; empty if the deployment was not recorded, as those of release 0.1.0.
    pub(crate) commit: String,
    pub(crate) release: Version,
    /// The versions of the settings that its functions had read.
    settings: BTreeMap<String, i64>,
    pub(crate) functions: Versions,
    /// It was live, and then one before it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    given_up: bool,
}

impl Deployment {
    pub(crate) fn new(commit: &str, release: Version, settings: &Settings, functions: Versions) -> Self {
        let versions = versions_of_functions(settings).into_iter();
        let settings = versions.map(|(name, version)| (name.to_owned(), version)).collect();
        Self { commit: commit.to_owned(), release, settings, functions, given_up: false }
    }

    /// Whether these versions are its own. There may be functions that it did not have.
    fn is_of(&self, live: &Versions) -> bool {
        self.functions.0.iter().all(|(function, version)| live.0.get(function) == Some(version))
    }

    /// Whether a hash, abbreviated or not, is that of its commit.
    fn is_of_commit(&self, hash: &str) -> bool {
        let both = !hash.is_empty() && !self.commit.is_empty();
        both && (self.commit.starts_with(hash) || hash.starts_with(&self.commit))
    }

    /// Whether its functions had read this version of a setting.
    pub(crate) fn had_read(&self, setting: Setting, version: i64) -> bool {
        self.settings.get(setting.name()) == Some(&version)
    }

    pub(crate) fn title(&self) -> String {
        let commit = if self.commit.is_empty() { "unknown" } else { &self.commit };
        format!("release {}, commit {commit}", self.release)
    }
}

impl Deployments {
    pub(crate) async fn read(store: &Store) -> anyhow::Result<Self> {
        let stored = store.read(&[Setting::Deployments]).await?;
        let Some(Stored { value, .. }) = stored.get(&Setting::Deployments) else { return Ok(Self::default()) };
        serde_json::from_str(value).context("the record of the last deployments cannot be read")
    }

    pub(crate) async fn write(&self, store: &Store) -> anyhow::Result<()> {
        store.write(Setting::Deployments, &serde_json::to_string(self)?).await.map(drop)
    }

    /// Adds a deployment as the newest. Of several with the same code, the last is kept; the oldest are given up when the
    /// parameter is full.
    pub(crate) fn add(&mut self, deployment: Deployment) {
        self.last.retain(|known| known.functions != deployment.functions);
        self.last.push(deployment);
        while self.last.len() > 1 && serde_json::to_string(self).is_ok_and(|text| text.len() > CAPACITY) {
            self.last.remove(0);
        }
    }

    /// Whether these versions are those of a deployment.
    pub(crate) fn knows(&self, live: &Versions) -> bool {
        self.last.iter().any(|deployment| deployment.is_of(live))
    }

    /// Takes the deployment of a commit, or else the one before that with these versions, for the live one from now on, and
    /// gives up the one that was. If there is none with these versions, as after a rollback that stopped halfway, it is the
    /// newest. One that was given up is found by its commit alone.
    ///
    /// # Errors
    /// There is none; the message lists those that there are.
    pub(crate) fn go_back(&mut self, live: &Versions, commit: Option<&str>) -> anyhow::Result<&Deployment> {
        let now = self.last.iter().rposition(|it| it.is_of(live));
        let target = match commit {
            Some(commit) => self.last.iter().rposition(|it| it.is_of_commit(commit)),
            None => self.last[..now.unwrap_or(self.last.len())].iter().rposition(|it| !it.given_up),
        };
        let target = target.with_context(|| {
            let known: Vec<_> = self.last.iter().map(Deployment::title).collect();
            let what = commit.map_or("there is no deployment before the live one".to_owned(), |commit| {
                format!("commit {commit} was not deployed, or too long ago")
            });
            format!("{what}; what can be live, with TO=COMMIT: {}", known.join("; "))
        })?;
        if let Some(now) = now {
            self.last[now].given_up = true;
        }
        self.rollbacks += 1;
        self.last[target].given_up = false;
        Ok(&self.last[target])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(version: usize) -> Versions {
        Versions((0..20).map(|n| (format!("PasswordResetRequest{n}"), version.to_string())).collect())
    }

    fn deployment(number: usize) -> Deployment {
        Deployment::new(&format!("{number:07}"), Version::new(0, 2, 0), &Settings::new(), versions(number))
    }

    #[test]
    fn as_many_deployments_are_kept_as_a_parameter_holds() {
        let mut deployments = Deployments::default();
        (0..200).for_each(|number| deployments.add(deployment(number)));
        let text = serde_json::to_string(&deployments).unwrap();
        assert!(text.len() <= CAPACITY && deployments.last.len() > 2, "{text}");
        assert_eq!(deployments.last.last().unwrap().commit, "0000199");
    }

    #[test]
    fn code_that_is_deployed_again_is_one_deployment() {
        let mut deployments = Deployments::default();
        [1, 2, 1].into_iter().for_each(|number| deployments.add(deployment(number)));
        let commits: Vec<_> = deployments.last.iter().map(|deployment| &*deployment.commit).collect();
        assert_eq!(commits, ["0000002", "0000001"]);
    }

    #[test]
    fn going_back_passes_over_what_was_given_up() {
        let mut deployments = Deployments::default();
        (1..=3).for_each(|number| deployments.add(deployment(number)));
        let mut go = |live: usize, commit: Option<&str>| {
            deployments.go_back(&versions(live), commit).map(|it| it.commit.trim_start_matches('0').to_owned())
        };
        assert_eq!(go(3, None).unwrap(), "2");
        assert_eq!(go(2, None).unwrap(), "1");
        assert_eq!(go(1, Some("0000003fedcba98")).unwrap(), "3");
        // Both others were given up.
        for (live, commit) in [(3, None), (3, Some("abc")), (3, Some(""))] {
            let error = go(live, commit).unwrap_err().to_string();
            assert!(error.contains("release 0.2.0, commit 0000002"), "{error}");
        }
        deployments.add(deployment(4));
        assert_eq!(deployments.go_back(&versions(4), None).unwrap().commit, "0000003");
    }

    #[test]
    fn going_back_that_stopped_halfway_is_repeated() {
        let mut deployments = Deployments::default();
        (1..=3).for_each(|number| deployments.add(deployment(number)));
        let target = deployments.go_back(&versions(3), None).unwrap().functions.clone();
        let mut halfway = versions(3);
        halfway.0.extend(target.0.into_iter().take(7));
        for live in [versions(3), halfway] {
            assert_eq!(deployments.go_back(&live, None).unwrap().commit, "0000002");
        }
    }

    #[test]
    fn a_function_that_a_deployment_did_not_have_is_no_difference() {
        let mut deployments = Deployments::default();
        deployments.add(deployment(1));
        let mut live = versions(1);
        live.0.insert("Added".to_owned(), "1".to_owned());
        assert!(deployments.knows(&live) && !deployments.knows(&versions(2)));
    }
}
