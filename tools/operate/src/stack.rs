//! The CloudFormation stack of a stage, and which versions of its functions are live.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::{Client, error::ProvideErrorMetadata, types::StackStatus};
use aws_sdk_lambda::types::AliasRoutingConfiguration;
use serde::{Deserialize, Serialize};

use crate::stage::{SAMCONFIG, Stage, StageConfig};

/// What the gateway calls, in the template (`AutoPublishAlias`).
const ALIAS: &str = "live";

/// How many executions at once Lambda keeps in an account for the functions that reserve none.
const NEVER_RESERVED: i32 = 100;

/// The output of the stack with the API's URL.
const URL_OUTPUT: &str = "Url";

/// The versions of functions, by their names in the template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Versions(pub(crate) BTreeMap<String, String>);

/// A stack; it need not exist.
pub(crate) struct Stack {
    client: Client,
    lambda: aws_sdk_lambda::Client,
    stage: Stage,
    name: String,
}

impl Stack {
    pub(crate) fn new(stage: &Stage, config: &StageConfig, aws: &SdkConfig) -> Self {
        let (client, lambda) = (Client::new(aws), aws_sdk_lambda::Client::new(aws));
        Self { client, lambda, stage: stage.clone(), name: config.stack.clone() }
    }

    /// Whether there is a stack. One that has only been looked at, with a change set, is none.
    ///
    /// # Errors
    /// Something is under way in it, or it is stuck.
    pub(crate) async fn exists(&self) -> anyhow::Result<bool> {
        let Some(status) = self.status().await? else { return Ok(false) };
        let (name, stage) = (&self.name, &self.stage);
        match &status {
            StackStatus::ReviewInProgress => Ok(false),
            StackStatus::RollbackComplete | StackStatus::RollbackFailed | StackStatus::DeleteFailed => {
                bail!("the stack {name} is in {status}: remove it with `make remove STAGE={stage}` first")
            }
            StackStatus::UpdateRollbackFailed => bail!(
                "the stack {name} is in {status}: `aws cloudformation continue-update-rollback --stack-name {name}` first"
            ),
            status if status.as_str().ends_with("_IN_PROGRESS") => {
                bail!("the stack {name} is in {status}: wait until that is over")
            }
            _ => Ok(true),
        }
    }

    /// # Errors
    /// There is no stack, or something is under way in it.
    pub(crate) async fn ensure_at_rest(&self) -> anyhow::Result<()> {
        let name = &self.name;
        let status = self.status().await?.with_context(|| format!("there is no stack {name}"))?;
        ensure!(
            !status.as_str().ends_with("_IN_PROGRESS"),
            "the stack {name} is in {status}: `aws cloudformation cancel-update-stack --stack-name {name}` takes it back; \
             then repeat this if necessary"
        );
        Ok(())
    }

    /// Whether there is a stack, in whatever state.
    pub(crate) async fn is_there(&self) -> anyhow::Result<bool> {
        Ok(self.describe().await?.is_some())
    }

    async fn status(&self) -> anyhow::Result<Option<StackStatus>> {
        let Some(stack) = self.describe().await? else { return Ok(None) };
        stack.stack_status.context("the stack has no status").map(Some)
    }

    async fn describe(&self) -> anyhow::Result<Option<aws_sdk_cloudformation::types::Stack>> {
        match self.client.describe_stacks().stack_name(&self.name).send().await {
            Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
            // CloudFormation has no code of its own for this.
            Err(error) if error.code() == Some("ValidationError") => Ok(None),
            Err(error) => Err(error).with_context(|| format!("the stack {} cannot be read", self.name)),
        }
    }

    /// The API's URL.
    pub(crate) async fn url(&self) -> anyhow::Result<String> {
        let stack = self.describe().await?.with_context(|| format!("there is no stack {}", self.name))?;
        let url = stack.outputs.unwrap_or_default().into_iter().find(|output| output.output_key() == Some(URL_OUTPUT));
        url.and_then(|output| output.output_value).with_context(|| format!("the stack has no output {URL_OUTPUT}"))
    }

    /// # Errors
    /// The account has not so many executions at once left to reserve, besides those that the stack's functions have
    /// reserved.
    pub(crate) async fn ensure_can_reserve(&self, executions: i32) -> anyhow::Result<()> {
        let limits = self.lambda.get_account_settings().send().await;
        let limits = limits.context("the limits of the account cannot be read")?.account_limit;
        let mut left =
            limits.context("the account has no limits")?.unreserved_concurrent_executions.unwrap_or_default();
        left -= NEVER_RESERVED;
        if self.is_there().await? {
            for function in self.functions().await?.into_values() {
                let own = self.lambda.get_function_concurrency().function_name(&function).send().await;
                let own = own.with_context(|| format!("what {function} has reserved cannot be read"))?;
                left += own.reserved_concurrent_executions.unwrap_or_default();
            }
        }
        ensure!(
            executions <= left,
            "ReservedConcurrency in {SAMCONFIG} reserves {executions} executions for all functions together, and the \
             account has {left} left (docs/operations.md, Connections)"
        );
        Ok(())
    }

    /// Protects the stack from being deleted, or lets it be deleted.
    pub(crate) async fn protect(&self, protect: bool) -> anyhow::Result<()> {
        let call = self.client.update_termination_protection().stack_name(&self.name);
        let result = call.enable_termination_protection(protect).send().await;
        result.context("the protection of the stack could not be changed").map(drop)
    }

    /// The versions that the gateway calls.
    pub(crate) async fn live(&self) -> anyhow::Result<Versions> {
        let mut versions = BTreeMap::new();
        for (logical_id, function) in self.functions().await? {
            let alias = self.lambda.get_alias().function_name(&function).name(ALIAS).send().await;
            let version = alias.with_context(|| format!("the version of {function} cannot be read"))?.function_version;
            versions.insert(logical_id, version.with_context(|| format!("{function} has no version"))?);
        }
        Ok(Versions(versions))
    }

    /// Moves the alias of every function that has a version here, at once and for all of its requests.
    pub(crate) async fn go_live(&self, versions: &Versions) -> anyhow::Result<()> {
        let functions = self.functions().await?;
        for (logical_id, version) in &versions.0 {
            let Some(function) = functions.get(logical_id) else { continue };
            let call = self.lambda.update_alias().function_name(function).name(ALIAS).function_version(version);
            // Ends a canary that was stopped halfway.
            let all = AliasRoutingConfiguration::builder().set_additional_version_weights(Some([].into())).build();
            let moved = call.routing_config(all).send().await;
            moved.with_context(|| format!("{function} was not moved to version {version}: repeat the command"))?;
        }
        Ok(())
    }

    /// The functions with an alias: their names, by those in the template.
    async fn functions(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut pages = self.client.list_stack_resources().stack_name(&self.name).into_paginator().items().send();
        let (mut functions, mut aliases) = (BTreeMap::new(), Vec::new());
        while let Some(resource) = pages.next().await {
            let resource = resource.context("the resources of the stack cannot be read")?;
            let Some(logical_id) = resource.logical_resource_id else { continue };
            match resource.resource_type.as_deref() {
                Some("AWS::Lambda::Function") => {
                    functions.extend(resource.physical_resource_id.map(|name| (logical_id, name)));
                }
                // SAM calls it so.
                Some("AWS::Lambda::Alias") => {
                    aliases.extend(logical_id.strip_suffix(&format!("Alias{ALIAS}")).map(str::to_owned));
                }
                _ => {}
            }
        }
        functions.retain(|logical_id, _| aliases.contains(logical_id));
        Ok(functions)
    }
}
