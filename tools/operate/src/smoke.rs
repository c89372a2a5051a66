//! The smoke test: a few requests that involve every part of a running API.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use reqwest::{
    Method, RequestBuilder, StatusCode, Url,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, ORIGIN, WWW_AUTHENTICATE,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

/// As long as API Gateway waits for a function.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The pauses before the attempts to delete the account, in seconds.
const DELETE_PAUSES: [u64; 3] = [0, 1, 2];

/// Set by Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Sends one request after the other, and checks the responses. Its account is deleted also after a failed step or
/// Ctrl-C.
pub(crate) async fn run(api: &str, origin: Option<&str>) -> anyhow::Result<()> {
    let api = Client::new(api)?;
    api.health().await?;
    api.preflight(origin).await?;
    api.no_token().await?;
    let mut account = Account::new(&api);
    tokio::spawn(async {
        // The current step is not interrupted: its effects can be undone only when it is complete.
        INTERRUPTED.store(tokio::signal::ctrl_c().await.is_ok(), Ordering::Relaxed);
    });
    let steps = account.run_steps().await;
    match (steps, account.remove().await) {
        (steps, Ok(())) => steps,
        (Ok(()), Err(cleanup)) => Err(cleanup),
        (Err(error), Err(cleanup)) => bail!("{error:#}; also, {cleanup:#}"),
    }
}

/// A client of one API.
pub(crate) struct Client {
    http: reqwest::Client,
    base_url: String,
    origin: String,
}

struct Reply {
    headers: HeaderMap,
    body: Value,
}

impl Client {
    pub(crate) fn new(api: &str) -> anyhow::Result<Self> {
        let url: Url = api.parse().with_context(|| format!("{api:?} is not a URL such as https://host"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "{url} is neither http:// nor https://");
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        // An origin has no path (RFC 6454, section 6.2).
        let origin = url.origin().ascii_serialization();
        Ok(Self { http, base_url: url.as_str().trim_end_matches('/').to_owned(), origin })
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url))
    }

    async fn health(&self) -> anyhow::Result<()> {
        expect("health", StatusCode::OK, self.request(Method::GET, "/health")).await.map(drop)
    }

    /// What a browser sends before a cross-origin request with a token. The API's own origin is allowed only where all
    /// origins are.
    async fn preflight(&self, origin: Option<&str>) -> anyhow::Result<()> {
        let step = "CORS preflight";
        let origin = origin.unwrap_or(&self.origin);
        let request = self
            .request(Method::OPTIONS, "/users/signin")
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type");
        let (reply, status, took) = send(step, request).await?;
        ensure!(status.is_success(), "{step}: {status}");
        let check = |name, value: &str| {
            let header = reply.headers.get(&name).and_then(|header| header.to_str().ok()).unwrap_or_default();
            let found = header.split(',').map(str::trim).any(|item| item == "*" || item.eq_ignore_ascii_case(value));
            found.then_some(()).with_context(|| format!("{step}: {name} is {header:?}, and {value} is not allowed"))
        };
        check(ACCESS_CONTROL_ALLOW_ORIGIN, origin)?;
        check(ACCESS_CONTROL_ALLOW_METHODS, "POST")?;
        // `*` does not include this header (Fetch, section 3.3.4).
        check(ACCESS_CONTROL_ALLOW_HEADERS, "authorization")?;
        report(step, status, took);
        Ok(())
    }

    async fn no_token(&self) -> anyhow::Result<()> {
        let step = "no token";
        let path = format!("/users/{}", Uuid::new_v4());
        let reply = expect(step, StatusCode::UNAUTHORIZED, self.request(Method::GET, &path)).await?;
        ensure!(reply.headers.contains_key(WWW_AUTHENTICATE), "{step}: no WWW-Authenticate header");
        Ok(())
    }
}

/// The account of this run.
struct Account<'a> {
    api: &'a Client,
    email: String,
    password: String,
    /// From the first attempt to create it until it is deleted.
    may_exist: bool,
}

impl<'a> Account<'a> {
    fn new(api: &'a Client) -> Self {
        let email = format!("smoke-{}@example.com", Uuid::new_v4().simple());
        Self { api, email, password: Uuid::new_v4().to_string(), may_exist: false }
    }

    fn post_credentials(&self, path: &str) -> RequestBuilder {
        self.api.request(Method::POST, path).json(&json!({ "email": self.email, "password": self.password }))
    }

