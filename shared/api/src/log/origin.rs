use std::sync::OnceLock;

use lambda_http::Context;
use serde::Serialize;

use crate::{
    Error,
    setting::{AWS_LAMBDA_FUNCTION_NAME, AWS_LAMBDA_FUNCTION_VERSION},
};

static FUNCTION: OnceLock<Function> = OnceLock::new();

tokio::task_local! {
    static INVOCATION: Invocation;
}

/// What wrote a line, and for which request.
#[derive(Serialize)]
pub(super) struct Origin {
    #[serde(flatten)]
    function: Option<&'static Function>,
    /// `None` while the function starts.
    #[serde(flatten)]
    invocation: Option<Invocation>,
}

/// `None` where there is no Lambda.
#[derive(Serialize)]
struct Function {
    #[serde(rename = "function_name", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "function_version", skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

/// The ids of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Invocation {
    /// The gateway's id, which clients are told.
    request_id: String,
    /// Lambda's id, as in its own lines.
    function_request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    xray_trace_id: Option<String>,
}

/// Reads the function's name and version.
pub(super) fn start() -> Result<(), Error> {
    let name = AWS_LAMBDA_FUNCTION_NAME.variable()?;
    let version = AWS_LAMBDA_FUNCTION_VERSION.variable()?;
    FUNCTION.get_or_init(|| Function { name, version });
    Ok(())
}

impl Origin {
    /// That of a line that is written now.
    pub(super) fn current() -> Self {
        Self { function: FUNCTION.get(), invocation: INVOCATION.try_with(Invocation::clone).ok() }
    }
}

impl Invocation {
    pub(crate) fn new(request_id: &str, context: &Context) -> Self {
        Self {
            request_id: request_id.to_owned(),
            function_request_id: context.request_id.clone(),
            xray_trace_id: context.xray_trace_id.as_deref().and_then(trace_id).map(str::to_owned),
        }
    }

    /// Runs the request's work: the lines that it writes have these ids.
    pub(crate) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        INVOCATION.scope(self, work).await
    }
}

/// The trace's id in a tracing header, which may be a client's: `Root=1-67891233-abcdef012345678912345678;Sampled=0`.
fn trace_id(header: &str) -> Option<&str> {
    let id = header.split(';').find_map(|part| part.trim().strip_prefix("Root="))?;
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    let is_id = parts == [1, 8, 24] && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_out_of_its_header() {
        let id = "1-67891233-abcdef012345678912345678";
        for header in [format!("Root={id}"), format!("Self=1-2-3; Root={id};Parent=463ac35c9f6413ad;Sampled=1")] {
            assert_eq!(trace_id(&header), Some(id));
        }
    }

    #[test]
    fn what_is_not_a_trace_id_is_not_logged() {
        let id = "1-67891233-abcdef012345678912345678";
        for header in ["", id, "Root=", "Root=secret", &format!("Root={id}0"), &format!("Root={}é", &id[..33])] {
            assert_eq!(trace_id(header), None, "{header:?}");
        }
    }
}
