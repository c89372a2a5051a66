use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt;
use lambda_http::{Body, LambdaEvent, aws_lambda_events::apigw::ApiGatewayV2httpResponse, lambda_runtime, service_fn};

use crate::{Error, Problem, Request, Response, State, event::Event, log};

/// How long a request may take. Shorter than the function's timeout, which is shorter than the gateway's 30 s; long
/// enough to sit out a restart of the database.
const BUDGET: Duration = Duration::from_secs(11);

// Three attempts to connect that hang leave time for a statement.
const _: () = assert!(BUDGET.as_millis() > 3 * db::CONNECT.as_millis() + db::STATEMENT_TIMEOUT.as_millis());

/// What is kept back from Lambda's own deadline to send an answer.
const RESERVE: Duration = Duration::from_millis(500);

/// An `async fn(&State, &Request) -> Result<Response, Problem>`: what every function is.
pub trait Handler<'a, S: 'a>: Fn(&'a S, &'a Request) -> Self::Answer + Copy + Send + Sync + 'static {
    /// What the `async fn` returns.
    type Answer: Future<Output = Result<Response, Problem>> + Send;
}

impl<'a, S: 'a, F, A> Handler<'a, S> for F
where
    F: Fn(&'a S, &'a Request) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<Response, Problem>> + Send,
{
    type Answer = A;
}

/// Starts the function and answers requests until Lambda ends it.
///
/// Every invocation succeeds, as far as Lambda can tell: what goes wrong is an answer, never an invocation error,
/// which would give the client the gateway's own.
///
/// # Errors
/// A setting that is missing or of no use, or the end of the Lambda runtime.
pub async fn serve<S, H>(handle: H) -> Result<(), Error>
where
    S: State,
    H: for<'a> Handler<'a, S>,
{
    log::start()?;
    let state = Arc::new(S::start().await?);
    let service = service_fn(move |invocation: LambdaEvent<Event>| {
        let state = Arc::clone(&state);
        async move {
            let LambdaEvent { payload, context, .. } = invocation;
            Ok::<_, Infallible>(answer(&*state, handle, payload, &context.request_id, budget(context.deadline)).await)
        }
    });
    lambda_runtime::run_concurrent(service).await.map_err(|error| Error::Runtime(error.to_string()))
}

/// What [`serve`] does with one event, given and returned as JSON: for those who have no Lambda runtime around them.
///
/// # Errors
/// The JSON is not that of a gateway's event.
pub async fn invoke<S, H>(state: &S, handle: H, event: &[u8]) -> Result<Vec<u8>, serde_json::Error>
where
    S: State,
    H: for<'a> Handler<'a, S>,
{
    let event = serde_json::from_slice(event)?;
    serde_json::to_vec(&answer(state, handle, event, "none", BUDGET).await)
}

async fn answer<S, H>(state: &S, handle: H, event: Event, id: &str, budget: Duration) -> ApiGatewayV2httpResponse
where
    S: Sync,
    H: for<'a> Handler<'a, S>,
{
    let deadline = Instant::now() + budget;
    for_the_gateway(respond(state, &Request::new(event, id), handle, deadline).await)
}

async fn respond<S, H>(state: &S, request: &Request, handle: H, deadline: Instant) -> Response
where
    S: Sync,
    H: for<'a> Handler<'a, S>,
{
    let started = Instant::now();
    let work = AssertUnwindSafe(async { handle(state, request).await }).catch_unwind();
    let (outcome, usage) = db::within(deadline, work).await;
    let (response, problem) = match outcome.unwrap_or_else(|_| Err(Problem::Internal("panic".to_owned()))) {
        Ok(response) => (response, None),
        Err(problem) => (problem.respond(request), Some(problem)),
    };
    log::request(request, response.status(), problem.as_ref(), started.elapsed(), usage);
    response
}

/// How long a request may take, with Lambda's own deadline in milliseconds since 1970.
///
/// One that has passed is none: `cargo lambda watch` sends the same number with every request.
fn budget(deadline: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match Duration::from_millis(deadline).checked_sub(now) {
        Some(left) => BUDGET.min(left.saturating_sub(RESERVE)),
        None => BUDGET,
    }
}

/// The form the gateway takes an answer in.
fn for_the_gateway(response: Response) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.is_base64_encoded = matches!(body, Body::Binary(_));
    answer.status_code = parts.status.as_u16().into();
    answer.headers = parts.headers;
    answer.body = Some(body);
    answer
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{no_content, request::tests::request};

    async fn body_of(response: Response) -> Value {
        let Body::Text(text) = response.into_body() else { panic!("a text is expected") };
        serde_json::from_str(&text).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + BUDGET
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing_and_the_next_request_is_served() {
        async fn panics_once(calls: &std::sync::atomic::AtomicU32, _: &Request) -> Result<Response, Problem> {
            match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => panic!("secret"),
                _ => Ok(no_content()),
            }
        }
        let calls = std::sync::atomic::AtomicU32::new(0);
        let request = request(json!({"requestContext": {"requestId": "r-1"}}));
        let response = respond(&calls, &request, panics_once, soon()).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(
            body_of(response).await,
            json!({
                "type": "about:blank", "title": "Internal Server Error", "status": 500,
                "detail": "Something went wrong on our side.", "request_id": "r-1",
            })
        );
        assert_eq!(respond(&calls, &request, panics_once, soon()).await.status(), 204);
    }

    #[tokio::test]
    async fn a_problem_says_when_to_come_back_in_whole_seconds() {
        async fn throttles((): &(), _: &Request) -> Result<Response, Problem> {
            Err(Problem::TooManyAttempts(Duration::from_millis(1_001)))
        }
        let response = respond(&(), &request(json!({})), throttles, soon()).await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"2".parse().unwrap()));
    }

    #[test]
    fn the_answer_has_the_form_the_gateway_takes() {
        let answer = for_the_gateway(crate::created("/users/1", &json!({"id": 1})));
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(201), &json!(r#"{"id":1}"#)));
        assert_eq!(answer["headers"]["location"], "/users/1");
        assert_eq!(answer["headers"]["cache-control"], "no-store");
        assert_eq!(answer["headers"]["x-content-type-options"], "nosniff");
        assert_eq!(answer["isBase64Encoded"], false);

        let binary = for_the_gateway(Response::new(Body::Binary(b"\x1f\x8b".to_vec())));
        let binary = serde_json::to_value(binary).unwrap();
        assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("H4s="), &json!(true)));
    }

    #[test]
    fn a_request_ends_before_lambda_ends_it() {
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let budget_of_3_s = budget(now + 3_000);
        assert!(budget_of_3_s > Duration::from_secs(2) && budget_of_3_s <= Duration::from_millis(2_500));
        assert_eq!(budget(now + 60_000), BUDGET);
        assert_eq!(budget(600_000), BUDGET, "a number that is no deadline");
    }
}
