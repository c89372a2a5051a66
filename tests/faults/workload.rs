//! What clients do all day, and what they remember of it: every acknowledged write, every write that may have been
//! carried out, and what either has replaced.

use std::{
    collections::BTreeMap,
    ops::AddAssign,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, reply},
    database::column,
};
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

impl Figures {
    /// `None` for a 503, after which there is no knowing what has been done.
    async fn ask(&self, request: RequestBuilder) -> Option<Reply> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let reply = reply(request).await;
        if reply.status == 503 {
            self.unavailable.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        Some(reply)
    }
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

/// What must not be, and how often it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Harm {
    /// An acknowledged write is not there.
    pub(crate) lost: usize,
    /// Something is there twice.
    pub(crate) doubled: usize,
    /// What an acknowledged write had replaced is back.
    pub(crate) reverted: usize,
    /// What was deleted is back.
    pub(crate) resurrected: usize,
}

impl AddAssign for Harm {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reverted += other.reverted;
        self.resurrected += other.resurrected;
    }
}

/// A task's title or an account's address, or `None` when there is no such thing. None is there a second time.
type State = Option<String>;

/// The states of one thing.
#[derive(Debug)]
struct History {
    /// What it may be by now: one thing after an acknowledged write, more after writes that were not.
    may_be: Vec<State>,
    /// What acknowledged writes have replaced.
    replaced: Vec<State>,
}

impl History {
    /// Of something that somebody is about to make.
    fn before(made: &str) -> Self {
        Self { may_be: vec![None, Some(made.to_owned())], replaced: Vec::new() }
    }

    fn acknowledge(&mut self, state: State) {
        self.replaced.extend(self.may_be.drain(..).filter(|before| *before != state));
        self.may_be.push(state);
    }

    fn is_certain(&self) -> bool {
        self.may_be.len() == 1
    }

    fn may_exist(&self) -> bool {
        self.may_be.iter().any(Option::is_some)
    }

    /// What harm has been done if it is in this state, which from here on it may be.
    fn harm(&mut self, seen: &State) -> Option<Harm> {
        if self.may_be.contains(seen) {
            return None;
        }
        let harm = match seen {
            Some(_) if !self.may_exist() => Harm { resurrected: 1, ..Harm::default() },
            Some(_) if self.replaced.contains(seen) => Harm { reverted: 1, ..Harm::default() },
            _ => Harm { lost: 1, ..Harm::default() },
        };
        self.may_be.push(seen.clone());
        Some(harm)
    }
}

/// One user, who does one thing after the other.
pub(crate) struct Client {
    user: User,
    email: History,
    tasks: BTreeMap<usize, Task>,
    /// Other accounts this client has had, each by its address.
    accounts: BTreeMap<String, History>,
    /// What has been found to be wrong.
    pub(crate) harm: Harm,
    /// What should not have been seen.
    pub(crate) surprises: Vec<String>,
}

/// A task the client has asked for. Its number is its description, which never changes.
struct Task {
    id: Option<String>,
    history: History,
}

impl Client {
    /// New users.
    pub(crate) async fn sign_up(api: &Api, count: usize) -> Vec<Self> {
        let users = join_all((0..count).map(|_| api.user())).await;
        let client = |user: User| Self {
            email: History { may_be: vec![Some(user.email.clone())], replaced: Vec::new() },
            user,
            tasks: BTreeMap::new(),
            accounts: BTreeMap::new(),
            harm: Harm::default(),
            surprises: Vec::new(),
        };
        users.into_iter().map(client).collect()
    }

    async fn work(mut self, figures: Arc<Figures>) -> Self {
        while !figures.stop.load(Ordering::SeqCst) {
            let number = self.tasks.len();
            self.create(number, &figures).await;
            // One write on the other's heels: what of the first comes late has something to spoil.
            if number.is_multiple_of(2) {
                for time in 1..=3 {
                    self.rename(number, time, &figures).await;
                }
            } else {
                self.delete(number, &figures).await;
            }
            if number.is_multiple_of(3) {
                self.list(&figures).await;
            }
            if number.is_multiple_of(4) {
                self.delete(number / 2, &figures).await;
            }
            // Passwords are slow.
            match number % 24 {
                8 => self.move_house(&figures).await,
                16 => self.come_and_go(&figures).await,
                _ => {}
            }
        }
        self
    }

    fn request(&self, method: Method, rest: &str) -> RequestBuilder {
        self.user.api.request(method, &self.user.path(rest)).bearer_auth(&self.user.token)
    }

    /// Every other one with a key, under which a client asks again when it got no answer, or twice anyway.
    async fn create(&mut self, number: usize, figures: &Figures) {
        let title = format!("task {number}");
        let key = number.is_multiple_of(2).then(|| format!("key-{number}"));
        let mut task = Task { id: None, history: History::before(&title) };
        figures.creates.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=key.iter().len() {
            let mut request = self.request(Method::POST, "/tasks");
            if let Some(key) = &key {
                request = request.header("idempotency-key", key);
            }
            let body = json!({"title": title, "description": number.to_string()});
            let Some(reply) = figures.ask(request.json(&body)).await else { continue };
            match reply.status {
                201 if !task.history.is_certain() => task.acknowledge(&reply, Some(title.clone())),
                200 if key.is_some() => task.acknowledge(&reply, Some(title.clone())),
                _ => self.surprises.push(format!("task {number} was created with {reply:?}")),
            }
        }
        self.tasks.insert(number, task);
    }

