use std::fmt;

/// Why a function does not start. The messages name settings, never their values.
#[derive(thiserror::Error)]
pub enum Error {
    /// All required settings that are not set.
    #[error("{}", describe_missing(.0))]
    Missing(Vec<&'static str>),
    #[error("{0} {1}")]
    Invalid(&'static str, String),
    #[error("the Parameter Store cannot be read: {0}")]
    ParameterStore(String),
    #[error("the Lambda runtime ended: {0}")]
    Runtime(String),
}

fn describe_missing(names: &[&str]) -> String {
    let each = names.iter().map(|name| format!("neither {name} nor {name}_PARAMETER is set"));
    each.collect::<Vec<_>>().join("; ")
}

/// `main` prints the `Debug` form of its error: this one is for people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The sources of an error, for the log. Those of a call of AWS hold the service's answer, the address and names, but no
/// value of a parameter.
pub fn sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
