//! What clients do all day, and what they remember of it: every acknowledged write, and every write that may have
//! been carried out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, Reply, User, reply};
use tokio::task::JoinHandle;

/// How many tasks are looked at while others are made.
const PAGE: usize = 10;

/// Numbers of all clients together.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) requests: AtomicUsize,
    pub(crate) creates: AtomicUsize,
    pub(crate) unavailable: AtomicUsize,
    stop: AtomicBool,
}

/// Clients at work.
pub(crate) struct Work {
    pub(crate) figures: Arc<Figures>,
    clients: Vec<JoinHandle<Client>>,
}

impl Work {
    /// Sets the clients to work.
    pub(crate) fn start(clients: Vec<Client>) -> Self {
        let figures = Arc::new(Figures::default());
        let clients = clients.into_iter().map(|client| tokio::spawn(client.work(Arc::clone(&figures)))).collect();
        Self { figures, clients }
    }

    /// Whether a client has come to grief, so that this will not go on.
    pub(crate) fn has_failed(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Lets every client finish what it is doing.
    pub(crate) async fn finish(self) -> (Vec<Client>, Arc<Figures>) {
        self.figures.stop.store(true, Ordering::SeqCst);
        (join_all(self.clients).await.into_iter().map(|client| client.expect("a client")).collect(), self.figures)
    }
}

/// One user, who does one thing after the other.
pub(crate) struct Client {
    user: User,
    tasks: BTreeMap<usize, Task>,
    /// What should not have been seen.
    pub(crate) surprises: Vec<String>,
}

/// A task the client has asked for. Its number is its description, which never changes.
struct Task {
    id: Option<String>,
    /// What it may be by now: one thing after an acknowledged write, more after writes that were not.
    may_be: Vec<State>,
}

/// Its title, or `None` when there is no such task.
type State = Option<String>;

impl Client {
    /// New users.
    pub(crate) async fn sign_up(api: &Api, count: usize) -> Vec<Self> {
        let users = join_all((0..count).map(|_| api.user())).await;
        users.into_iter().map(|user| Self { user, tasks: BTreeMap::new(), surprises: Vec::new() }).collect()
    }

    async fn work(mut self, figures: Arc<Figures>) -> Self {
        while !figures.stop.load(Ordering::SeqCst) {
            let number = self.tasks.len();
            self.create(number, &figures).await;
            if number.is_multiple_of(2) {
                self.rename(number, &figures).await;
            }
            if number.is_multiple_of(3) {
                self.list(&figures).await;
            }
            if number.is_multiple_of(4) {
                self.delete(number / 2, &figures).await;
            }
        }
        self
    }

