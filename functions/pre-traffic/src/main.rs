//! CodeDeploy's hook before traffic: tries out the new version of a function, which no request reaches yet.

mod failure;
mod version;

use aws_config::BehaviorVersion;
use aws_sdk_codedeploy::types::LifecycleEventStatus;
use serde::Deserialize;

use crate::{failure::Failure, version::Version};

/// CodeDeploy's event.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Hook {
    deployment_id: String,
    lifecycle_event_hook_execution_id: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), api::Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let codedeploy = aws_sdk_codedeploy::Client::new(&config);
    let lambda = aws_sdk_lambda::Client::new(&config);
    api::listen(|hook| run(codedeploy.clone(), lambda.clone(), hook)).await
}

/// Tells CodeDeploy whether the deployment may go on. An error is that it could not be told.
async fn run(
    codedeploy: aws_sdk_codedeploy::Client,
    lambda: aws_sdk_lambda::Client,
    hook: Hook,
) -> Result<(), Failure> {
    let id = &hook.deployment_id;
    let outcome = async { Version::of(&codedeploy, id).await?.try_out(&lambda, id).await };
    let status = match outcome.await {
        Ok(()) => LifecycleEventStatus::Succeeded,
        Err(failure) => {
            tracing::error!(deployment = hook.deployment_id, cause = %failure, "the new version gets no traffic");
            LifecycleEventStatus::Failed
        }
    };
    codedeploy
        .put_lifecycle_event_hook_execution_status()
        .deployment_id(hook.deployment_id)
        .lifecycle_event_hook_execution_id(hook.lifecycle_event_hook_execution_id)
        .status(status)
        .send()
        .await
        .map_err(Failure::of_call)?;
    Ok(())
}
