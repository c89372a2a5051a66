//! What a client does with its session, its account, and accounts beside it.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tests::api::{PASSWORD, Reply, fresh_email};

use super::{Client, RefreshToken};
use crate::{history::History, workload::Counters};

/// A refresh token can be used again for a minute; less the time that a clock may be off.
const RETRIES: Duration = Duration::from_secs(50);

impl Client {
    /// Refreshes the session, twice with the same token, as if the first answer was lost. No retry within a minute may end
    /// the session, nor give another successor.
    pub(super) async fn refresh(&mut self, counters: &Counters) {
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
                self.sign_in_again(counters).await;
                return;
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

    /// Whether that succeeded.
    pub(super) async fn sign_in_again(&mut self, counters: &Counters) -> bool {
        for email in self.email.possible.iter().flatten() {
            let credentials = json!({"email": email, "password": PASSWORD});
            let request = self.user.api.request(Method::POST, "/users/signin").json(&credentials);
            if let Some(session) = counters.send(request).await.filter(|reply| reply.status == 200) {
                self.user.token = session.token();
                self.refresh_token = RefreshToken { text: session.refresh_token(), used: None };
                return true;
            }
        }
        false
    }

    /// Changes the account's e-mail address, twice.
    pub(super) async fn change_email(&mut self, counters: &Counters) {
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
    pub(super) async fn create_and_delete_account(&mut self, counters: &Counters) {
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
}
