//! Clients that write, and record for each task and account which states are possible: what was acknowledged, what may
//! have been done, and what it replaced.

use std::{
    collections::BTreeMap,
    ops::AddAssign,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, reply},
    database::column,
};
use tokio::task::JoinHandle;

/// The page size of the lists between the writes.
const PAGE: usize = 10;

/// A refresh token can be used again for a minute; less the time that a clock may be off.
const RETRIES: Duration = Duration::from_secs(50);

/// Of all clients together.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicUsize,
    pub(crate) creates: AtomicUsize,
    pub(crate) unavailable: AtomicUsize,
    stop: AtomicBool,
}

impl Counters {
    /// `None` for a 503: the write may have been done or not.
    async fn send(&self, request: RequestBuilder) -> Option<Reply> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let reply = reply(request).await;
        if reply.status == 503 {
            self.unavailable.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        Some(reply)
    }
}

pub(crate) struct Workload {
    pub(crate) counters: Arc<Counters>,
    clients: Vec<JoinHandle<Client>>,
}

impl Workload {
    pub(crate) fn start(clients: Vec<Client>) -> Self {
        let counters = Arc::new(Counters::default());
        let clients = clients.into_iter().map(|client| tokio::spawn(client.run(Arc::clone(&counters)))).collect();
        Self { counters, clients }
    }

    /// Whether a client has panicked.
    pub(crate) fn has_failed(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Stops every client after its current round.
    pub(crate) async fn finish(self) -> (Vec<Client>, Arc<Counters>) {
        self.counters.stop.store(true, Ordering::SeqCst);
        (join_all(self.clients).await.into_iter().map(|client| client.expect("a client")).collect(), self.counters)
    }
}

/// How often something happened that must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anomalies {
    /// An acknowledged write is missing.
    pub(crate) lost: usize,
    /// Something exists twice.
    pub(crate) doubled: usize,
    /// A state that an acknowledged write has replaced is back.
    pub(crate) reverted: usize,
    /// Something deleted is back.
    pub(crate) resurrected: usize,
}

impl AddAssign for Anomalies {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reverted += other.reverted;
        self.resurrected += other.resurrected;
    }
}

/// A task's title or an account's e-mail address; `None` if there is no such task or account. Every title and address
/// is used once.
type State = Option<String>;

/// The states of one task or account.
#[derive(Debug)]
struct History {
    /// Its possible states: one after an acknowledged write, more after others.
    possible: Vec<State>,
    /// The states that acknowledged writes have replaced.
    replaced: Vec<State>,
}

impl History {
    /// Of something that is about to be created.
    fn before(created: &str) -> Self {
        Self { possible: vec![None, Some(created.to_owned())], replaced: Vec::new() }
    }

    fn acknowledge(&mut self, state: State) {
        self.replaced.extend(self.possible.drain(..).filter(|before| *before != state));
        self.possible.push(state);
    }

    fn is_certain(&self) -> bool {
        self.possible.len() == 1
    }

    fn may_exist(&self) -> bool {
        self.possible.iter().any(Option::is_some)
    }

    /// Checks an observed state. An impossible one is possible from now on, so that it is counted once.
    fn check(&mut self, seen: &State) -> Option<Anomalies> {
        if self.possible.contains(seen) {
            return None;
        }
        let anomaly = match seen {
            Some(_) if !self.may_exist() => Anomalies { resurrected: 1, ..Anomalies::default() },
            Some(_) if self.replaced.contains(seen) => Anomalies { reverted: 1, ..Anomalies::default() },
            _ => Anomalies { lost: 1, ..Anomalies::default() },
        };
        self.possible.push(seen.clone());
        Some(anomaly)
    }
}

/// A client's refresh token.
struct RefreshToken {
    text: String,
    /// When it was first used without an answer. The database may have replaced it.
    used: Option<Instant>,
}