    async fn run_steps(&mut self) -> anyhow::Result<()> {
        self.may_exist = true;
        step("signup", StatusCode::CREATED, self.post_credentials("/users/signup")).await?;
        let signin = step("signin", StatusCode::OK, self.post_credentials("/users/signin")).await?;
        let refresh = json!({ "refresh_token": signin.body["refresh_token"] });
        let refresh = self.api.request(Method::POST, "/users/token").json(&refresh);
        let session = Session::parse(&step("refresh the session", StatusCode::OK, refresh).await?.body)?;
        let send = |method, rest| session.request(self.api, method, rest);

        let create = send(Method::POST, "/tasks").json(&json!({ "title": "Smoke test" }));
        let task = step("create a task", StatusCode::CREATED, create).await?.body;
        let listed = step("list the tasks", StatusCode::OK, send(Method::GET, "/tasks")).await?.body;
        ensure!(listed == json!([task]), "list the tasks: the list is not exactly the created task");
        step("delete the account", StatusCode::NO_CONTENT, send(Method::DELETE, "")).await?;
        self.may_exist = false;
        step("the token is revoked", StatusCode::UNAUTHORIZED, send(Method::GET, "")).await.map(drop)
    }

    /// Deletes the account, if it exists.
    async fn remove(&self) -> anyhow::Result<()> {
        if !self.may_exist {
            return Ok(());
        }
        let mut last = Ok(());
        for seconds in DELETE_PAUSES {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            last = match self.try_to_remove().await {
                Ok(true) => return Ok(()),
                // If the sign-up got no response, it may still be created.
                result => result.map(drop),
            };
        }
        last.with_context(|| format!("the account {} may be left behind: delete it manually", self.email))
    }

    /// Deletes the account; false if it does not exist. Signs in for it: the failed step may have been the sign-in, or the
    /// sign-up after it created the account.
    async fn try_to_remove(&self) -> anyhow::Result<bool> {
        let step = "delete the account after a failure";
        let (signin, status, _) = send(step, self.post_credentials("/users/signin")).await?;
        if status == StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
        let delete = Session::parse(&signin.body).context(step)?.request(self.api, Method::DELETE, "");
        expect(step, StatusCode::NO_CONTENT, delete).await?;
        Ok(true)
    }
}

/// The response to a sign-in.
pub(crate) struct Session {
    user: String,
    token: String,
}

impl Session {
    pub(crate) fn parse(signin: &Value) -> anyhow::Result<Self> {
        let text = |member: &str| {
            let text = signin[member].as_str().with_context(|| format!("signin: the response has no {member}"))?;
            Ok::<_, anyhow::Error>(text.to_owned())
        };
        Ok(Self { user: text("user_id")?, token: text("token")? })
    }

    /// A request below the account's path.
    pub(crate) fn request(&self, api: &Client, method: Method, rest: &str) -> RequestBuilder {
        api.request(method, &format!("/users/{}{rest}", self.user)).bearer_auth(&self.token)
    }
}

/// One step, unless Ctrl-C was pressed.
async fn step(name: &str, expected: StatusCode, request: RequestBuilder) -> anyhow::Result<Reply> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    expect(name, expected, request).await
}

/// Sends a request and checks the status of the response.
async fn expect(step: &str, expected: StatusCode, request: RequestBuilder) -> anyhow::Result<Reply> {
    let (reply, status, took) = send(step, request).await?;
    if status != expected {
        let text = |member: &str| reply.body[member].as_str().unwrap_or("none");
        bail!("{step}: {status} instead of {expected}; detail: {}; request id: {}", text("detail"), text("request_id"));
    }
    report(step, status, took);
    Ok(reply)
}

async fn send(step: &str, request: RequestBuilder) -> anyhow::Result<(Reply, StatusCode, Duration)> {
    let started = Instant::now();
    let response = async {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
    };
    let (status, headers, bytes) =
        response.await.map_err(|error| anyhow::Error::from(error.without_url())).context(step.to_owned())?;
    // The gateway's own errors need not be JSON.
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok((Reply { headers, body }, status, started.elapsed()))
}

fn report(step: &str, status: StatusCode, took: Duration) {
    println!("  {step:<37} {} in {:>5} ms", status.as_u16(), took.as_millis());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_part_of_the_url_but_not_of_the_origin() -> anyhow::Result<()> {
        for (url, health, origin) in [
            ("https://tasks.example.com", "https://tasks.example.com/health", "https://tasks.example.com"),
            ("https://tasks.example.com/", "https://tasks.example.com/health", "https://tasks.example.com"),
            ("https://example.com:8443/v1", "https://example.com:8443/v1/health", "https://example.com:8443"),
            ("https://example.com/api/v1/", "https://example.com/api/v1/health", "https://example.com"),
        ] {
            let api = Client::new(url)?;
            let request = api.request(Method::GET, "/health").build()?;
            assert_eq!((request.url().as_str(), &*api.origin), (health, origin), "{url}");
        }
        Ok(())
    }
}
