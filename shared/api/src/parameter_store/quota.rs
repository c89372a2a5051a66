//! Functions that start together, against the Parameter Store's quota. The retries are the SDK's; time passes only when
//! all functions wait.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
};

use aws_sdk_ssm::config::{AsyncSleep, Credentials, Region, Sleep, http::HttpResponse, retry::RetryPartition};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::HttpRequest,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::oneshot, task::unconstrained};

use super::*;

/// Calls a second, for an account in a region, without higher throughput. A second's calls may come at once.
const QUOTA: f64 = 40.0;

/// A store in a time of its own.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Duration,
    /// Who waits until when.
    waiting: BTreeMap<Duration, Vec<oneshot::Sender<()>>>,
    /// When each call came.
    calls: Vec<Duration>,
    /// How much of the quota is used, and when that was.
    used: (f64, Duration),
}

impl State {
    /// Lets time pass until a wait is over. Timeouts of what has happened before them do not count.
    fn pass(&mut self) {
        while let Some((until, mut waiting)) = self.waiting.pop_first() {
            waiting.retain(|sender| !sender.is_closed());
            if !waiting.is_empty() {
                self.now = until;
                return waiting.into_iter().for_each(|sender| sender.send(()).unwrap());
            }
        }
    }

    fn is_throttled(&mut self) -> bool {
        self.calls.push(self.now);
        let (used, then) = self.used;
        let used = (used - (self.now - then).as_secs_f64() * QUOTA).max(0.0);
        let is_throttled = used + 1.0 > QUOTA;
        self.used = (if is_throttled { used } else { used + 1.0 }, self.now);
        is_throttled
    }
}

impl Store {
    /// A function starts and reads a parameter.
    async fn read(self, function: usize) -> Result<HashMap<String, String>, Error> {
        let connector = SharedHttpConnector::new(self.clone());
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .sleep_impl(self)
            // Processes do not share the SDK's allowance for retries.
            .retry_partition(RetryPartition::new(function.to_string()));
        get(&client(config), vec!["/x".to_owned()]).await
    }

    /// How many of the functions that start together get the parameter.
    async fn read_by(&self, functions: usize) -> usize {
        let mut reads: FuturesUnordered<_> = (0..functions).map(|function| self.clone().read(function)).collect();
        let mut successes = 0;
        // Unconstrained, since what yields to the runtime would seem to wait.
        unconstrained(poll_fn(|context| {
            loop {
                match reads.poll_next_unpin(context) {
                    Poll::Ready(Some(read)) => successes += usize::from(read.is_ok_and(|values| values["/x"] == "y")),
                    Poll::Ready(None) => return Poll::Ready(successes),
                    Poll::Pending => self.0.lock().unwrap().pass(),
                }
            }
        }))
        .await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl AsyncSleep for Store {
    fn sleep(&self, duration: Duration) -> Sleep {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.0.lock().unwrap();
        let until = state.now + duration;
        state.waiting.entry(until).or_default().push(sender);
        Sleep::new(async move { receiver.await.unwrap() })
    }
}

impl HttpConnector for Store {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = if self.0.lock().unwrap().is_throttled() {
            (400, r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#)
        } else {
            (200, r#"{"Parameters": [{"Name": "/x", "Value": "y"}]}"#)
        };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body.into())))
    }
}

#[tokio::test]
async fn a_function_that_starts_alone_waits_for_nothing() {
    let store = Store::default();
    assert_eq!(store.read_by(1).await, 1);
    assert_eq!(store.0.lock().unwrap().calls, [Duration::ZERO]);
}

#[tokio::test]
async fn three_hundred_functions_can_start_together() {
    let store = Store::default();
    assert_eq!(store.read_by(300).await, 300);
}

#[tokio::test]
async fn functions_that_are_throttled_together_come_back_one_by_one() {
    let store = Store::default();
    store.read_by(300).await;
    let calls = &store.0.lock().unwrap().calls[300..];
    let in_tenth = |tenth: u128| calls.iter().filter(|call| call.as_millis() / 100 == tenth).count();
    // 260 functions come back, and some of them twice.
    let of_first_second: Vec<_> = (0..10).map(in_tenth).collect();
    assert!(of_first_second.iter().all(|calls| (5..120).contains(calls)), "{of_first_second:?}");
}