/// One user, who sends one request after the other.
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
            email: History { possible: vec![Some(user.email.clone())], replaced: Vec::new() },
            user,
            refresh_token: RefreshToken { text, used: None },
            tasks: BTreeMap::new(),
            accounts: BTreeMap::new(),
            anomalies: Anomalies::default(),
            unexpected: Vec::new(),
        };
        users.into_iter().map(client).collect()
    }

    async fn run(mut self, counters: Arc<Counters>) -> Self {
        while !counters.stop.load(Ordering::SeqCst) {
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

    /// Refreshes the session, twice with the same token, as if the first answer was lost. No retry within a minute may end
    /// the session, nor give another successor.
    async fn refresh(&mut self, counters: &Counters) {
        let RefreshToken { text, used } = &mut self.refresh_token;
        let begun = *used.get_or_insert_with(Instant::now);
        let mut successor = None;
        for _ in 0..2 {
            let request = self.user.api.request(Method::POST, "/users/token");
            let Some(reply) = counters.send(request.json(&json!({ "refresh_token": text }))).await else { continue };
            if reply.status != 200 {
                // A machine that is slower than a minute proves nothing.
                if begun.elapsed() < RETRIES {
                    self.unexpected.push(format!("a refresh, begun {:?} ago, got {reply:?}", begun.elapsed()));
                }
                return self.sign_in_again(counters).await;
            }
            let token = reply.refresh_token();
            if successor.as_ref().is_some_and(|known| *known != token) && begun.elapsed() < RETRIES {
                self.unexpected.push("one refresh token got two successors".to_owned());
            }
            self.user.token = reply.token();
            successor = Some(token);
        }
        if let Some(text) = successor {
            self.refresh_token = RefreshToken { text, used: None };
        }
    }

    async fn sign_in_again(&mut self, counters: &Counters) {
        for email in self.email.possible.iter().flatten() {
            let credentials = json!({"email": email, "password": PASSWORD});
            let request = self.user.api.request(Method::POST, "/users/signin").json(&credentials);
            if let Some(session) = counters.send(request).await.filter(|reply| reply.status == 200) {
                self.user.token = session.token();
                self.refresh_token = RefreshToken { text: session.refresh_token(), used: None };
            }
        }
    }

    /// Changes the account's e-mail address, twice.
    async fn change_email(&mut self, counters: &Counters) {
        for email in [fresh_email(), fresh_email()] {
            let change = json!({"current_password": PASSWORD, "email": email});
            let reply = counters.send(self.request(Method::PUT, "").json(&change)).await;
            match reply.map(|reply| reply.status) {
                Some(200) => self.email.acknowledge(Some(email)),
                None => self.email.possible.push(Some(email)),
                Some(status) => self.unexpected.push(format!("the address was changed with {status}")),
            }
        }
    }

    /// Creates another account and deletes it.
    async fn create_and_delete_account(&mut self, counters: &Counters) {
        let email = fresh_email();
        let mut history = History::before(&email);
        let credentials = json!({"email": email, "password": PASSWORD});
        let post = |path: &str| self.user.api.request(Method::POST, path).json(&credentials);
        let mut unexpected = Vec::new();
        let mut expect = |what: &str, status: u16, reply: Option<Reply>| {
            let reply = reply?;
            if reply.status == status {
                return Some(reply.body);
            }
            unexpected.push(format!("{what} an account got {reply:?}"));
            None
        };
        if expect("creating", 201, counters.send(post("/users/signup")).await).is_some() {
            history.acknowledge(Some(email.clone()));
            if let Some(session) = expect("signing in to", 200, counters.send(post("/users/signin")).await) {
                let [id, token] = ["user_id", "token"].map(|member| session[member].as_str().unwrap());
                let delete = self.user.api.request(Method::DELETE, &format!("/users/{id}")).bearer_auth(token);
                history.possible.push(None);
                if expect("deleting", 204, counters.send(delete).await).is_some() {
                    history.acknowledge(None);
                }
            }
        }
        self.unexpected.append(&mut unexpected);
        self.accounts.insert(email, history);
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
