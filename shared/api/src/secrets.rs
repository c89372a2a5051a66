//! Settings that may be secrets: each is read from the variable of its name or, when that is not set, from the
//! parameter of AWS Systems Manager that `NAME_PARAMETER` names.

use std::{collections::HashMap, time::Duration};

use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_ssm::Client;

use crate::{
    Error,
    config::{parameter_of, said, variable},
};

/// How long the Parameter Store is asked, repeats included. Lambda gives a start 10 s.
const PATIENCE: Duration = Duration::from_secs(7);

/// How often a call that is throttled, or gets no answer, is made; the pauses between double from up to 1 s on.
const ATTEMPTS: u32 = 5;

/// Whether the value comes from the Parameter Store, where it may change while the function runs.
pub(crate) fn is_in_store(name: &'static str) -> Result<bool, Error> {
    Ok(variable(name)?.is_none())
}

/// The values of the settings, in their order. What is in the Parameter Store is fetched with one call; when nothing
/// is, none is made.
pub(crate) async fn read<const N: usize>(names: [&'static str; N]) -> Result<[String; N], Error> {
    let mut values = [const { String::new() }; N];
    let mut parameters = Vec::new();
    for (value, name) in values.iter_mut().zip(names) {
        match variable(name)? {
            Some(text) => *value = text,
            None => parameters.push((name, parameter_of(name)?.ok_or(Error::Missing(name))?, value)),
        }
    }
    if !parameters.is_empty() {
        let mut stored = fetch(parameters.iter().map(|(_, parameter, _)| parameter.clone()).collect()).await?;
        for (name, parameter, value) in parameters {
            let text = stored.remove(&parameter).ok_or_else(|| {
                Error::Invalid(name, format!("cannot be read: the Parameter Store has no parameter {parameter:?}"))
            })?;
            *value = said(&text).ok_or_else(|| Error::Invalid(name, format!("is empty in parameter {parameter:?}")))?;
        }
    }
    Ok(values)
}

/// The decrypted values of those parameters that there are.
async fn fetch(names: Vec<String>) -> Result<HashMap<String, String>, Error> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
        .load()
        .await;
    let call = Client::new(&config).get_parameters().set_names(Some(names)).with_decryption(true);
    let answer = call.send().await.map_err(|error| Error::ParameterStore(causes(&error)))?;
    Ok(answer
        .parameters
        .into_iter()
        .flatten()
        .filter_map(|parameter| Some((parameter.name?, parameter.value?)))
        .collect())
}

/// What lies behind a failed call. The causes name the refusal, the address and the parameter; none of them has a
/// value.
fn causes(error: &dyn std::error::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.join(": ")
}
