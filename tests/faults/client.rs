//! A client that writes, and records what is possible for each of its tasks and accounts.

mod accounts;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, Reply, User},
    database::column,
};
use tokio::time::sleep;

use crate::{
    history::{Anomalies, History, State},
    workload::Counters,
};

/// The page size of the lists between the writes.
const PAGE: usize = 10;

/// A client's refresh token.
#[derive(Clone)]
struct RefreshToken {
    text: String,
    /// When it was first used without an answer. The database may have replaced it.
    used: Option<Instant>,
}

/// One user, who sends one request after the other.
#[derive(Clone)]
pub(crate) struct Client {
    user: User,
    refresh_token: RefreshToken,
    email: History,
    tasks: BTreeMap<usize, Task>,
    /// Further accounts of this client, by their addresses.
    accounts: BTreeMap<String, History>,
    pub(crate) anomalies: Anomalies,
    pub(crate) unexpected: Vec<String>,
}

/// A task, or an attempt to create it. Its description is its number and never changes.
#[derive(Clone)]
struct Task {
    id: Option<String>,
    history: History,
}

impl Client {
    pub(crate) async fn sign_up(api: &Api, count: usize) -> Vec<Self> {
        let users = join_all((0..count).map(async |_| {
            let user = api.user().await;
            let session = api.sign_in(&user.email, PASSWORD).await.expect(200);
            (User { token: session.token(), ..user }, session.refresh_token())
        }))
        .await;
        let client = |(user, text): (User, String)| Self {
            email: History::after(&user.email),
            user,
            refresh_token: RefreshToken { text, used: None },
            tasks: BTreeMap::new(),
            accounts: BTreeMap::new(),
            anomalies: Anomalies::default(),
            unexpected: Vec::new(),
        };
        users.into_iter().map(client).collect()
    }

    /// Signs in as soon as that is possible, and goes on.
    pub(crate) async fn resume(mut self, counters: Arc<Counters>) -> Self {
        while !counters.stop() && !self.sign_in_again(&counters).await {
            sleep(Duration::from_millis(100)).await;
        }
        self.run(counters).await
    }

    pub(crate) async fn run(mut self, counters: Arc<Counters>) -> Self {
        while !counters.stop() {
            let number = self.tasks.len();
            self.create(number, &counters).await;
            // Writes in quick succession: a late one could revert or resurrect something.
            if number.is_multiple_of(2) {
                for time in 1..=3 {
                    self.rename(number, time, &counters).await;
                }
            } else {
                self.delete(number, &counters).await;
            }
            if number.is_multiple_of(3) {
                self.list(&counters).await;
            }
            if number.is_multiple_of(4) {
                self.delete(number / 2, &counters).await;
            }
            if number % 6 == 5 {
                self.refresh(&counters).await;
            }
            // Less often, as bcrypt is slow.
            match number % 24 {
                8 => self.change_email(&counters).await,
                16 => self.create_and_delete_account(&counters).await,
                _ => {}
            }
        }
        self
    }

    fn request(&self, method: Method, rest: &str) -> RequestBuilder {
        self.user.request(method, rest)
    }

    /// Creates a task; every other one twice under an `Idempotency-Key`.
    async fn create(&mut self, number: usize, counters: &Counters) {
        let title = format!("task {number}");
        let key = number.is_multiple_of(2).then(|| format!("key-{number}"));
        let mut task = Task { id: None, history: History::before(&title) };
        counters.creates.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=key.iter().len() {
            let mut request = self.request(Method::POST, "/tasks");
            if let Some(key) = &key {
                request = request.header("idempotency-key", key);
            }
            let body = json!({"title": title, "description": number.to_string()});
            let Some(reply) = counters.send(request.json(&body)).await else { continue };
            match reply.status {
                201 if !task.history.is_certain() => task.acknowledge(&reply, Some(title.clone())),
                200 if key.is_some() => task.acknowledge(&reply, Some(title.clone())),
                _ => self.unexpected.push(format!("task {number} was created with {reply:?}")),
            }
        }
        self.tasks.insert(number, task);
    }

    /// How many tasks and accounts it knows of.
    pub(crate) fn count(&self) -> usize {
        self.tasks.len() + self.accounts.len() + 1
    }

    async fn rename(&mut self, number: usize, time: u32, counters: &Counters) {
        let title = format!("task {number}, renamed {time}");
        self.change(number, Method::PUT, Some(title), counters).await;
    }

