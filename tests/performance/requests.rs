//! Requests that succeed, each of an account of its own, which no other request changes.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use auth::{Grant, RefreshToken, Signer, SigningKey, TokenLifetime, TokenPolicy};
use axum::{body::Bytes, http};
use domain::{ResetToken, SessionId, TaskId, UserId};
use gateway::{event, template};
use serde_json::{Value, json};
use tests::{
    api::PASSWORD,
    workspace::{Route, variable},
};

/// How many tasks the account of a list has.
pub(crate) const LISTED: i32 = 20;

pub(crate) struct Account {
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) session: SessionId,
    pub(crate) refresh_token: RefreshToken,
    /// Of a mail, if the request needs one.
    pub(crate) reset_token: Option<ResetToken>,
    /// The first of its tasks.
    pub(crate) task: TaskId,
    pub(crate) tasks: i32,
}

/// An account, and its event in the form that the gateway sends.
pub(crate) struct Request {
    pub(crate) account: Account,
    pub(crate) event: Vec<u8>,
}

impl Request {
    /// An event for the echo, which answers with so many bytes.
    pub(crate) fn to_echo(&self, bytes: usize) -> Result<Vec<u8>> {
        let mut event: Value = serde_json::from_slice(&self.event)?;
        event["headers"]["x-bytes"] = json!(bytes.to_string());
        Ok(event.to_string().into())
    }
}

/// Writes requests.
pub(crate) struct Author {
    signer: Signer,
    written: u32,
}

impl Author {
    pub(crate) fn new() -> Result<Self> {
        let key: SigningKey = variable("JWT_SIGNING_KEY").parse()?;
        let lifetime = TokenLifetime::default();
        let policy = TokenPolicy { issuer: "task-api".to_owned(), audience: "task-api".to_owned(), lifetime };
        Ok(Self { signer: Signer::new(&key, policy)?, written: 0 })
    }

    pub(crate) fn write(&mut self, route: &Route) -> Result<Request> {
        self.written += 1;
        let session = SessionId::random();
        let function = route.function.as_str();
        let account = Account {
            user: UserId::random(),
            email: format!("ada.{}@example.com", self.written),
            session,
            refresh_token: RefreshToken::first(session),
            reset_token: (function == "password-reset").then(ResetToken::random),
            task: TaskId::random(),
            tasks: if ["tasks-list", "user-summary"].contains(&function) { LISTED } else { 1 },
        };
        let session_ends_in = Duration::from_secs(14 * 86_400);
        let grant = Grant { user: account.user, session, token_version: None, session_ends_in };
        let token = self.signer.issue(&grant)?.value;
        // As a browser sends it.
        let mut request = http::Request::builder()
            .method(route.method())
            .uri(route.path_of(&account.user.to_string(), &account.task.to_string()))
            .header("accept", "*/*")
            .header("accept-encoding", "gzip, deflate, br, zstd")
            .header("host", "api.example.com")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
            .header("x-forwarded-proto", "https");
        if route.is_protected() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body(function, &account).map(|body| body.to_string()).unwrap_or_default();
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let (parts, ()) = request.body(())?.into_parts();
        let template = template::Route { method: route.method.clone(), path: route.path.clone() };
        // Each from a network of its own: mails are limited by network.
        let network = Ipv4Addr::from(0x0a00_0000 + self.written);
        let event = event::from_request(&template, &parts, &Bytes::from(body), network.into(), "Yz0ZlhQ3FiAEJQg=");
        Ok(Request { account, event: event.to_string().into() })
    }
}

fn body(function: &str, account: &Account) -> Option<Value> {
    let Account { email, refresh_token, reset_token, .. } = account;
    Some(match function {
        "signup" => json!({"email": format!("new.{email}"), "password": PASSWORD}),
        "signin" => json!({"email": email, "password": PASSWORD}),
        "token-refresh" => json!({"refresh_token": *refresh_token.expose()}),
        "password-reset-request" => json!({"email": email}),
        "password-reset" => json!({"token": reset_token.as_ref()?.expose(), "password": "another password"}),
        "user-update" => json!({"current_password": PASSWORD, "email": email}),
        "task-create" => json!({"title": "Buy milk"}),
        "task-update" => json!({"title": "Buy bread"}),
        _ => return None,
    })
}
