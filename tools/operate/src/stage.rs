//! A stage and its configuration in `samconfig.toml`.

use std::{fmt, fs, str::FromStr, time::Duration};

use anyhow::{Context, bail, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_ssm::config::ProvideCredentials;

pub(crate) const SAMCONFIG: &str = "samconfig.toml";

/// For each attempt of a call to AWS (`AWS_MAX_ATTEMPTS`); the SDK has no timeout by default.
const AWS_TIMEOUT: Duration = Duration::from_secs(10);

/// The name of a stage: a config-env of `samconfig.toml`, and part of its parameters' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage(String);

impl FromStr for Stage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a stage's name has lower-case letters, digits and hyphens, such as dev, staging or prod")
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Stage {
    /// # Errors
    /// `samconfig.toml` cannot be read, or the stage is not in it.
    pub(crate) fn config(&self) -> anyhow::Result<StageConfig> {
        let text = fs::read_to_string(SAMCONFIG)
            .with_context(|| format!("cannot read {SAMCONFIG}: run this in the root of the project"))?;
        StageConfig::read(self, &text)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StageConfig {
    pub(crate) stack: String,
    region: Option<String>,
    /// The template's parameters.
    parameters: Vec<(String, String)>,
    /// Whether to ask before anything is changed.
    pub(crate) confirm: bool,
}

impl StageConfig {
    fn read(stage: &Stage, text: &str) -> anyhow::Result<Self> {
        let file: toml::Table = text.parse().with_context(|| format!("{SAMCONFIG} is not valid TOML"))?;
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
                    list.iter().filter_map(|item| name_and_value(item.as_str()?)).collect()
                }
                Some(toml::Value::String(text)) => text.split_ascii_whitespace().filter_map(name_and_value).collect(),
                _ => Vec::new(),
            },
            confirm: parameter("confirm_changeset").and_then(toml::Value::as_bool).unwrap_or_default(),
        })
    }

    /// For those commands of `sam` that do not read `samconfig.toml`.
    pub(crate) fn stack_arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["--stack-name", &self.stack];
        if let Some(region) = &self.region {
            arguments.extend(["--region", region]);
        }
        arguments
    }

    /// For those commands of `sam` that read the template: its parameters, and this one.
    pub(crate) fn parameter_arguments(&self, more: (&str, &str)) -> Vec<String> {
        let parameters = self.parameters.iter().map(|(name, value)| (&**name, &**value));
        let words = parameters.filter(|(name, _)| *name != more.0).chain([more]);
        ["--parameter-overrides".to_owned()]
            .into_iter()
            .chain(words.map(|(name, value)| format!("{name}=\"{value}\"")))
            .collect()
    }

    /// The first of the template's `AllowedOrigins`, unless it is `*`.
    pub(crate) fn allowed_origin(&self) -> Option<String> {
        let first = self.parameter("AllowedOrigins")?.split(',').next()?.trim();
        Some(first.to_owned()).filter(|origin| !origin.is_empty() && origin != "*")
    }

    /// The functions' processor.
    pub(crate) fn architecture(&self) -> &str {
        self.parameter("Architecture").unwrap_or("arm64")
    }

    /// How many executions at once each function reserves; 0 for none.
    pub(crate) fn reserved_concurrency(&self) -> anyhow::Result<i32> {
        let value = self.parameter("ReservedConcurrency").unwrap_or_default();
        if value.is_empty() {
            return Ok(0);
        }
        value.parse().with_context(|| format!("ReservedConcurrency in {SAMCONFIG} is {value:?}, which is no number"))
    }

    /// What `parameter_overrides` gives a parameter of the template.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The user's configuration, with the stage's region.
    pub(crate) async fn aws(&self) -> anyhow::Result<SdkConfig> {
        aws(self.region.clone()).await
    }
}

/// Of `Name=value`, where the value may be quoted.
fn name_and_value(parameter: &str) -> Option<(String, String)> {
    let (name, value) = parameter.split_once('=')?;
    Some((name.trim().to_owned(), value.trim_matches(['"', '\'']).to_owned()))
}

/// The user's configuration, with this region if there is one.
pub(crate) async fn aws(region: Option<String>) -> anyhow::Result<SdkConfig> {
    let timeout = TimeoutConfig::builder().operation_attempt_timeout(AWS_TIMEOUT).build();
    let mut config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeout);
    if let Some(region) = region {
        config = config.region(Region::new(region));
    }
    let config = config.load().await;
    ensure!(
        config.region().is_some_and(|region| !region.as_ref().is_empty()),
        "no AWS region is set: give the stage one in {SAMCONFIG}, or set AWS_REGION"
    );
    // The error of a call would take five lines.
    let provider = config.credentials_provider().context("no AWS credentials")?;
    provider.provide_credentials().await.ok().context(
        "no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (docs/deploy.md)",
    )?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stages_name_can_be_part_of_a_parameters() {
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
            confirm_changeset = true
            parameter_overrides = "Stage=prod AllowedOrigins=\"https://tasks.example\""
        "#;
        let read = |stage: &str| StageConfig::read(&stage.parse().unwrap(), text);
        let (dev, prod) = (read("dev").unwrap(), read("prod").unwrap());
        assert_eq!(dev.stack_arguments(), ["--stack-name", "task-api-dev", "--region", "eu-central-1"]);
        assert_eq!(prod.stack_arguments(), ["--stack-name", "task-api-prod", "--region", "eu-west-1"]);
        let words = ["--parameter-overrides", "Stage=\"prod\"", "AllowedOrigins=\"https://tasks.example\"", "A=\"b\""];
        assert_eq!(prod.parameter_arguments(("A", "b")), words);
        assert!(prod.confirm && !dev.confirm);
        assert_eq!(dev.allowed_origin().as_deref(), Some("http://localhost:3000"));
        assert_eq!(prod.allowed_origin().as_deref(), Some("https://tasks.example"));
        assert!(read("qa").unwrap_err().to_string().ends_with("has no stage qa: it has dev, prod"));
    }
}
