//! Clients at work, and what they count together.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use tests::api::{Reply, reply};
use tokio::{task::JoinHandle, time::sleep};

use crate::client::Client;

/// Of all clients together.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicUsize,
    pub(crate) creates: AtomicUsize,
    /// Acknowledged writes.
    pub(crate) writes: AtomicUsize,
    pub(crate) unavailable: AtomicUsize,
    /// Requests of clients that are signed out, and sign-ins that failed.
    pub(crate) refused: AtomicUsize,
    /// The longest request, in milliseconds.
    longest: AtomicU64,
    /// The numbers of the requests that have no answer yet.
    unanswered: Mutex<BTreeSet<usize>>,
    stop: AtomicBool,
}

impl Counters {
    /// `None` for a 503: the write may have been done or not.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Option<Reply> {
        let number = self.number();
        let method = request.try_clone().and_then(|copy| Some(copy.build().ok()?.method().clone()));
        let begun = Instant::now();
        let reply = reply(request).await;
        self.unanswered.lock().unwrap().remove(&number);
        self.longest.fetch_max(u64::try_from(begun.elapsed().as_millis()).unwrap(), Ordering::SeqCst);
        match reply.status {
            503 => {
                self.unavailable.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            401 | 429 => _ = self.refused.fetch_add(1, Ordering::SeqCst),
            200..300 if method != Some(Method::GET) => _ = self.writes.fetch_add(1, Ordering::SeqCst),
            _ => {}
        }
        Some(reply)
    }

    /// The number of a request that is about to be sent.
    fn number(&self) -> usize {
        let mut unanswered = self.unanswered.lock().unwrap();
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        unanswered.insert(number);
        number
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.longest.load(Ordering::SeqCst))
    }

    /// Whether the clients are to stop.
    pub(crate) fn stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

pub(crate) struct Workload {
    pub(crate) counters: Arc<Counters>,
    clients: Vec<JoinHandle<Client>>,
}

impl Workload {
    pub(crate) fn start(clients: Vec<Client>) -> Self {
        Self::run(clients, Client::run)
    }

    /// Starts clients that are signed out: each goes on when it can sign in.
    pub(crate) fn resume(clients: Vec<Client>) -> Self {
        Self::run(clients, Client::resume)
    }

    fn run<F>(clients: Vec<Client>, run: impl Fn(Client, Arc<Counters>) -> F) -> Self
    where
        F: Future<Output = Client> + Send + 'static,
    {
        let counters = Arc::new(Counters::default());
        let clients = clients.into_iter().map(|client| tokio::spawn(run(client, Arc::clone(&counters)))).collect();
        Self { counters, clients }
    }

    /// Whether a client has panicked.
    pub(crate) fn has_failed(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Waits until each request that has been sent by now has its answer.
    pub(crate) async fn until_answered(&self) {
        let sent = self.counters.requests.load(Ordering::SeqCst);
        let is_answered = || self.counters.unanswered.lock().unwrap().first().is_none_or(|&oldest| oldest >= sent);
        while !is_answered() && !self.has_failed() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops every client after its current round.
    pub(crate) async fn finish(self) -> (Vec<Client>, Arc<Counters>) {
        self.counters.stop.store(true, Ordering::SeqCst);
        (join_all(self.clients).await.into_iter().map(|client| client.expect("a client")).collect(), self.counters)
    }
}
