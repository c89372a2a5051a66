use std::collections::BTreeMap;

use aws_sdk_lambda::primitives::Blob;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Failure;

/// A version of a function.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Version {
    #[serde(rename = "Name")]
    function: String,
    #[serde(rename = "TargetVersion")]
    number: String,
}

/// What CodeDeploy calls an *AppSpec file*: here, what CloudFormation makes of an alias.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AppSpec {
    resources: Vec<BTreeMap<String, Resource>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    properties: Version,
}

impl Version {
    /// The version that a deployment is about to send traffic to.
    pub(crate) async fn of(codedeploy: &aws_sdk_codedeploy::Client, deployment: &str) -> Result<Self, Failure> {
        let deployment =
            codedeploy.get_deployment().deployment_id(deployment).send().await.map_err(Failure::of_call)?;
        let Some(deployment) = deployment.deployment_info else {
            return Err(Failure::Revision("there is no such deployment".to_owned()));
        };
        // A deployment has only the digest of its revision.
        let revision = codedeploy
            .get_application_revision()
            .set_application_name(deployment.application_name)
            .set_revision(deployment.revision)
            .send()
            .await
            .map_err(Failure::of_call)?
            .revision;
        let content = revision.as_ref().and_then(|revision| {
            let string = revision.string().and_then(|it| it.content());
            string.or_else(|| revision.app_spec_content()?.content())
        });
        Self::in_revision(content.unwrap_or_default())
    }

    fn in_revision(content: &str) -> Result<Self, Failure> {
        let spec: AppSpec = serde_json::from_str(content).map_err(|error| Failure::Revision(error.to_string()))?;
        let resource = spec.resources.into_iter().flatten().next();
        Ok(resource.ok_or_else(|| Failure::Revision("it has no resource".to_owned()))?.1.properties)
    }

    /// Sends it a request that is on no route: it starts, and refuses the request or serves it without a change. `id` is the
    /// request's in the log.
    pub(crate) async fn try_out(&self, lambda: &aws_sdk_lambda::Client, id: &str) -> Result<(), Failure> {
        let event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/",
            "rawQueryString": "",
            "headers": {},
            "requestContext": {"requestId": id, "http": {"method": "GET", "path": "/"}},
            "isBase64Encoded": false,
        });
        let call = lambda.invoke().function_name(&self.function).qualifier(&self.number);
        let reply = call.payload(Blob::new(event.to_string())).send().await.map_err(Failure::of_call)?;
        let answer = reply.payload.map(Blob::into_inner).unwrap_or_default();
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        match answer["statusCode"].as_u64() {
            _ if reply.function_error.is_some() => {
                Err(Failure::Failed(self.name(), answer["errorMessage"].to_string()))
            }
            Some(100..500) => Ok(()),
            _ => Err(Failure::Answered(self.name(), answer["statusCode"].to_string())),
        }
    }

    fn name(&self) -> String {
        format!("version {} of {}", self.number, self.function)
    }
}
