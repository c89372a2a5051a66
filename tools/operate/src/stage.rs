//! A stage: its name, where it lives, and the Parameter Store that holds its settings.

use std::{collections::BTreeMap, fmt, fs, str::FromStr, time::Duration};

use anyhow::{Context, bail, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_ssm::{
    Client,
    config::ProvideCredentials,
    types::{Parameter, ParameterType},
};

/// `samconfig.toml`, which lists the stages.
const SAMCONFIG: &str = "samconfig.toml";

/// How long AWS may take to answer a call, before it is made again (`AWS_MAX_ATTEMPTS`). Its own client waits for ever.
const AWS_PATIENCE: Duration = Duration::from_secs(10);

/// The name of a stage, which is a config-env of `samconfig.toml` and a part of the parameters' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage(String);

impl FromStr for Stage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a stage is named in small letters, digits and hyphens, such as dev, staging or prod")
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Stage {
    /// What `samconfig.toml` says about the stage. One that is not in it is an error.
    pub(crate) fn config(&self) -> anyhow::Result<StageConfig> {
        let text = fs::read_to_string(SAMCONFIG)
            .with_context(|| format!("cannot read {SAMCONFIG}: run this in the folder of the project"))?;
        StageConfig::read(self, &text)
    }
}

/// A stage's part of `samconfig.toml`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StageConfig {
    stack: String,
    region: Option<String>,
    /// The template's parameters, as `Name=value`.
    parameters: Vec<String>,
}

impl StageConfig {
    fn read(stage: &Stage, text: &str) -> anyhow::Result<Self> {
        let file: toml::Table = text.parse().with_context(|| format!("{SAMCONFIG} cannot be read"))?;
        let Some(ours) = file.get(&stage.0) else {
            let stages = file.iter().filter(|(_, value)| value.is_table()).map(|(name, _)| name.as_str());
            bail!("{SAMCONFIG} has no stage {stage}: it has {}", stages.collect::<Vec<_>>().join(", "));
        };
        // A command's own parameters come before those of all commands.
        let parameter = |name: &str| {
            let of = |command: &str| ours.get(command)?.get("parameters")?.get(name);
            of("deploy").or_else(|| of("global"))
        };
        let text = |name: &str| parameter(name).and_then(|value| value.as_str()).map(str::to_owned);
        Ok(Self {
            stack: text("stack_name").with_context(|| format!("{SAMCONFIG} gives the stage {stage} no stack_name"))?,
            region: text("region"),
            parameters: match parameter("parameter_overrides") {
                Some(toml::Value::Array(list)) => {
                    list.iter().filter_map(|item| item.as_str()).map(str::to_owned).collect()
                }
                Some(toml::Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
                _ => Vec::new(),
            },
        })
    }

    /// What `sam` is told to find the stack by, where it does not read this file.
    pub(crate) fn stack_arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["--stack-name", &self.stack];
        if let Some(region) = &self.region {
            arguments.extend(["--region", region]);
        }
        arguments
    }

    /// The first origin whose pages may call the API.
    pub(crate) fn allowed_origin(&self) -> Option<String> {
        let origins = self.parameters.iter().find_map(|parameter| parameter.strip_prefix("AllowedOrigins="))?;
        let first = origins.trim_matches(['"', '\'']).split(',').next()?.trim();
        Some(first.to_owned()).filter(|origin| !origin.is_empty() && origin != "*")
    }

    /// The configuration of AWS's clients: the user's, in the stage's region.
    pub(crate) async fn aws(&self) -> anyhow::Result<SdkConfig> {
        let patience = TimeoutConfig::builder().operation_attempt_timeout(AWS_PATIENCE).build();
        let mut config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(patience);
        if let Some(region) = self.region.clone() {
            config = config.region(Region::new(region));
        }
        let config = config.load().await;
        ensure!(
            config.region().is_some_and(|region| !region.as_ref().is_empty()),
            "no AWS region is set: give the stage one in {SAMCONFIG}, or set AWS_REGION"
        );
        // A call would say the same in five lines.
        let provider = config.credentials_provider().context("no AWS credentials")?;
        provider.provide_credentials().await.ok().context(
            "no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (docs/deploy.md)",
        )?;
        Ok(config)
    }
}

/// A setting that the Parameter Store holds: the last part of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setting {
    /// The pooled endpoint: the functions'.
    DatabaseUrl,
    /// The direct endpoint: the migrations'.
    DatabaseUrlUnpooled,
    /// What tokens are signed with.
    JwtSigningKey,
    /// What tokens are verified with.
    JwtPublicKeys,
    /// What tokens will be signed with, while a rotation is under way.
    JwtSigningKeyNext,
    /// What the functions that run now have read: no secret.
    Released,
}

