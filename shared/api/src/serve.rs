use std::{
    convert::Infallible,
    fmt,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt;
use lambda_http::{
    Body, Context, LambdaEvent,
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::header::{Entry, SET_COOKIE},
    lambda_runtime, service_fn,
};
use serde::Deserialize;

use crate::{
    Error, Problem, Request, Response, State,
    event::Event,
    log::{self, Invocation, Times},
    parameter_store,
};

/// The time budget of a start, less than the 10 s after which Lambda ends it.
const START_BUDGET: Duration = Duration::from_secs(9);

// Time to connect is left when the settings take their longest.
const _: () = assert!(START_BUDGET.as_millis() > parameter_store::TIMEOUT.as_millis());

/// The time budget of a request: shorter than the function's timeout, which is shorter than the gateway's 30 s, and long
/// enough for a restart of the database.
pub const BUDGET: Duration = Duration::from_secs(11);

// Time for a statement is left after three attempts to connect time out.
const _: () = assert!(BUDGET.as_millis() > 3 * db::CONNECT_TIMEOUT.as_millis() + db::STATEMENT_TIMEOUT.as_millis());

/// Reserved before Lambda's deadline, to send the answer.
const RESERVE: Duration = Duration::from_millis(500);

/// An `async fn(&State, &Request) -> Result<Response, Problem>`.
pub trait Handler<'a, S: 'a>: Fn(&'a S, &'a Request) -> Self::Answer + Copy + Send + Sync + 'static {
    type Answer: Future<Output = Result<Response, Problem>> + Send;
}

impl<'a, S: 'a, F, A> Handler<'a, S> for F
where
    F: Fn(&'a S, &'a Request) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<Response, Problem>> + Send,
{
    type Answer = A;
}

/// Starts the function and serves requests until Lambda shuts it down.
///
/// A failure is an error response, never an invocation error, for which the gateway would send a response of its own.
///
/// # Errors
/// A setting that is missing or invalid, or the end of the Lambda runtime.
pub async fn serve<S, H>(handle: H) -> Result<(), Error>
where
    S: State,
    H: for<'a> Handler<'a, S>,
{
    log::start()?;
    let (state, _) = db::with_deadline(Instant::now() + START_BUDGET, S::start()).await;
    let state = Arc::new(state?);
    let service = service_fn(move |invocation: LambdaEvent<Event>| {
        let state = Arc::clone(&state);
        async move {
            let LambdaEvent { payload, context, .. } = invocation;
            Ok::<_, Infallible>(answer(&*state, handle, payload, &context).await)
        }
    });
    lambda_runtime::run_concurrent(service).await.map_err(|error| Error::Runtime(error.to_string()))
}

/// Starts a function that another service than the gateway calls, and hands it events until Lambda shuts it down. When
/// `handle` fails, the invocation does.
///
/// # Errors
/// A setting of the log that is invalid, or the end of the Lambda runtime.
pub async fn listen<E, H, A, F>(handle: H) -> Result<(), Error>
where
    E: for<'de> Deserialize<'de>,
    H: Fn(E) -> A,
    A: Future<Output = Result<(), F>>,
    F: fmt::Display,
{
    log::start()?;
    let service = service_fn(|LambdaEvent { payload, context, .. }: LambdaEvent<E>| {
        let handled = Invocation::new(&context.request_id, &context).scope(handle(payload));
        async { handled.await.map_err(|error| error.to_string()) }
    });
    lambda_runtime::run(service).await.map_err(|error| Error::Runtime(error.to_string()))
}

/// Serves one event without the Lambda runtime, for tests. Event and answer are JSON.
///
/// # Errors
/// `event` is not JSON.
pub async fn invoke<S, H>(state: &S, handle: H, event: &[u8]) -> Result<Vec<u8>, serde_json::Error>
where
    S: State,
    H: for<'a> Handler<'a, S>,
{
    let event = serde_json::from_slice(event)?;
    serde_json::to_vec(&answer(state, handle, event, &Context::default()).await)
}