    async fn delete(&mut self, number: usize, counters: &Counters) {
        self.change(number, Method::DELETE, None, counters).await;
    }

    /// Changes a task's title, or deletes it.
    async fn change(&mut self, number: usize, method: Method, state: State, counters: &Counters) {
        let Some(id) = self.tasks.get(&number).and_then(|task| task.id.clone()) else { return };
        let mut request = self.request(method, &format!("/tasks/{id}"));
        if let Some(title) = &state {
            request = request.json(&json!({ "title": title }));
        }
        let reply = counters.send(request).await;
        let Some(task) = self.tasks.get_mut(&number) else { return };
        let history = &mut task.history;
        let Some(reply) = reply else {
            history.possible.push(state);
            return;
        };
        match reply.status {
            200 | 204 if history.may_exist() => task.acknowledge(&reply, state),
            // A retried deletion cannot tell that another one had deleted the task.
            204 => history.acknowledge(state),
            403 if history.possible.contains(&None) => history.acknowledge(None),
            _ => self.unexpected.push(format!("task {number}, {history:?}, became {state:?} with {reply:?}")),
        }
    }

    /// Lists the newest tasks, and compares them with what is possible.
    async fn list(&mut self, counters: &Counters) {
        let request = self.request(Method::GET, &format!("/tasks?limit={PAGE}"));
        let Some(reply) = counters.send(request).await else { return };
        let rows = reply.body.as_array().cloned().unwrap_or_default();
        let seen = rows.iter().map(|task| {
            assert_eq!(task["user_id"], self.user.id.as_str(), "another user's task");
            (task["description"].as_str().and_then(|text| text.parse().ok()).unwrap(), task["title"].as_str().unwrap())
        });
        let seen: Vec<(usize, &str)> = seen.collect();
        let oldest = if seen.len() < PAGE { 0 } else { seen.iter().map(|(number, _)| *number).min().unwrap() };
        let seen = seen.into_iter().map(|(number, title)| (number, title.to_owned())).collect();
        self.compare(seen, oldest);
    }

    /// Compares what was seen with what is possible for the tasks from number `oldest` on.
    fn compare(&mut self, seen: Vec<(usize, String)>, oldest: usize) {
        let mut states: BTreeMap<usize, Vec<State>> = BTreeMap::new();
        for (number, title) in seen {
            states.entry(number).or_default().push(Some(title));
        }
        for (number, task) in self.tasks.range_mut(oldest..) {
            let states = states.remove(number).unwrap_or_else(|| vec![None]);
            let anomaly = match &states[..] {
                [state] => task.history.check(state),
                _ => Some(Anomalies { doubled: 1, ..Anomalies::default() }),
            };
            if let Some(anomaly) = anomaly {
                self.anomalies += anomaly;
                self.unexpected.push(format!("{anomaly:?}: task {number} is {states:?}, {:?}", task.history));
            }
        }
        for (number, states) in states {
            self.unexpected.push(format!("task {number} is {states:?}, but was never created"));
        }
    }

    /// Compares what is in the database with what is possible.
    pub(crate) async fn verify(&mut self, database: &tokio_postgres::Client) {
        let sql = format!("SELECT description, title FROM tasks WHERE user_id = '{}'", self.user.id);
        let rows = database.query_typed(&sql, &[]).await.unwrap();
        let seen = rows.iter().map(|row| (row.get::<_, String>(0).parse().unwrap(), row.get(1))).collect();
        self.compare(seen, 0);

        let email = async |condition: &str| {
            let rows = column(database, &format!("SELECT email FROM users WHERE {condition}")).await.unwrap();
            rows.into_iter().next()
        };
        let own = email(&format!("id = '{}'", self.user.id)).await;
        let mut found = vec![(own, &mut self.email)];
        for (address, history) in &mut self.accounts {
            found.push((email(&format!("email = '{address}'")).await, history));
        }
        for (state, history) in found {
            if let Some(anomaly) = history.check(&state) {
                self.anomalies += anomaly;
                self.unexpected.push(format!("{anomaly:?}: an account is {state:?}, {history:?}"));
            }
        }
    }
}

impl Task {
    fn acknowledge(&mut self, reply: &Reply, state: State) {
        self.history.acknowledge(state);
        if let Some(id) = reply.body["id"].as_str() {
            assert!(self.id.as_deref().is_none_or(|known| known == id), "one key, two tasks: {reply:?}");
            self.id = Some(id.to_owned());
        }
    }
}
