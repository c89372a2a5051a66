use std::{collections::HashMap, time::Duration};

use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_ssm::Client;

use crate::Error;

/// The timeout for the call, retries included. Lambda allows 10 s for a start.
const TIMEOUT: Duration = Duration::from_secs(7);

/// For a call that is throttled or not answered. The backoff doubles from up to 1 s on.
const MAX_ATTEMPTS: u32 = 5;

/// The decrypted values of the parameters that exist, with one call.
pub(crate) async fn fetch(names: Vec<String>) -> Result<HashMap<String, String>, Error> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
        .load()
        .await;
    let call = Client::new(&config).get_parameters().set_names(Some(names)).with_decryption(true);
    let answer = call.send().await.map_err(|error| Error::ParameterStore(sources(&error)))?;
    Ok(answer
        .parameters
        .into_iter()
        .flatten()
        .filter_map(|parameter| Some((parameter.name?, parameter.value?)))
        .collect())
}

/// The sources of an error. They hold the service's answer, the address and the parameter's name, but no value.
fn sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
