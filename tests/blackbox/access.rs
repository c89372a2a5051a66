//! Authorization: two users, every route, every kind of token, and the order of the checks.

use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, reply, two_users},
    workspace::{Route, routes},
};

/// The id of no task.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// A valid body for a route, and the status on success. A new route needs a line here.
fn success(route: &Route) -> (Option<Value>, u16) {
    match route.function.as_str() {
        "user-get" | "user-summary" | "sessions-list" | "tasks-list" | "task-get" => (None, 200),
        "user-update" => (Some(json!({"current_password": PASSWORD, "password": PASSWORD})), 200),
        "task-create" => (Some(json!({"title": "x"})), 201),
        "task-update" => (Some(json!({"completed": true})), 200),
        "task-delete" | "session-end" | "user-delete" => (None, 204),
        unknown => panic!("{unknown} is not in the access matrix"),
    }
}

/// The routes that require a token; those that end sessions come last, and the one that deletes the user after them.
fn protected_routes() -> Vec<Route> {
    let mut routes: Vec<Route> = routes().into_iter().filter(Route::is_protected).collect();
    assert!(routes.len() >= 8);
    routes.sort_by_key(|route| (route.function == "user-delete", route.function == "session-end"));
    routes
}

/// The user with a token that holds, whatever the routes before have ended.
async fn signed_in(user: &User, route: &Route) -> User {
    match route.function.as_str() {
        "session-end" | "user-delete" => user.signed_in_again().await,
        _ => user.clone(),
    }
}

async fn send(api: &Api, route: &Route, path: &str, authorization: Option<&str>) -> Reply {
    let mut request = api.request(route.method(), path);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    if let (Some(body), _) = success(route) {
        request = request.json(&body);
    }
    reply(request).await
}

fn id(task: &Value) -> &str {
    task["id"].as_str().unwrap()
}

#[tokio::test]
async fn every_protected_route_accepts_its_owners_token_alone() {
    let (owner, other) = two_users().await;
    let bearer = |user: &User| format!("Bearer {}", user.token);
    for route in protected_routes() {
        let owner = signed_in(&owner, &route).await;
        let task = owner.task("mine").await;
        let path = route.path_of(&owner.id, id(&task));
        let challenge = async |authorization: Option<&str>| {
            let reply = send(&owner.api, &route, &path, authorization).await;
            assert_eq!(reply.status, 401, "{route:?} with {authorization:?}: {reply:?}");
            reply.header("www-authenticate").to_owned()
        };

        for missing in [None, Some(""), Some("Basic YTpi"), Some(owner.token.as_str()), Some("Bearer")] {
            assert_eq!(challenge(missing).await, "Bearer", "{route:?} with {missing:?}");
        }
        for bad in ["Bearer x", "Bearer a.b.c", "bearer null", "Bearer x y"] {
            assert_eq!(challenge(Some(bad)).await, "Bearer error=\"invalid_token\"", "{route:?} with {bad:?}");
        }
        let foreign = send(&owner.api, &route, &path, Some(&bearer(&other))).await;
        assert_eq!(foreign.status, 403, "{route:?} with another's token: {foreign:?}");
        let own = send(&owner.api, &route, &path, Some(&bearer(&owner))).await;
        assert_eq!(own.status, success(&route).1, "{route:?} with the owner's token: {own:?}");
    }
}

#[tokio::test]
async fn a_cookie_alone_opens_no_protected_route() {
    let owner = Api::shared().user().await;
    let task = owner.task("mine").await;
    let body = json!({"email": owner.email, "password": PASSWORD, "cookie": true});
    let session = owner.api.send(Method::POST, "/users/signin", None, Some(&body)).await.expect(200);
    let cookie = session.header("set-cookie").split(';').next().unwrap().to_owned();
    for route in protected_routes() {
        let mut request =
            owner.api.request(route.method(), &route.path_of(&owner.id, id(&task))).header(COOKIE, &cookie);
        if let (Some(body), _) = success(&route) {
            request = request.json(&body);
        }
        let refused = reply(request).await.expect(401);
        assert_eq!(refused.header("www-authenticate"), "Bearer", "{route:?}");
        assert_eq!(refused.body["code"], "token_missing", "{route:?}");
    }
    // It is a good one.
    let refresh = owner.api.request(Method::POST, "/users/token").header(COOKIE, &cookie).json(&json!({}));
    reply(refresh).await.expect(200);
}

#[tokio::test]
async fn me_is_the_tokens_own_user_on_every_route() {
    let (user, other) = two_users().await;
    for route in protected_routes() {
        let user = signed_in(&user, &route).await;
        let task = user.task("mine").await;
        let path = route.path_of("me", id(&task));
        let foreign = send(&user.api, &route, &path, Some(&format!("Bearer {}", other.token))).await;
        if route.path.contains("{task_id}") {
            assert_eq!(foreign.status, 403, "{route:?}: not the other's task: {foreign:?}");
        }
        let own = send(&user.api, &route, &path, Some(&format!("Bearer {}", user.token))).await;
        assert_eq!(own.status, success(&route).1, "{route:?}: {own:?}");
        if route.function == "task-create" {
            let created = user.api.send(reqwest::Method::GET, own.location().path(), Some(&user.token), None).await;
            assert_eq!(created.expect(200).body["user_id"], user.id.as_str());
        }
    }
}