async fn answer<S, H>(state: &S, handle: H, event: Event, context: &Context) -> ApiGatewayV2httpResponse
where
    S: Sync,
    H: for<'a> Handler<'a, S>,
{
    let deadline = Instant::now() + budget(context.deadline);
    let request = Request::new(event, &context.request_id);
    let invocation = Invocation::new(&request.id, context);
    to_gateway_response(invocation.scope(respond(state, &request, handle, deadline)).await)
}

async fn respond<S, H>(state: &S, request: &Request, handle: H, deadline: Instant) -> Response
where
    S: Sync,
    H: for<'a> Handler<'a, S>,
{
    let started = Instant::now();
    let handled = AssertUnwindSafe(async { handle(state, request).await }).catch_unwind();
    let ((outcome, database), hashing) = auth::time_hashing(db::with_deadline(deadline, handled)).await;
    let (response, problem) = match outcome.unwrap_or_else(|_| Err(Problem::Internal("panic".to_owned()))) {
        Ok(response) => (response, None),
        Err(problem) => (problem.respond(&request.id), Some(problem)),
    };
    let times = Times { whole: started.elapsed(), database, hashing };
    log::request(request, response.status(), problem.as_ref(), &times);
    response
}

/// A request's budget. `deadline` is Lambda's, in milliseconds since 1970.
///
/// A deadline in the past is ignored: `cargo lambda watch` sends the same one with every request, tests send none.
fn budget(deadline: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match Duration::from_millis(deadline).checked_sub(now) {
        Some(left) => BUDGET.min(left.saturating_sub(RESERVE)),
        None => BUDGET,
    }
}

fn to_gateway_response(response: Response) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.is_base64_encoded = matches!(body, Body::Binary(_));
    answer.status_code = parts.status.as_u16().into();
    answer.headers = parts.headers;
    // The gateway takes cookies apart from the headers.
    if let Entry::Occupied(cookies) = answer.headers.entry(SET_COOKIE) {
        let (_, cookies) = cookies.remove_entry_mult();
        answer.cookies = cookies.filter_map(|cookie| cookie.to_str().map(str::to_owned).ok()).collect();
    }
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
                "detail": "Something went wrong on our side.", "code": "internal", "request_id": "r-1",
            })
        );
        assert_eq!(respond(&calls, &request, panics_once, soon()).await.status(), 204);
    }

    #[tokio::test]
    async fn retry_after_is_in_whole_seconds() {
        async fn throttles((): &(), _: &Request) -> Result<Response, Problem> {
            Err(Problem::TooManyAttempts(Duration::from_millis(1_001)))
        }
        let response = respond(&(), &request(json!({})), throttles, soon()).await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"2".parse().unwrap()));
    }

    #[test]
    fn the_answer_has_the_form_the_gateway_takes() {
        let answer = to_gateway_response(crate::created("1", &json!({"id": 1})));
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(201), &json!(r#"{"id":1}"#)));
        assert_eq!(answer["headers"]["location"], "1");
        assert_eq!(answer["headers"]["cache-control"], "no-store");
        assert_eq!(answer["headers"]["x-content-type-options"], "nosniff");
        assert_eq!(answer["isBase64Encoded"], false);

        let binary = to_gateway_response(Response::new(Body::Binary(b"\x1f\x8b".to_vec())));
        let binary = serde_json::to_value(binary).unwrap();
        assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("H4s="), &json!(true)));
    }

    #[test]
    fn a_request_ends_before_lambda_ends_it() {
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let budget_of_3_s = budget(now + 3_000);
        assert!(budget_of_3_s > Duration::from_secs(2) && budget_of_3_s <= Duration::from_millis(2_500));
        assert_eq!(budget(now + 60_000), BUDGET);
        assert_eq!(budget(600_000), BUDGET, "a deadline in the past");
    }
}
