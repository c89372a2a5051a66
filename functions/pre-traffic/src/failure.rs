use std::error::Error;

/// Why a version gets no traffic.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("a call of AWS failed: {0}")]
    Call(String),
    #[error("CodeDeploy's revision names no version of a function: {0}")]
    Revision(String),
    /// It did not start, or ran out of time.
    #[error("{0} fails: {1}")]
    Failed(String, String),
    #[error("{0} answers with {1}")]
    Answered(String, String),
}

impl Failure {
    /// A call of AWS that failed.
    pub(crate) fn of_call(error: impl Error + 'static) -> Self {
        Self::Call(api::sources(&error))
    }
}
