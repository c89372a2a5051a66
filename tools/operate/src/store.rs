//! AWS's Parameter Store, which holds the settings of a stage.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_config::SdkConfig;
use aws_sdk_ssm::{
    Client,
    types::{Parameter, ParameterType},
};

use crate::{setting::Setting, stage::Stage};

/// A stored value. It has no `Debug`: it may be a secret.
pub(crate) struct Stored {
    pub(crate) value: String,
    /// Starts at 1 and grows with every write.
    pub(crate) version: i64,
}

pub(crate) type Settings = BTreeMap<Setting, Stored>;

/// The versions of what the functions read at start-up, by the settings' names.
pub(crate) fn versions_of_functions(settings: &Settings) -> BTreeMap<&'static str, i64> {
    let of_functions = Setting::OF_FUNCTIONS.into_iter();
    of_functions.filter_map(|setting| Some((setting.name(), settings.get(&setting)?.version))).collect()
}

/// The parameters of one stage.
pub(crate) struct Store {
    client: Client,
    pub(crate) stage: Stage,
    pub(crate) region: String,
}

impl Store {
    pub(crate) fn new(stage: &Stage, config: &SdkConfig) -> Self {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Self { client: Client::new(config), stage: stage.clone(), region }
    }

    pub(crate) async fn open(stage: &Stage) -> anyhow::Result<Self> {
        Ok(Self::new(stage, &stage.config()?.aws().await?))
    }

    /// `/task-api/STAGE/SETTING`.
    pub(crate) fn name(&self, setting: Setting) -> String {
        format!("/task-api/{}/{}", self.stage, setting.name())
    }

    /// The values of those settings that are stored, decrypted and trimmed.
    pub(crate) async fn read(&self, settings: &[Setting]) -> anyhow::Result<Settings> {
        let names = settings.iter().map(|setting| self.name(*setting)).collect();
        let call = self.client.get_parameters().set_names(Some(names)).with_decryption(true);
        let response = call.send().await.context("the Parameter Store cannot be read")?;
        let stored = response.parameters.unwrap_or_default().into_iter().filter_map(|parameter| {
            let Parameter { name, value, version, .. } = parameter;
            let name = name?;
            let setting = settings.iter().find(|setting| self.name(**setting) == name)?;
            Some((*setting, Stored { value: value?.trim().to_owned(), version }))
        });
        Ok(stored.collect())
    }

    /// Stores a value, encrypted if it is a secret, and returns its version.
    pub(crate) async fn write(&self, setting: Setting, value: &str) -> anyhow::Result<i64> {
        let name = self.name(setting);
        let not_stored = || format!("{name} was not stored");
        setting.validate(value).with_context(not_stored)?;
        let kind = if setting.is_secret() { ParameterType::SecureString } else { ParameterType::String };
        let call = self.client.put_parameter().name(&name).value(value).r#type(kind).overwrite(true);
        Ok(call.send().await.with_context(not_stored)?.version())
    }

    /// As [`Store::write`], and reports it.
    pub(crate) async fn put(&self, setting: Setting, value: &str) -> anyhow::Result<()> {
        let version = self.write(setting, value).await?;
        println!("{} stored (version {version})", self.name(setting));
        Ok(())
    }

    /// Removes those settings that are stored, and returns their names.
    pub(crate) async fn remove(&self, settings: &[Setting]) -> anyhow::Result<Vec<String>> {
        let names = settings.iter().map(|setting| self.name(*setting)).collect();
        let call = self.client.delete_parameters().set_names(Some(names));
        let response = call.send().await.context("the parameters were not removed")?;
        Ok(response.deleted_parameters.unwrap_or_default())
    }
}
