//! The smoke test: the shortest way through a running API that meets all of its parts.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use reqwest::{
    Client, Method, RequestBuilder, StatusCode, Url,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, ORIGIN, WWW_AUTHENTICATE,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

/// As long as the gateway waits for a function.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before each try to delete the account, in seconds.
const TRIES: [u64; 3] = [0, 1, 2];

/// Whether Ctrl-C has come.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Sends one request after the other, each of which has to be answered as the contract says. The account it makes is
/// deleted also when a step in between fails, or Ctrl-C comes.
pub(crate) async fn run(api: &str, origin: Option<&str>) -> anyhow::Result<()> {
    let smoke = Smoke::new(api)?;
    smoke.health().await?;
    smoke.preflight(origin).await?;
    smoke.no_token().await?;
    let mut account = Account::new(&smoke);
    tokio::spawn(async {
        // The step under way ends first: what it does can be undone only when it is done.
        INTERRUPTED.store(tokio::signal::ctrl_c().await.is_ok(), Ordering::Relaxed);
    });
    let journey = account.journey().await;
    match (journey, account.remove().await) {
        (journey, Ok(())) => journey,
        (Ok(()), Err(left)) => Err(left),
        (Err(error), Err(left)) => bail!("{error:#}; besides, {left:#}"),
    }
}

/// An API to speak to.
pub(crate) struct Smoke {
    http: Client,
    base: String,
    /// Of the pages it serves itself.
    origin: String,
}

struct Reply {
    headers: HeaderMap,
    body: Value,
}

impl Smoke {
    pub(crate) fn new(api: &str) -> anyhow::Result<Self> {
        let url: Url = api.parse().with_context(|| format!("{api:?} is not a URL such as https://host"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "{url} is neither http:// nor https://");
        let http = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        // A path is part of the base, and never of an origin (RFC 6454, section 6.2).
        let origin = url.origin().ascii_serialization();
        Ok(Self { http, base: url.as_str().trim_end_matches('/').to_owned(), origin })
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn health(&self) -> anyhow::Result<()> {
        expect("health", StatusCode::OK, self.request(Method::GET, "/health")).await.map(drop)
    }

    /// A browser asks this before it sends a request of another origin's page with a token. Without an origin that is
    /// known to be allowed, the API's own will do where every origin is.
    async fn preflight(&self, origin: Option<&str>) -> anyhow::Result<()> {
        let step = "CORS preflight";
        let origin = origin.unwrap_or(&self.origin);
        let asked = self
            .request(Method::OPTIONS, "/users/signin")
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type");
        let (reply, status, took) = send(step, asked).await?;
        ensure!(status.is_success(), "{step}: {status}");
        let lists = |name, value: &str| {
            let header = reply.headers.get(&name).and_then(|header| header.to_str().ok()).unwrap_or_default();
            let found = header.split(',').map(str::trim).any(|item| item == "*" || item.eq_ignore_ascii_case(value));
            found.then_some(()).with_context(|| format!("{step}: {name} is {header:?}, and {value} is not allowed"))
        };
        lists(ACCESS_CONTROL_ALLOW_ORIGIN, origin)?;
        lists(ACCESS_CONTROL_ALLOW_METHODS, "POST")?;
        // A wildcard does not stand for this one (Fetch, section 3.3.4).
        lists(ACCESS_CONTROL_ALLOW_HEADERS, "authorization")?;
        passed(step, status, took);
        Ok(())
    }

    async fn no_token(&self) -> anyhow::Result<()> {
        let step = "no token, no access";
        let path = format!("/users/{}", Uuid::new_v4());
        let reply = expect(step, StatusCode::UNAUTHORIZED, self.request(Method::GET, &path)).await?;
        ensure!(reply.headers.contains_key(WWW_AUTHENTICATE), "{step}: there is no WWW-Authenticate");
        Ok(())
    }
}

/// An account of this run's own.
struct Account<'a> {
    smoke: &'a Smoke,
    email: String,
    password: String,
    /// Whether it may be there: from the first try to make it, until it is deleted.
    exists: bool,
}

impl<'a> Account<'a> {
    fn new(smoke: &'a Smoke) -> Self {
        let email = format!("smoke-{}@example.com", Uuid::new_v4().simple());
        Self { smoke, email, password: Uuid::new_v4().to_string(), exists: false }
    }

    fn post_credentials(&self, path: &str) -> RequestBuilder {
        self.smoke.request(Method::POST, path).json(&json!({ "email": self.email, "password": self.password }))
    }