#[tokio::test]
async fn another_users_requests_change_nothing() {
    let (owner, other) = two_users().await;
    let task = owner.task("mine").await;
    let account = owner.get("").await.expect(200).body;
    for route in protected_routes() {
        let path = route.path_of(&owner.id, id(&task));
        send(&owner.api, &route, &path, Some(&format!("Bearer {}", other.token))).await.expect(403);
        // Nor is the task below their own path.
        if route.path.contains("{task_id}") {
            let path = route.path_of(&other.id, id(&task));
            send(&owner.api, &route, &path, Some(&format!("Bearer {}", other.token))).await.expect(403);
        }
    }
    assert_eq!(owner.get("").await.expect(200).body, account);
    assert_eq!(owner.get("/tasks").await.expect(200).body, json!([task]));
    assert_eq!(other.get("/tasks").await.expect(200).body, json!([]));
}

#[tokio::test]
async fn another_users_task_is_indistinguishable_from_a_missing_one() {
    let (owner, other) = two_users().await;
    let task = owner.task("mine").await;
    for route in protected_routes().iter().filter(|route| route.path.contains("{task_id}")) {
        let answer = async |task: &str| {
            let path = route.path_of(&other.id, task);
            let mut reply = send(&other.api, route, &path, Some(&format!("Bearer {}", other.token))).await.expect(403);
            reply.body["request_id"] = Value::Null;
            reply.body
        };
        assert_eq!(answer(id(&task)).await, answer(UNKNOWN).await, "{route:?}");
    }
}

#[tokio::test]
async fn a_deleted_users_token_is_refused_on_every_route() {
    let (gone, _) = two_users().await;
    let task = gone.task("mine").await;
    gone.delete("").await.expect(204);
    for route in protected_routes() {
        let path = route.path_of(&gone.id, id(&task));
        let reply = send(&gone.api, &route, &path, Some(&format!("Bearer {}", gone.token))).await;
        assert_eq!(reply.status, 401, "{route:?}: {reply:?}");
        assert_eq!(reply.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{route:?}");
    }
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session_on_every_route() {
    let (user, _) = two_users().await;
    let other = user.signed_in_again().await;
    let task = user.task("mine").await;
    user.put("", &json!({"current_password": PASSWORD, "password": "another password"})).await.expect(200);
    for route in protected_routes() {
        let path = route.path_of(&user.id, id(&task));
        let reply = send(&user.api, &route, &path, Some(&format!("Bearer {}", other.token))).await;
        assert_eq!(reply.status, 401, "{route:?}");
        assert_eq!(reply.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{route:?}");
        assert_eq!(reply.body["code"], "session_ended", "{route:?}");
    }
    assert_eq!(user.get("/tasks").await.expect(200).body, json!([task]), "the caller's session goes on");
    user.api.sign_in(&user.email, "another password").await.expect(200);
}

#[tokio::test]
async fn the_token_of_a_session_that_has_ended_is_refused_on_every_route() {
    let (user, _) = two_users().await;
    let task = user.task("mine").await;
    let ended = user.signed_in_again().await;
    ended.delete("/sessions/current").await.expect(204);
    for route in protected_routes() {
        let path = route.path_of(&user.id, id(&task));
        let reply = send(&user.api, &route, &path, Some(&format!("Bearer {}", ended.token))).await;
        assert_eq!((reply.status, &reply.body["code"]), (401, &json!("session_ended")), "{route:?}");
    }
    assert_eq!(user.get("/tasks").await.expect(200).body, json!([task]), "nothing was done");
}

#[tokio::test]
async fn the_checks_are_made_in_the_contracts_order() {
    let (user, other) = two_users().await;
    let not_uuids = ["1", "%20", "users", "g0000000-0000-4000-8000-000000000000", "00000000000040008000000000000000x"];
    for route in protected_routes() {
        let with = async |path: &str, token: &str| {
            // The body's media type and the query are wrong, too, and checked last.
            let request = user.api.request(route.method(), &format!("{path}?limit=none"));
            reply(request.bearer_auth(token).header(CONTENT_TYPE, "text/plain").body("no JSON")).await.status
        };
        for id in not_uuids {
            let path = route.path_of(id, id);
            assert_eq!(with(&path, "forged").await, 401, "{route:?}: the token comes before the path {path:?}");
            assert_eq!(with(&path, &user.token).await, 400, "{route:?}: {path:?} is no id");
        }
        if route.path.contains("{task_id}") {
            let path = route.path_of(&other.id, "1");
            assert_eq!(with(&path, &user.token).await, 400, "{route:?}: no id comes before another's");
        }
        let path = route.path_of(&other.id, UNKNOWN);
        assert_eq!(with(&path, &user.token).await, 403, "{route:?}: another's path comes before query and body");
    }
}

#[tokio::test]
async fn routes_without_a_token_ignore_one() {
    let api = Api::shared();
    let public: Vec<Route> = routes().into_iter().filter(|route| !route.is_protected()).collect();
    for route in public {
        let status = match route.function.as_str() {
            "docs" | "health" | "jwks" | "web" => 200,
            "signup" | "signin" | "token-refresh" | "password-reset-request" | "password-reset" => 415,
            unknown => panic!("{unknown} is neither protected nor known to be public"),
        };
        assert_eq!(
            reply(api.request(route.method(), &route.path_of("", "")).bearer_auth("x")).await.status,
            status,
            "{route:?}"
        );
    }
}
