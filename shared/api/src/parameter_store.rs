#[cfg(test)]
mod quota;

use std::{collections::HashMap, time::Duration};

use aws_config::BehaviorVersion;
use aws_sdk_ssm::{
    Client,
    config::{
        Builder, ConfigBag, Intercept, RuntimeComponents, interceptors::FinalizerInterceptorContextRef,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::BoxError,
};

use crate::{Error, error::sources};

/// The timeout for the call, retries included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(8);

/// More than fit into the timeout.
const MAX_ATTEMPTS: u32 = 100;

/// Before each further attempt, the first one included, a function waits for a random part of this (full jitter). So
/// functions that start together do not come back together. The wait does not grow: hundreds that wait for longer would
/// leave calls of the quota unused.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The decrypted values of the parameters that exist, with one call.
pub(crate) async fn fetch(names: Vec<String>) -> Result<HashMap<String, String>, Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    get(&client(Builder::from(&config)), names).await
}

fn client(config: Builder) -> Client {
    let retries = RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS);
    let retries = retries.with_initial_backoff(MAX_BACKOFF).with_max_backoff(MAX_BACKOFF);
    let timeout = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
    Client::from_conf(config.retry_config(retries).timeout_config(timeout).interceptor(LogFailures).build())
}

async fn get(client: &Client, names: Vec<String>) -> Result<HashMap<String, String>, Error> {
    let call = client.get_parameters().set_names(Some(names)).with_decryption(true);
    let answer = call.send().await.map_err(|error| Error::ParameterStore(sources(&error)))?;
    Ok(answer
        .parameters
        .into_iter()
        .flatten()
        .filter_map(|parameter| Some((parameter.name?, parameter.value?)))
        .collect())
}

/// Logs each failed attempt: the error of a call that ran out of time does not say what failed.
#[derive(Debug)]
struct LogFailures;

impl Intercept for LogFailures {
    fn name(&self) -> &'static str {
        "LogFailures"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(Err(error)) = context.output_or_error() {
            tracing::warn!(cause = sources(error), "the Parameter Store was not read");
        }
        Ok(())
    }
}