impl Setting {
    /// What a stage needs to be deployed.
    pub(crate) const NEEDED: [Self; 4] =
        [Self::DatabaseUrl, Self::DatabaseUrlUnpooled, Self::JwtSigningKey, Self::JwtPublicKeys];

    /// What the functions read when they start.
    pub(crate) const OF_FUNCTIONS: [Self; 3] = [Self::DatabaseUrl, Self::JwtSigningKey, Self::JwtPublicKeys];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DatabaseUrl => "database-url",
            Self::DatabaseUrlUnpooled => "database-url-unpooled",
            Self::JwtSigningKey => "jwt-signing-key",
            Self::JwtPublicKeys => "jwt-public-keys",
            Self::JwtSigningKeyNext => "jwt-signing-key-next",
            Self::Released => "released",
        }
    }
}

/// A stored value and how often it was stored. It has no `Debug`: the value may be a secret.
pub(crate) struct Stored {
    pub(crate) value: String,
    pub(crate) version: i64,
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

    /// `/task-api/STAGE/SETTING`.
    pub(crate) fn name(&self, setting: Setting) -> String {
        format!("/task-api/{}/{}", self.stage, setting.name())
    }

    /// The values of those settings that are stored, decrypted, and without white space around them, as the functions
    /// read them.
    pub(crate) async fn read<const N: usize>(
        &self,
        settings: [Setting; N],
    ) -> anyhow::Result<BTreeMap<Setting, Stored>> {
        let names = settings.map(|setting| self.name(setting));
        let call = self.client.get_parameters().set_names(Some(names.to_vec())).with_decryption(true);
        let answer = call.send().await.context("the Parameter Store cannot be read")?;
        let mut parameters = answer.parameters.unwrap_or_default();
        Ok(settings
            .into_iter()
            .filter_map(|setting| {
                let name = self.name(setting);
                let at = parameters.iter().position(|parameter| parameter.name() == Some(&name))?;
                let Parameter { value, version, .. } = parameters.swap_remove(at);
                Some((setting, Stored { value: value?.trim().to_owned(), version }))
            })
            .collect())
    }

    /// Stores a value, encrypted unless there is nothing to hide, in the place of an earlier one; its version.
    pub(crate) async fn write(&self, setting: Setting, value: &str) -> anyhow::Result<i64> {
        let kind = if setting == Setting::Released { ParameterType::String } else { ParameterType::SecureString };
        let name = self.name(setting);
        let call = self.client.put_parameter().name(&name).value(value).r#type(kind).overwrite(true);
        let answer = call.send().await.with_context(|| format!("{name} was not stored"))?;
        Ok(answer.version())
    }

    /// Removes those settings that are stored; their names.
    pub(crate) async fn remove<const N: usize>(&self, settings: [Setting; N]) -> anyhow::Result<Vec<String>> {
        let names = settings.map(|setting| self.name(setting)).to_vec();
        let call = self.client.delete_parameters().set_names(Some(names));
        let answer = call.send().await.context("the parameters were not removed")?;
        Ok(answer.deleted_parameters.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_a_word_that_a_parameter_can_be_named_after() {
        for name in ["dev", "prod-eu", "pr123"] {
            assert_eq!(name.parse::<Stage>().unwrap().to_string(), name);
        }
        for name in ["", "Dev", "1st", "a/b", "a b", "../prod", "-x"] {
            assert!(name.parse::<Stage>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_stack_and_the_origin_of_a_stage_are_read_as_sam_reads_them() {
        let text = r#"
            version = 0.1
            [dev.global.parameters]
            region = "eu-central-1"
            [dev.deploy.parameters]
            stack_name = "task-api-dev"
            parameter_overrides = ["Stage=dev", "AllowedOrigins=http://localhost:3000,https://a.example"]
            [prod.deploy.parameters]
            stack_name = "task-api-prod"
            region = "eu-west-1"
            parameter_overrides = "Stage=prod AllowedOrigins=\"https://tasks.example\""
        "#;
        let read = |stage: &str| StageConfig::read(&stage.parse().unwrap(), text);
        let (dev, prod) = (read("dev").unwrap(), read("prod").unwrap());
        assert_eq!(dev.stack_arguments(), ["--stack-name", "task-api-dev", "--region", "eu-central-1"]);
        assert_eq!(prod.stack_arguments(), ["--stack-name", "task-api-prod", "--region", "eu-west-1"]);
        assert_eq!(dev.allowed_origin().as_deref(), Some("http://localhost:3000"));
        assert_eq!(prod.allowed_origin().as_deref(), Some("https://tasks.example"));
        assert!(read("qa").unwrap_err().to_string().ends_with("has no stage qa: it has dev, prod"));
    }
}
