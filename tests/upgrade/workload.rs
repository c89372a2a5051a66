//! Clients that send each request to one of the live releases by chance, and know what has to be answered.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    slice::from_ref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result};
use domain::{Timestamp, Version};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{
    api::{PASSWORD, Reply, fresh_email},
    mail::Mailbox,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::releases::{Account, Call, Release};

const TASKS: &str = "/users/{user_id}/tasks";
const TASK: &str = "/users/{user_id}/tasks/{task_id}";
const USER: &str = "/users/{user_id}";
const SESSIONS: &str = "/users/{user_id}/sessions";
const RESET: &str = "/users/password-reset";

const STATUSES: [&str; 3] = ["pending", "in_progress", "completed"];

/// The size of the page that is read between writes.
const PAGE: usize = 20;

/// A client does something with accounts, or asks for a file, once in so many rounds: hashing a password takes a core for
/// a fifth of a second.
const RARELY: usize = 32;

/// The members of a task that both releases answer.
pub(crate) const OLD_MEMBERS: [&str; 7] =
    ["id", "user_id", "title", "description", "completed", "created_at", "updated_at"];

pub(crate) const MEMBERS: [&str; 12] = [
    "id",
    "user_id",
    "title",
    "description",
    "completed",
    "created_at",
    "updated_at",
    "status",
    "priority",
    "due_date",
    "tags",
    "etag",
];

/// The newest task is the first.
type Key = Reverse<(String, String)>;

/// A user, who sends one request after the other.
#[derive(Debug)]
pub(crate) struct Client {
    number: usize,
    account: Account,
    /// As the newer release answers them.
    tasks: BTreeMap<Key, Value>,
    rounds: usize,
    releases: Vec<Release>,
    has_reset_a_password: bool,
    /// Tasks that were lost or altered, and other answers that were wrong.
    pub(crate) findings: Vec<String>,
}

/// Clients at work.
pub(crate) struct Workload {
    clients: Vec<JoinHandle<Client>>,
    stop: Arc<AtomicBool>,
}

impl Workload {
    pub(crate) fn start(clients: Vec<Client>, releases: &[Release]) -> Self {
        let stop = Arc::new(AtomicBool::default());
        let start = |mut client: Client| {
            releases.clone_into(&mut client.releases);
            tokio::spawn(client.run(Arc::clone(&stop)))
        };
        Self { clients: clients.into_iter().map(start).collect(), stop }
    }

    /// Stops every client after its current round, and lets it compare all of its tasks, at every release.
    pub(crate) async fn finish(self) -> Result<Vec<Client>> {
        self.stop.store(true, Ordering::SeqCst);
        let clients = join_all(self.clients).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(join_all(clients.into_iter().map(Client::compare_all)).await)
    }
}

impl Client {
    /// Signs up at a release.
    pub(crate) async fn sign_up(number: usize, release: &Release) -> Result<Self> {
        let releases = vec![release.clone()];
        let (account, tasks, findings) = Default::default();
        let mut client = Self { number, account, tasks, rounds: 0, releases, has_reset_a_password: false, findings };
        client.account = client.new_account().await.context("no account")?;
        Ok(client)
    }

    pub(crate) fn user(&self) -> &str {
        &self.account.id
    }

    pub(crate) fn count(&self) -> usize {
        self.tasks.len()
    }

    /// Takes over a new task of this user, given as 0.1.0 answers it.
    pub(crate) fn know(&mut self, answered: &Value) {
        let mut task = answered.clone();
        task["status"] = json!(if task["completed"] == true { "completed" } else { "pending" });
        task["priority"] = Value::Null;
        task["due_date"] = Value::Null;
        task["tags"] = json!([]);
        task["etag"] = json!(etag(&task));
        self.tasks.insert(key(&task), task);
    }

    async fn run(mut self, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::SeqCst) {
            self.round().await;
            self.rounds += 1;
        }
        self
    }

    /// As many tasks are deleted as are created.
    async fn round(&mut self) {
        self.create().await;
        for _ in 0..2 {
            self.read().await;
            self.change().await;
        }
        let completed = [None, Some(false), Some(true)][self.rounds % 3];
        self.list(completed).await;
        self.delete().await;
        self.summarize().await;
        // Not all clients at once.
        match (self.rounds + self.number * 5) % RARELY {
            0 => self.read_account().await,
            8 => self.create_and_delete_account().await,
            16 => self.change_email().await,
            20 => self.use_sessions().await,
            24 => self.read_files().await,
            28 => self.reset_password().await,
            _ => {}
        }
    }

    fn release(&self) -> Release {
        self.releases[random(self.releases.len())].clone()
    }

    /// The release that has all routes, if it is live.
    fn newer_release(&self) -> Option<Release> {
        self.releases.iter().find(|release| release.members == MEMBERS).cloned()
    }

    /// The reply, if it has this status. A 5xx is counted elsewhere.
    fn expect(&mut self, status: u16, what: &str, release: &Release, reply: Option<Reply>) -> Option<Reply> {
        let reply = reply?;
        if reply.status == status {
            return Some(reply);
        }
        self.findings.push(format!("{} {what}: {} {}", release.version, reply.status, reply.body));
        None
    }

    async fn send(&mut self, status: u16, release: &Release, call: Call<'_>) -> Option<Reply> {
        let what = format!("{} {}", call.method, call.path);
        let reply = release.send(&self.account, call).await;
        self.expect(status, &what, release, reply)
    }

    /// Creates a task under an `Idempotency-Key`, twice, and maybe at two releases.
    async fn create(&mut self) {
        let name = format!("{} {}", self.number, self.rounds);
        let description = if self.rounds.is_multiple_of(2) { Value::Null } else { json!(format!("About {name} ☂")) };
        let call = || Call {
            method: "POST",
            path: TASKS,
            body: Some(json!({"title": format!("Task {name}"), "description": description})),
            header: Some(("idempotency-key", name.replace(' ', "-"))),
            ..Call::default()
        };
        let release = self.release();
        let Some(reply) = self.send(201, &release, call()).await else { return };
        let mut task = reply.body.clone();
        task["title"] = json!(format!("Task {name}"));
        task["description"] = description.clone();
        task["completed"] = json!(false);
        self.know(&task);
        let key = key(&task);
        self.compare_reply(&key, &release, &reply);
        let release = self.release();
        if let Some(reply) = self.send(200, &release, call()).await {
            self.compare_reply(&key, &release, &reply);
        }
    }

    async fn read(&mut self) {
        let Some((key, task)) = self.any_task() else { return };
        let release = self.release();
        let call = Call { method: "GET", path: TASK, task: id(&task), ..Call::default() };
        if let Some(reply) = self.send(200, &release, call).await {
            self.compare_reply(&key, &release, &reply);
        }
    }

    /// Changes one member of a task, if the task is what it has to be.
    async fn change(&mut self) {
        let Some((key, mut task)) = self.any_task() else { return };
        let release = self.release();
        let is_newer = release.members == MEMBERS;
        let (number, flag) = (random(1000), random(2) == 0);
        let change = match random(if is_newer { 7 } else { 3 }) {
            0 => json!({"title": format!("Task {number}")}),
            1 => json!({"description": if flag { Value::Null } else { json!(format!("Description {number}")) }}),
            2 => json!({"completed": flag}),
            3 => json!({"status": STATUSES[number % STATUSES.len()]}),
            4 => json!({"priority": 1 + number % 4}),
            5 => json!({"due_date": format!("2100-01-01T00:00:00.{number:06}Z")}),
            _ => json!({"tags": [format!("tag {}", number % 50), "upgrade"]}),
        };
        let call = Call {
            method: if is_newer && flag { "PATCH" } else { "PUT" },
            path: TASK,
            task: id(&task),
            body: Some(change.clone()),
            header: Some(("if-match", etag(&task))),
            ..Call::default()
        };
        let Some(reply) = self.send(200, &release, call).await else { return };
        for (member, value) in change.as_object().into_iter().flatten() {
            task[member] = value.clone();
        }
        if let Some(completed) = change["completed"].as_bool() {
            let status = if completed { "completed" } else { "pending" };
            if completed || task["status"] == "completed" {
                task["status"] = json!(status);
            }
        }
        task["completed"] = json!(task["status"] == "completed");
        if reply.body["updated_at"].as_str() > task["updated_at"].as_str() {
            task["updated_at"] = reply.body["updated_at"].clone();
            task["etag"] = json!(etag(&task));
        } else {
            self.findings.push(format!("{}: a change did not move updated_at: {}", release.version, reply.body));
        }
        self.tasks.insert(key.clone(), task);
        self.compare_reply(&key, &release, &reply);
    }

    async fn delete(&mut self) {
        let Some((key, task)) = self.any_task() else { return };
        let release = self.release();
        let header = Some(("if-match", etag(&task)));
        let call = Call { method: "DELETE", path: TASK, task: id(&task), header, ..Call::default() };
        if self.send(204, &release, call).await.is_some() {
            self.tasks.remove(&key);
        }
        let release = self.release();
        let call = Call { method: "GET", path: TASK, task: id(&task), ..Call::default() };
        self.send(403, &release, call).await;
    }

    /// Reads the first page, and compares it.
    async fn list(&mut self, completed: Option<bool>) {
        let filter = completed.map(|completed| format!("&completed={completed}")).unwrap_or_default();
        let release = self.release();
        let query = format!("?limit={PAGE}{filter}");
        let call = Call { method: "GET", path: TASKS, query: &query, ..Call::default() };
        let Some(reply) = self.send(200, &release, call).await else { return };
        let all = self.tasks.values();
        let expected = all.filter(|task| completed.is_none_or(|completed| task["completed"] == completed)).take(PAGE);
        let expected: Vec<Value> = expected.cloned().collect();
        self.compare_list(&expected, reply.body.as_array().map_or(&[], Vec::as_slice), &release);
    }

    /// Reads and compares all tasks, at every release.
    async fn compare_all(mut self) -> Self {
        for release in self.releases.clone() {
            let (mut seen, mut query) = (Vec::new(), "?limit=100".to_owned());
            loop {
                let call = Call { method: "GET", path: TASKS, query: &query, ..Call::default() };
                let Some(mut reply) = self.send(200, &release, call).await else { break };
                let next = reply.next_page();
                seen.extend(reply.body.as_array_mut().map(std::mem::take).unwrap_or_default());
                let Some(next) = next else { break };
                query = format!("?{}", next.query().unwrap_or_default());
            }
            let expected: Vec<Value> = self.tasks.values().cloned().collect();
            self.compare_list(&expected, &seen, &release);
        }
        self
    }

    async fn summarize(&mut self) {
        let Some(release) = self.newer_release() else { return };
        let call = Call { method: "GET", path: "/users/{user_id}/summary", ..Call::default() };
        let Some(reply) = self.send(200, &release, call).await else { return };
        for status in STATUSES {
            let count = self.tasks.values().filter(|task| task["status"] == status).count();
            if reply.body["tasks"][status] != count {
                self.findings.push(format!("{count} tasks are {status}, and in the summary {}", reply.body));
            }
        }
    }

    async fn read_account(&mut self) {
        let release = self.release();
        let call = Call { method: "GET", path: USER, ..Call::default() };
        if let Some(reply) = self.send(200, &release, call).await
            && (&reply.body["id"], &reply.body["email"]) != (&json!(self.account.id), &json!(self.account.email))
        {
            self.findings.push(format!("{}: the account {:?} is {}", release.version, self.account, reply.body));
        }
    }

    async fn change_email(&mut self) {
        let release = self.release();
        let email = fresh_email();
        let method = if release.members == MEMBERS && self.rounds.is_multiple_of(2) { "PATCH" } else { "PUT" };
        let body = Some(json!({"current_password": PASSWORD, "email": email}));
        if self.send(200, &release, Call { method, path: USER, body, ..Call::default() }).await.is_some() {
            self.account.email = email;
        }
    }

    /// Resets the password of a new account by mail, once: a network gets ten mails an hour.
    async fn reset_password(&mut self) {
        let Some(newer) = self.newer_release().filter(|_| !self.has_reset_a_password) else { return };
        let Some(other) = self.new_account().await else { return };
        let body = Some(json!({"email": other.email}));
        let request = Call { method: "POST", path: RESET, body, ..Call::default() };
        if self.send(202, &newer, request).await.is_none() {
            return;
        }
        let Some(mail) = Mailbox::shared().to(&other.email).pop() else {
            self.findings.push("no mail was sent".to_owned());
            return;
        };
        let body = Some(json!({"token": mail.token(), "password": "another password"}));
        if self.send(204, &newer, Call { method: "PUT", path: RESET, body, ..Call::default() }).await.is_none() {
            return;
        }
        self.has_reset_a_password = true;
        let release = self.release();
        let reply = release.send(&other, Call { method: "GET", path: TASKS, ..Call::default() }).await;
        self.expect(401, "a session from before a reset", &release, reply);
    }

    /// Goes on in another session of the newer release, whose tokens hold at both, and ends a third one.
    pub(crate) async fn use_sessions(&mut self) {
        let Some(newer) = self.newer_release() else { return };
        let credentials = json!({"email": self.account.email, "password": PASSWORD});
        let sign_in =
            || Call { method: "POST", path: "/users/signin", body: Some(credentials.clone()), ..Call::default() };
        let Some(ended) = self.send(200, &newer, sign_in()).await else { return };
        let Some(session) = self.send(200, &newer, sign_in()).await else { return };
        let body = Some(json!({"refresh_token": session.refresh_token()}));
        let refresh = Call { method: "POST", path: "/users/token", body, ..Call::default() };
        let Some(session) = self.send(200, &newer, refresh).await else { return };
        self.account.token = session.token();

        let other = Account { token: ended.token(), ..self.account.clone() };
        let path = "/users/{user_id}/sessions/{session_id}";
        let reply = newer.send(&other, Call { method: "DELETE", path, ..Call::default() }).await;
        if self.expect(204, path, &newer, reply).is_none() {
            return;
        }
        let list = Call { method: "GET", path: SESSIONS, ..Call::default() };
        let Some(reply) = self.send(200, &newer, list).await else { return };
        let ids: Vec<_> = reply.body.as_array().into_iter().flatten().map(|session| &session["id"]).collect();
        if !ids.contains(&&session.body["session_id"]) || ids.contains(&&ended.body["session_id"]) {
            self.findings.push(format!("sessions {ids:?} are left"));
        }
    }

    /// Signs up and in, each maybe at another release.
    async fn new_account(&mut self) -> Option<Account> {
        let email = fresh_email();
        let body = Some(json!({"email": email, "password": PASSWORD}));
        let release = self.release();
        let call = Call { method: "POST", path: "/users/signup", body, ..Call::default() };
        let id = self.send(201, &release, call).await?.body["id"].as_str()?.to_owned();
        let token = self.sign_in(&email).await?;
        Some(Account { id, email, token })
    }

    /// Signs in, maybe at another release than the last time.
    async fn sign_in(&mut self, email: &str) -> Option<String> {
        let release = self.release();
        let body = Some(json!({"email": email, "password": PASSWORD}));
        let call = Call { method: "POST", path: "/users/signin", body, ..Call::default() };
        Some(self.send(200, &release, call).await?.body["token"].as_str()?.to_owned())
    }

    async fn create_and_delete_account(&mut self) {
        let Some(mut other) = self.new_account().await else { return };
        // The token may be of either release.
        if let Some(newer) = self.newer_release().filter(|_| self.rounds.is_multiple_of(2)) {
            let reply = newer.send(&other, Call { method: "DELETE", path: SESSIONS, ..Call::default() }).await;
            self.expect(204, SESSIONS, &newer, reply);
            let release = self.release();
            let reply = release.send(&other, Call { method: "GET", path: TASKS, ..Call::default() }).await;
            self.expect(401, "a session that has ended", &release, reply);
            let Some(token) = self.sign_in(&other.email).await else { return };
            other.token = token;
        }
        for (status, method, path, body) in
            [(201, "POST", TASKS, Some(json!({"title": "The only one"}))), (204, "DELETE", USER, None)]
        {
            let release = self.release();
            let reply = release.send(&other, Call { method, path, body, ..Call::default() }).await;
            self.expect(status, path, &release, reply);
        }
    }

    /// Those without an account.
    async fn read_files(&mut self) {
        for path in
            ["/", "/web/{asset}", "/docs", "/docs/{asset}", "/openapi.json", "/health", "/.well-known/jwks.json"]
        {
            let release = self.release();
            self.send(200, &release, Call { method: "GET", path, ..Call::default() }).await;
        }
        if let Some(release) = self.newer_release() {
            self.send(200, &release, Call { method: "HEAD", path: "/health", ..Call::default() }).await;
        }
    }

    fn any_task(&self) -> Option<(Key, Value)> {
        let (key, task) = self.tasks.iter().nth(random(self.tasks.len()))?;
        Some((key.clone(), task.clone()))
    }

    /// Compares an answered task, and its `ETag`, with what is known.
    fn compare_reply(&mut self, key: &Key, release: &Release, reply: &Reply) {
        let Some(expected) = self.tasks.get(key).cloned() else { return };
        self.compare_list(from_ref(&expected), from_ref(&reply.body), release);
        if expected["etag"] != reply.header("etag") {
            self.findings.push(format!("{}: the ETag of {expected} is {}", release.version, reply.header("etag")));
        }
    }

    /// Compares tasks in their order. One that is missing, or there twice, makes one finding.
    fn compare_list(&mut self, expected: &[Value], seen: &[Value], release: &Release) {
        let ids = |tasks: &[Value]| tasks.iter().map(|task| id(task).to_owned()).collect::<Vec<_>>();
        if ids(expected) != ids(seen) {
            self.findings.push(format!("{}: tasks {:?} instead of {:?}", release.version, ids(seen), ids(expected)));
            return;
        }
        for (expected, seen) in expected.iter().zip(seen) {
            let is_same = release.members.iter().all(|member| seen.get(member) == expected.get(member));
            if !is_same || seen.as_object().map(serde_json::Map::len) != Some(release.members.len()) {
                self.findings.push(format!("{}: {seen} instead of {expected}", release.version));
            }
        }
    }
}

fn key(task: &Value) -> Key {
    Reverse((task["created_at"].as_str().unwrap_or_default().to_owned(), id(task).to_owned()))
}

fn id(task: &Value) -> &str {
    task["id"].as_str().unwrap_or_default()
}

/// Both releases make it from the time of the last change. So a migration, which is none, leaves it.
fn etag(task: &Value) -> String {
    let changed_at = task["updated_at"].as_str().and_then(|text| Timestamp::parse(text).ok());
    changed_at.map(|time| format!("\"{}\"", Version::from(time))).unwrap_or_default()
}

/// A number below `end`.
fn random(end: usize) -> usize {
    Uuid::new_v4().as_fields().0 as usize % end.max(1)
}
