//! A client of the API: requests, replies, and users who sign up and in.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::{
    Method, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::{Value, json};

use crate::workspace::variable;

/// The password of every test user who has not changed it.
pub const PASSWORD: &str = "correct horse battery";

/// An API under test.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    http: reqwest::Client,
}

impl Api {
    /// The one that `make test` started, which all tests share.
    pub fn shared() -> Self {
        Self::at(&variable("API_URL"))
    }

    pub fn at(base: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
        Self { base: base.trim_end_matches('/').to_owned(), http }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The name of the cookie that the API sets: its port's, unless it belongs to a stage.
    pub fn cookie_name(&self) -> String {
        let base: Url = self.base.parse().expect("a URL");
        format!("task-api-{}", base.port().expect("a port"))
    }

    /// A request, to be completed and then sent with [`reply`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Sends a request, with a token and a JSON body if given, and checks what is true of every reply.
    pub async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Reply {
        let mut request = self.request(method, path);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        reply(request).await
    }

    /// Signs up with [`PASSWORD`].
    pub async fn sign_up(&self, email: &str) -> Reply {
        let body = json!({ "email": email, "password": PASSWORD });
        self.send(Method::POST, "/users/signup", None, Some(&body)).await
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Reply {
        let body = json!({ "email": email, "password": password });
        self.send(Method::POST, "/users/signin", None, Some(&body)).await
    }

    pub async fn refresh(&self, refresh_token: &str) -> Reply {
        let body = json!({ "refresh_token": refresh_token });
        self.send(Method::POST, "/users/token", None, Some(&body)).await
    }

    /// A new user, signed in.
    pub async fn user(&self) -> User {
        let email = fresh_email();
        let id = self.sign_up(&email).await.expect(201).body["id"].as_str().expect("an id").to_owned();
        let token = self.sign_in(&email, PASSWORD).await.expect(200).token();
        User { api: self.clone(), id, email, token }
    }
}

/// Invokes a function with an event as a gateway sends it; its answer.
pub async fn invoke(function: &str, event: &Value) -> Value {
    let lambda = Api::at(&variable("LAMBDA_URL"));
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let answer = lambda.request(Method::POST, &path).json(event).send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

/// Two new users of the shared API, signed in.
pub async fn two_users() -> (User, User) {
    let api = Api::shared();
    tokio::join!(api.user(), api.user())
}

/// An e-mail address without an account.
pub fn fresh_email() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
    format!("user-{now}-{}@example.com", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A signed-in user of an API.
#[derive(Clone, Debug)]
pub struct User {
    pub api: Api,
    pub id: String,
    pub email: String,
    pub token: String,
}

impl User {
    /// The same user, at another server of the same database.
    #[must_use]
    pub fn via(&self, api: &Api) -> Self {
        Self { api: api.clone(), ..self.clone() }
    }

    /// The same user, in a new session.
    pub async fn signed_in_again(&self) -> Self {
        let token = self.api.sign_in(&self.email, PASSWORD).await.expect(200).token();
        Self { token, ..self.clone() }
    }

    /// The account's path, followed by `rest`.
    pub fn path(&self, rest: &str) -> String {
        format!("/users/{}{rest}", self.id)
    }

    /// A request below the account's path with the account's token, to be completed and then sent with [`reply`].
    pub fn request(&self, method: Method, rest: &str) -> RequestBuilder {
        self.api.request(method, &self.path(rest)).bearer_auth(&self.token)
    }

    /// Sends a request below the account's path, with the account's token.
    pub async fn send(&self, method: Method, rest: &str, body: Option<&Value>) -> Reply {
        self.api.send(method, &self.path(rest), Some(&self.token), body).await
    }

    pub async fn get(&self, rest: &str) -> Reply {
        self.send(Method::GET, rest, None).await
    }

    pub async fn post(&self, rest: &str, body: &Value) -> Reply {
        self.send(Method::POST, rest, Some(body)).await
    }

    pub async fn put(&self, rest: &str, body: &Value) -> Reply {
        self.send(Method::PUT, rest, Some(body)).await
    }

    pub async fn patch(&self, rest: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, rest, Some(body)).await
    }

    pub async fn delete(&self, rest: &str) -> Reply {
        self.send(Method::DELETE, rest, None).await
    }

    /// Creates a task.
    pub async fn task(&self, title: &str) -> Value {
        self.post("/tasks", &json!({ "title": title })).await.expect(201).body
    }

    /// Tries to create a task under an `Idempotency-Key`.
    pub async fn create_with_key(&self, key: &str, body: &Value) -> Reply {
        reply(self.request(Method::POST, "/tasks").header("idempotency-key", key).json(body)).await
    }
}

/// The path of a task, below its user's.
pub fn task_path(task: &Value) -> String {
    format!("/tasks/{}", task["id"].as_str().expect("an id"))
}

/// What the API answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The URL of the request.
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    /// The JSON, or the text of a file; null if it is empty.
    pub body: Value,
}

impl Reply {
    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// A header's value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Resolves a relative reference as a client does: against the request's URL.
    #[track_caller]
    pub fn resolve(&self, reference: &str) -> Url {
        self.url.join(reference).expect("a reference")
    }

    /// The URL that `Location` refers to.
    #[track_caller]
    pub fn location(&self) -> Url {
        assert!(self.headers.contains_key("location"), "{self:#?}");
        self.resolve(self.header("location"))
    }

    /// The URL of the next page of a list, from `Link`.
    #[track_caller]
    pub fn next_page(&self) -> Option<Url> {
        let link = Some(self.header("link")).filter(|link| !link.is_empty())?;
        let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        Some(self.resolve(target.expect("the link to the next page")))
    }

    /// The token from the reply to a sign-in.
    #[track_caller]
    pub fn token(&self) -> String {
        self.body["token"].as_str().expect("a token").to_owned()
    }

    /// The refresh token from the reply to a sign-in or a refresh.
    #[track_caller]
    pub fn refresh_token(&self) -> String {
        self.body["refresh_token"].as_str().expect("a refresh token").to_owned()
    }

    /// The fields that a 422 names.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }
}

/// Sends a request, and checks what is true of every reply: it has the common headers, is no 500, a problem is complete
/// (RFC 9457), and nothing internal is in it.
pub async fn reply(request: RequestBuilder) -> Reply {
    let response = request.send().await.expect("a reply");
    let url = response.url().clone();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("a string");
    let is_file = status < 400 && !["/users/", "/health", "/.well-known/"].iter().any(|part| url.path().contains(part));
    let body = match &*text {
        "" => Value::Null,
        _ if is_file => Value::from(text.as_str()),
        _ => serde_json::from_str(&text).expect("JSON"),
    };
    let is_key_set = url.path().contains("/.well-known/");
    let reply = Reply { url, status, headers, body };

    let cache_control = match is_key_set {
        true => "public, max-age=",
        _ if is_file => "no-cache",
        _ => "no-store",
    };
    assert!(reply.header("cache-control").starts_with(cache_control), "{reply:#?}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{reply:#?}");
    assert_eq!(reply.header("strict-transport-security"), "max-age=63072000; includeSubDomains", "{reply:#?}");
    assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{reply:#?}");
    assert_ne!(status, 500, "{reply:#?}");
    if status >= 400 {
        assert_eq!(reply.header("content-type"), "application/problem+json", "{reply:#?}");
        assert_eq!(reply.body["status"], json!(status), "{reply:#?}");
        for member in ["type", "title", "detail", "code", "request_id"] {
            assert!(reply.body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {reply:#?}");
        }
        assert_eq!(reply.body["errors"].is_array(), status == 422, "{reply:#?}");
        for internal in ["SELECT", "INSERT", "::", "panicked", ".rs", "$2b$"] {
            assert!(!text.contains(internal), "{internal:?} in {reply:#?}");
        }
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401, "{reply:#?}");
        assert_eq!(reply.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{reply:#?}");
    } else if is_file {
        assert!(reply.header("content-security-policy").starts_with("default-src 'none'"), "{reply:#?}");
    } else {
        // `sam local` adds a type where there is none.
        let sam = reply.header("server").starts_with("Werkzeug");
        let media_type = if matches!(status, 204 | 304) && !sam { "" } else { "application/json" };
        assert_eq!(reply.header("content-type"), media_type, "{reply:#?}");
        assert!(!text.contains("password") && !text.contains("$2b$"), "{reply:#?}");
    }
    reply
}