    /// `None` for a 503, after which there is no knowing what has been done.
    async fn ask(
        &self,
        method: Method,
        rest: &str,
        key: Option<&str>,
        body: Option<Value>,
        figures: &Figures,
    ) -> Option<Reply> {
        let mut request = self.user.api.request(method, &self.user.path(rest)).bearer_auth(&self.user.token);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        figures.requests.fetch_add(1, Ordering::SeqCst);
        let reply = reply(request).await;
        if reply.status == 503 {
            figures.unavailable.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        Some(reply)
    }

    /// Every other one with a key, under which a client asks again when it got no answer, or twice anyway.
    async fn create(&mut self, number: usize, figures: &Figures) {
        let (title, key) = (format!("task {number}"), format!("key {number}"));
        let key = number.is_multiple_of(2).then(|| key.replace(' ', "-"));
        let body = json!({"title": title, "description": number.to_string()});
        let mut task = Task { id: None, may_be: vec![None, Some(title.clone())] };
        figures.creates.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=key.iter().len() {
            let asked = self.ask(Method::POST, "/tasks", key.as_deref(), Some(body.clone()), figures).await;
            let Some(reply) = asked else { continue };
            let is_first = task.may_be.len() > 1;
            match reply.status {
                201 if is_first => task.acknowledge(&reply, Some(title.clone())),
                200 if key.is_some() => task.acknowledge(&reply, Some(title.clone())),
                _ => self.surprises.push(format!("task {number} was created with {reply:?}")),
            }
        }
        self.tasks.insert(number, task);
    }

    async fn rename(&mut self, number: usize, figures: &Figures) {
        let title = format!("task {number}, renamed");
        self.change(number, Method::PUT, Some(title), figures).await;
    }

    async fn delete(&mut self, number: usize, figures: &Figures) {
        self.change(number, Method::DELETE, None, figures).await;
    }

    /// Brings a task into a state.
    async fn change(&mut self, number: usize, method: Method, state: State, figures: &Figures) {
        let Some(id) = self.tasks.get(&number).and_then(|task| task.id.clone()) else { return };
        let body = state.as_ref().map(|title| json!({ "title": title }));
        let reply = self.ask(method, &format!("/tasks/{id}"), None, body, figures).await;
        let Some(task) = self.tasks.get_mut(&number) else { return };
        let Some(reply) = reply else {
            task.may_be.push(state);
            return;
        };
        match reply.status {
            200 | 204 if task.may_be.iter().any(Option::is_some) => task.acknowledge(&reply, state),
            403 if task.may_be.contains(&None) => task.may_be = vec![None],
            _ => self.surprises.push(format!("task {number}, {:?}, became {state:?} with {reply:?}", task.may_be)),
        }
    }

    /// The newest tasks are those that were created last, each as it was left, and nobody else's.
    async fn list(&mut self, figures: &Figures) {
        let Some(reply) = self.ask(Method::GET, &format!("/tasks?limit={PAGE}"), None, None, figures).await else {
            return;
        };
        let rows = reply.body.as_array().cloned().unwrap_or_default();
        let seen = rows.iter().map(|task| {
            assert_eq!(task["user_id"], self.user.id.as_str(), "somebody else's task");
            (task["description"].as_str().and_then(|text| text.parse().ok()).unwrap(), task["title"].as_str().unwrap())
        });
        let seen: Vec<(usize, &str)> = seen.collect();
        let oldest = if seen.len() < PAGE { 0 } else { seen.iter().map(|(number, _)| *number).min().unwrap() };
        let seen = seen.into_iter().map(|(number, title)| (number, title.to_owned())).collect();
        self.compare(seen, oldest);
    }

    /// Compares tasks with what is remembered of all from number `oldest` on; how many were lost and doubled.
    fn compare(&mut self, seen: Vec<(usize, String)>, oldest: usize) -> (usize, usize) {
        let (mut lost, mut doubled) = (0, 0);
        let mut states: BTreeMap<usize, Vec<State>> = BTreeMap::new();
        for (number, title) in seen {
            states.entry(number).or_default().push(Some(title));
        }
        for (number, task) in self.tasks.range(oldest..) {
            let states = states.remove(number).unwrap_or_else(|| vec![None]);
            let is_double = states.len() > 1;
            if is_double || !task.may_be.contains(&states[0]) {
                if is_double {
                    doubled += 1
                } else {
                    lost += 1
                }
                self.surprises.push(format!("task {number} is {states:?} and can only be one of {:?}", task.may_be));
            }
        }
        for (number, states) in states {
            self.surprises.push(format!("task {number} is {states:?}, and nobody has asked for it"));
        }
        (lost, doubled)
    }

    /// Compares what the database holds with what it must hold; how many tasks were lost and doubled.
    pub(crate) async fn verify(&mut self, database: &tokio_postgres::Client) -> (usize, usize) {
        let sql = format!("SELECT description, title FROM tasks WHERE user_id = '{}'", self.user.id);
        let rows = database.query_typed(&sql, &[]).await.unwrap();
        let seen = rows.iter().map(|row| (row.get::<_, String>(0).parse().unwrap(), row.get(1))).collect();
        self.compare(seen, 0)
    }
}

impl Task {
    fn acknowledge(&mut self, reply: &Reply, state: State) {
        self.may_be = vec![state];
        if let Some(id) = reply.body["id"].as_str() {
            assert!(self.id.as_deref().is_none_or(|known| known == id), "one key, two tasks: {reply:?}");
            self.id = Some(id.to_owned());
        }
    }
}
