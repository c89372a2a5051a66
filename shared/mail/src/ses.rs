use std::iter;

use aws_config::{BehaviorVersion, retry::RetryConfig};
use aws_sdk_sesv2::{
    Client,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::send_email::SendEmailError,
    primitives::Blob,
    types::{EmailContent, RawMessage},
};

/// One more attempt when SES turns one away or the connection breaks; in the worst case the mail comes twice.
const MAX_ATTEMPTS: u32 = 2;

/// Amazon SES, which has to know the sender as a verified identity.
pub(crate) struct Ses(Client);

impl Ses {
    pub(crate) async fn new() -> Self {
        let retries = RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS);
        let config = aws_config::defaults(BehaviorVersion::latest()).retry_config(retries).load().await;
        Self(Client::new(&config))
    }

    /// Sends a mail as it is (RFC 5322).
    pub(crate) async fn send(&self, message: Vec<u8>) -> Result<(), Failure> {
        let raw = RawMessage::builder().data(Blob::new(message)).build()?;
        let content = EmailContent::builder().raw(raw).build();
        self.0.send_email().content(content).send().await.map_err(Box::new)?;
        Ok(())
    }
}

/// Why SES did not take a mail. The messages never hold the address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the request cannot be composed")]
    Request(#[from] BuildError),
    #[error("SES: {}", describe(.0))]
    Answer(#[from] Box<SdkError<SendEmailError>>),
}

/// Of an answer of SES the code only, because its message quotes addresses.
fn describe(error: &SdkError<SendEmailError>) -> String {
    match error {
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or("an error without a code").to_owned(),
        _ => chain(error),
    }
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