    /// Changes the address of the account, twice.
    async fn move_house(&mut self, figures: &Figures) {
        for email in [fresh_email(), fresh_email()] {
            let change = json!({"current_password": PASSWORD, "email": email});
            let reply = figures.ask(self.request(Method::PUT, "").json(&change)).await;
            match reply.map(|reply| reply.status) {
                Some(200) => self.email.acknowledge(Some(email)),
                None => self.email.may_be.push(Some(email)),
                Some(status) => self.surprises.push(format!("the address was changed with {status}")),
            }
        }
    }

    /// Makes another account and deletes it.
    async fn come_and_go(&mut self, figures: &Figures) {
        let email = fresh_email();
        let mut history = History::before(&email);
        let credentials = json!({"email": email, "password": PASSWORD});
        let post = |path: &str| self.user.api.request(Method::POST, path).json(&credentials);
        let mut surprises = Vec::new();
        let mut known = |what: &str, status: u16, reply: Option<Reply>| {
            let reply = reply?;
            if reply.status == status {
                return Some(reply.body);
            }
            surprises.push(format!("{what} an account got {reply:?}"));
            None
        };
        if known("making", 201, figures.ask(post("/users/signup")).await).is_some() {
            history.acknowledge(Some(email.clone()));
            if let Some(session) = known("entering", 200, figures.ask(post("/users/signin")).await) {
                let [id, token] = ["user_id", "token"].map(|member| session[member].as_str().unwrap());
                let delete = self.user.api.request(Method::DELETE, &format!("/users/{id}")).bearer_auth(token);
                history.may_be.push(None);
                if known("deleting", 204, figures.ask(delete).await).is_some() {
                    history.acknowledge(None);
                }
            }
        }
        self.surprises.append(&mut surprises);
        self.accounts.insert(email, history);
    }

    async fn rename(&mut self, number: usize, time: u32, figures: &Figures) {
        let title = format!("task {number}, renamed {time}");
        self.change(number, Method::PUT, Some(title), figures).await;
    }

    async fn delete(&mut self, number: usize, figures: &Figures) {
        self.change(number, Method::DELETE, None, figures).await;
    }

    /// Brings a task into a state.
    async fn change(&mut self, number: usize, method: Method, state: State, figures: &Figures) {
        let Some(id) = self.tasks.get(&number).and_then(|task| task.id.clone()) else { return };
        let mut request = self.request(method, &format!("/tasks/{id}"));
        if let Some(title) = &state {
            request = request.json(&json!({ "title": title }));
        }
        let reply = figures.ask(request).await;
        let Some(task) = self.tasks.get_mut(&number) else { return };
        let history = &mut task.history;
        let Some(reply) = reply else {
            history.may_be.push(state);
            return;
        };
        match reply.status {
            200 | 204 if history.may_exist() => task.acknowledge(&reply, state),
            // A deletion that is repeated takes what is gone for its own work.
            204 => history.acknowledge(state),
            403 if history.may_be.contains(&None) => history.acknowledge(None),
            _ => self.surprises.push(format!("task {number}, {history:?}, became {state:?} with {reply:?}")),
        }
    }

    /// The newest tasks are those that were created last, each as it was left, and nobody else's.
    async fn list(&mut self, figures: &Figures) {
        let request = self.request(Method::GET, &format!("/tasks?limit={PAGE}"));
        let Some(reply) = figures.ask(request).await else { return };
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

    /// Compares tasks with what is remembered of all from number `oldest` on.
    fn compare(&mut self, seen: Vec<(usize, String)>, oldest: usize) {
        let mut states: BTreeMap<usize, Vec<State>> = BTreeMap::new();
        for (number, title) in seen {
            states.entry(number).or_default().push(Some(title));
        }
        for (number, task) in self.tasks.range_mut(oldest..) {
            let states = states.remove(number).unwrap_or_else(|| vec![None]);
            let harm = match &states[..] {
                [state] => task.history.harm(state),
                _ => Some(Harm { doubled: 1, ..Harm::default() }),
            };
            if let Some(harm) = harm {
                self.harm += harm;
                self.surprises.push(format!("{harm:?}: task {number} is {states:?}, {:?}", task.history));
            }
        }
        for (number, states) in states {
            self.surprises.push(format!("task {number} is {states:?}, and nobody has asked for it"));
        }
    }

    /// Compares what the database holds with what it must hold.
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
            if let Some(harm) = history.harm(&state) {
                self.harm += harm;
                self.surprises.push(format!("{harm:?}: an account is {state:?}, {history:?}"));
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
