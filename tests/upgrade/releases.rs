//! The releases that are live, and requests to them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Method, header::AUTHORIZATION};
use serde_json::Value;
use tests::{
    api::{Api, Reply},
    server::{Settings, TestServer},
    workspace::Route,
};
use tokio::time::sleep;

use crate::log::{Log, Request};

/// How many clients there are, and so how many processes each function needs for none of them to wait for another.
pub(crate) const CLIENTS: u8 = 4;

/// After each request of a client: the database is to be busy, not the machine.
const PAUSE: Duration = Duration::from_millis(20);

/// The names of the members of a task.
pub(crate) type Members = &'static [&'static str];

/// A release that runs.
pub(crate) struct Running {
    pub(crate) release: Release,
    /// Ends with this.
    _server: TestServer,
}

/// A release, to send requests to.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) version: &'static str,
    pub(crate) members: Members,
    api: Api,
    log: Arc<Log>,
}

/// An account, and a token of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
}

/// A request of a route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    /// With placeholders.
    pub(crate) path: &'static str,
    pub(crate) task: &'a str,
    /// With the `?`.
    pub(crate) query: &'a str,
    pub(crate) body: Option<Value>,
    pub(crate) header: Option<(&'static str, String)>,
}

impl Running {
    /// Starts a release, and every process of its functions.
    pub(crate) async fn start(
        version: &'static str,
        members: Members,
        settings: &Settings,
        routes: &[Route],
        log: &Arc<Log>,
    ) -> Self {
        let server = TestServer::start(&settings.clone().concurrency(CLIENTS));
        let release = Release { version, members, api: server.api.clone(), log: Arc::clone(log) };
        for route in routes {
            let path = route.path_of("me", "me");
            join_all((0..CLIENTS).map(|_| release.api.request(route.method(), &path).send())).await;
        }
        Self { release, _server: server }
    }
}

impl Release {
    /// Sends a request. `None` when there is no answer, or a 5xx.
    pub(crate) async fn send(&self, account: &Account, call: Call<'_>) -> Option<Reply> {
        let path = call.path.replace("{user_id}", &account.id).replace("{task_id}", call.task);
        let path = path.replace("{session_id}", "current");
        let path = path.replace("/web/{asset}", "/web/web.js").replace("/docs/{asset}", "/docs/docs.js");
        let method = Method::from_bytes(call.method.as_bytes()).expect("a method");
        let mut request = self.api.request(method, &format!("{path}{}", call.query));
        if call.path.contains("{user_id}") {
            request = request.header(AUTHORIZATION, format!("Bearer {}", account.token));
        }
        if let Some((name, value)) = call.header {
            request = request.header(name, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let begun = Instant::now();
        let reply = async {
            let response = request.send().await?;
            let (url, status) = (response.url().clone(), response.status().as_u16());
            let headers = response.headers().clone();
            let text = response.text().await?;
            Ok::<_, reqwest::Error>(Reply {
                url,
                status,
                headers,
                body: serde_json::from_str(&text).unwrap_or_default(),
            })
        };
        let reply = match reply.await {
            Ok(reply) if reply.status < 500 => Some(reply),
            failure => {
                eprintln!("{} {} {}: {failure:#?}", self.version, call.method, call.path);
                None
            }
        };
        self.log.add(Request {
            release: self.version,
            method: call.method,
            path: call.path,
            begun,
            ended: Instant::now(),
            has_failed: reply.is_none(),
        });
        sleep(PAUSE).await;
        reply
    }
}