    async fn journey(&mut self) -> anyhow::Result<()> {
        let smoke = self.smoke;
        self.exists = true;
        step("signup", StatusCode::CREATED, self.post_credentials("/users/signup")).await?;
        let signin = step("signin", StatusCode::OK, self.post_credentials("/users/signin")).await?;
        let session = Session::read(&signin.body)?;
        let send = |method, rest| session.request(smoke, method, rest);

        let create = send(Method::POST, "/tasks").json(&json!({ "title": "Smoke test" }));
        let task = step("create a task", StatusCode::CREATED, create).await?.body;
        let listed = step("list the tasks", StatusCode::OK, send(Method::GET, "/tasks")).await?.body;
        ensure!(listed == json!([task]), "list the tasks: the task that was created is not in the list, alone");
        step("delete the account", StatusCode::NO_CONTENT, send(Method::DELETE, "")).await?;
        self.exists = false;
        step("its token has ended", StatusCode::UNAUTHORIZED, send(Method::GET, "")).await.map(drop)
    }

    /// Deletes the account, if it is there.
    async fn remove(&self) -> anyhow::Result<()> {
        if !self.exists {
            return Ok(());
        }
        let mut last = Ok(());
        for seconds in TRIES {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            last = match self.try_to_remove().await {
                Ok(Some(())) => return Ok(()),
                // Not there: yet, perhaps, if the sign-up got no answer.
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
        }
        last.with_context(|| format!("the account {} may be left behind: delete it by hand", self.email))
    }

    /// Deletes the account, if it is there. With a sign-in of its own: what failed may have been the first, or the
    /// sign-up after it had made the account.
    async fn try_to_remove(&self) -> anyhow::Result<Option<()>> {
        let step = "delete the account, after the failure";
        let (signin, status, _) = send(step, self.post_credentials("/users/signin")).await?;
        if status == StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let delete = Session::read(&signin.body).context(step)?.request(self.smoke, Method::DELETE, "");
        expect(step, StatusCode::NO_CONTENT, delete).await?;
        Ok(Some(()))
    }
}

/// What a sign-in is answered with.
pub(crate) struct Session {
    user: String,
    token: String,
}

impl Session {
    pub(crate) fn read(signin: &Value) -> anyhow::Result<Self> {
        let text = |member: &str| {
            let text = signin[member].as_str().with_context(|| format!("signin: the answer has no {member}"))?;
            Ok::<_, anyhow::Error>(text.to_owned())
        };
        Ok(Self { user: text("user_id")?, token: text("token")? })
    }

    /// A request below the account's path.
    pub(crate) fn request(&self, smoke: &Smoke, method: Method, rest: &str) -> RequestBuilder {
        smoke.request(method, &format!("/users/{}{rest}", self.user)).bearer_auth(&self.token)
    }
}

/// One step of the way, unless Ctrl-C has come.
async fn step(name: &str, wanted: StatusCode, request: RequestBuilder) -> anyhow::Result<Reply> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    expect(name, wanted, request).await
}

/// Sends a request that has to be answered with this status.
async fn expect(step: &str, wanted: StatusCode, request: RequestBuilder) -> anyhow::Result<Reply> {
    let (reply, status, took) = send(step, request).await?;
    if status != wanted {
        let text = |member: &str| reply.body[member].as_str().unwrap_or("not told");
        bail!("{step}: {status} instead of {wanted}; detail: {}; request id: {}", text("detail"), text("request_id"));
    }
    passed(step, status, took);
    Ok(reply)
}

async fn send(step: &str, request: RequestBuilder) -> anyhow::Result<(Reply, StatusCode, Duration)> {
    let begun = Instant::now();
    let answer = async {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
    };
    let (status, headers, bytes) =
        answer.await.map_err(|error| anyhow::Error::from(error.without_url())).context(step.to_owned())?;
    // An error of the gateway's own need not be JSON.
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok((Reply { headers, body }, status, begun.elapsed()))
}

fn passed(step: &str, status: StatusCode, took: Duration) {
    println!("  {step:<37} {} in {:>5} ms", status.as_u16(), took.as_millis());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_at_a_base_path_is_below_it_and_its_origin_is_without() -> anyhow::Result<()> {
        for (url, health, origin) in [
            ("https://tasks.example.com", "https://tasks.example.com/health", "https://tasks.example.com"),
            ("https://tasks.example.com/", "https://tasks.example.com/health", "https://tasks.example.com"),
            ("https://example.com:8443/v1", "https://example.com:8443/v1/health", "https://example.com:8443"),
            ("https://example.com/api/v1/", "https://example.com/api/v1/health", "https://example.com"),
        ] {
            let smoke = Smoke::new(url)?;
            let request = smoke.request(Method::GET, "/health").build()?;
            assert_eq!((request.url().as_str(), &*smoke.origin), (health, origin), "{url}");
        }
        Ok(())
    }
}
