//! Secrets: by name from the Parameter Store, and rotated while the API runs.

use std::time::{Duration, Instant};

use auth::SigningKey;
use reqwest::Method;
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, Reply, User},
    database::{connect, direct_url},
    relay::Relay,
    store::ParameterStore,
    watch::{Settings, Watch},
};
use tokio_postgres::Client;

async fn get(watch: &Watch, path: &str) -> Reply {
    watch.api.send(Method::GET, path, None, None).await
}

/// Sends a request to a function that cannot start; what it says.
pub(crate) async fn refusal_to_start(settings: &Settings, path: &str) -> String {
    let watch = Watch::start(settings);
    // The emulator holds the request for a function that never asks for it.
    let request = tokio::spawn(watch.api.request(Method::GET, path).send());
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = watch.output();
        if let Some((_, error)) = output.lines().find_map(|line| line.split_once("Error: ")) {
            request.abort();
            return error.to_owned();
        }
        assert!(Instant::now() < deadline, "no error in {output}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_function_fetches_all_it_needs_with_one_call_and_works() {
    let store = ParameterStore::start().await;
    let names = ["DATABASE_URL", "JWT_PUBLIC_KEYS", "JWT_SIGNING_KEY"];
    let settings = store.holding(&Settings::of_the_stack(), &names).await;
    let watch = Watch::start(&settings);
    let before = store.calls();
    let account = Api::shared().user().await;
    let token = watch.api.sign_in(&account.email, PASSWORD).await.expect(200).token();
    assert_eq!(store.calls() - before, 1, "signin: the URL and the key at once");
    let user = User { api: watch.api.clone(), token, ..account };
    user.task("x").await;
    assert_eq!(store.calls() - before, 2, "task-create: the URL and the public keys at once");
    user.task("y").await;
    assert_eq!(store.calls() - before, 2, "not again");
}

#[tokio::test]
async fn a_call_that_is_throttled_is_made_again() {
    let store = ParameterStore::start().await;
    let settings = store.holding(&Settings::of_the_stack(), &["DATABASE_URL"]).await;
    let before = store.calls();
    let watch = Watch::start(&settings.with("AWS_ENDPOINT_URL_SSM", &store.behind_a_gate(3).await));
    get(&watch, "/health").await.expect(200);
    assert_eq!(store.calls() - before, 1);
}

#[tokio::test]
async fn with_the_values_in_the_environment_nobody_is_asked() {
    let store = ParameterStore::start().await;
    let settings = store.holding(&Settings::of_the_stack(), &[]).await.with("DATABASE_URL_PARAMETER", "/ignored");
    let watch = Watch::start(&settings);
    get(&watch, "/health").await.expect(200);
    get(&watch, "/.well-known/jwks.json").await.expect(200);
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn a_setting_that_is_not_to_be_had_is_named_when_the_function_starts() {
    let store = ParameterStore::start().await;
    let settings = Settings::of_the_stack();
    let somewhere_else = store.holding(&settings, &["DATABASE_URL"]).await.with("DATABASE_URL_PARAMETER", "/no/such");
    let nothing_in_it = store.holding(&settings, &["DATABASE_URL"]).await.with("DATABASE_URL_PARAMETER", "/nothing");
    store.put("/nothing", " \n").await;
    let nobody_there = somewhere_else.clone().with("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9");
    for (settings, path, said) in [
        (settings.clone().without("DATABASE_URL"), "/health", &["DATABASE_URL", "DATABASE_URL_PARAMETER"][..]),
        (settings.clone().with("DATABASE_URL", "mysql://u:hidden@h/d"), "/health", &["DATABASE_URL"]),
        (settings.clone().with("DATABASE_CA_FILE", "/no/such/file"), "/health", &["DATABASE_CA_FILE"]),
        (settings.clone().with("JWT_PUBLIC_KEYS", "hidden"), "/.well-known/jwks.json", &["JWT_PUBLIC_KEYS"]),
        (settings.clone().with("JWT_PUBLIC_KEYS", " \t"), "/.well-known/jwks.json", &["neither JWT_PUBLIC_KEYS nor"]),
        (somewhere_else, "/health", &["DATABASE_URL", "\"/no/such\""]),
        (nothing_in_it, "/health", &["DATABASE_URL is empty in parameter \"/nothing\""]),
        (nobody_there, "/health", &["Parameter Store"]),
    ] {
        let line = refusal_to_start(&settings, path).await;
        assert!(said.iter().all(|part| line.contains(part)) && !line.contains("hidden"), "{line}");
    }
}

#[tokio::test]
async fn a_lifetime_of_tokens_that_makes_no_sense_is_refused_when_a_function_starts() {
    for lifetime in ["0", "+60", "-1", "86401", "1e3", "an hour"] {
        let settings = Settings::of_the_stack().with("TOKEN_LIFETIME_SECONDS", lifetime);
        let line = refusal_to_start(&settings, "/users/00000000-0000-4000-8000-000000000000").await;
        assert!(line.contains("TOKEN_LIFETIME_SECONDS") && line.contains("from 1 to 86400"), "{lifetime}: {line}");
    }
}

#[tokio::test]
async fn white_space_around_a_setting_is_not_part_of_it() {
    let settings = Settings::of_the_stack();
    let names = ["DATABASE_URL", "JWT_PUBLIC_KEYS", "JWT_SIGNING_KEY"];
    let store = ParameterStore::start().await;
    let mut stored = store.holding(&settings, &names).await;
    for name in names {
        store.put(&format!("/task-api/{name}"), &format!("\t{}\r\n", settings.get(name))).await;
    }
    let with_others = [("JWT_ISSUER", "task-api\t"), ("JWT_AUDIENCE", " "), ("TOKEN_LIFETIME_SECONDS", " 60 ")];
    for (name, value) in with_others {
        stored = stored.with(name, value);
    }
    let mut set = stored.clone();
    for name in names.into_iter().chain(["DATABASE_CA_FILE"]) {
        set = set.with(name, &format!(" {}\t", settings.get(name)));
    }
    let account = Api::shared().user().await;
    for settings in [stored, set] {
        let watch = Watch::start(&settings);
        let session = watch.api.sign_in(&account.email, PASSWORD).await.expect(200);
        assert_eq!(session.body["expires_in"], 60);
        let user = User { api: watch.api.clone(), token: session.token(), ..account.clone() };
        user.get("").await.expect(200);
        // The stack's own settings say the same.
        user.at(&Api::shared()).get("").await.expect(200);
        get(&watch, "/.well-known/jwks.json").await.expect(200);
    }
}

/// A role of the database's own for one test, which may do what the API's role may.
async fn role(database: &Client, name: &str, password: &str) {
    let sql = format!("DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE task_api");
    database.batch_execute(&sql).await.unwrap();
}

/// The direct endpoint as another role.
fn url_as(name: &str, password: &str) -> String {
    let mut url: reqwest::Url = direct_url().unwrap().parse().unwrap();
    url.set_username(name).unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}

#[tokio::test]
async fn a_rotated_database_password_needs_no_restart() {
    let superuser = {
        let mut url: reqwest::Url = direct_url().unwrap().parse().unwrap();
        url.set_username("postgres").unwrap();
        url
    };
    let database = connect(superuser.as_str()).await.unwrap();
    role(&database, "rotated", "before").await;
    let (relay, url) = Relay::before(&url_as("rotated", "before")).await;
    let store = ParameterStore::start().await;
    let settings = Settings::of_the_stack().with("DATABASE_URL", &url);
    let watch = Watch::start(&store.holding(&settings, &["DATABASE_URL"]).await);
    let user = watch.user().await;
    user.get("").await.expect(200);

    database.batch_execute("ALTER ROLE rotated PASSWORD 'after'").await.unwrap();
    user.get("").await.expect(200);
    relay.cut();
    // Not yet stored: nobody gets in, and the client hears so at once instead of after the whole budget. The first
    // attempt may have gone to find out that the connection is gone.
    let refused = user.get("").await.expect(503);
    let line = watch.requests().pop().unwrap();
    assert_eq!(line["request_id"], refused.body["request_id"]);
    assert!(line["attempts"].as_u64() <= Some(2), "{line}");

    store.put("/task-api/DATABASE_URL", &relay.url(&url_as("rotated", "after"))).await;
    // It is not asked for more often than every few seconds.
    let mut answers = Vec::new();
    while answers.last() != Some(&200) && answers.len() < 100 {
        answers.push(user.get("").await.status);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(answers.last(), Some(&200));
    relay.cut();
    user.get("").await.expect(200);
    assert!(!watch.output().contains("before") && !watch.output().contains("after"));
    drop(watch);
    database.batch_execute("DROP ROLE rotated").await.unwrap();
}

#[tokio::test]
async fn a_rotation_of_the_keys_refuses_no_token_before_its_end() {
    let account = Api::shared().user().await;
    let settings = Settings::of_the_stack();
    let old: SigningKey = settings.get("JWT_SIGNING_KEY").parse().unwrap();
    let new = SigningKey::generate().unwrap();
    let both = format!("{},{}", old.public(), new.public());
    let accepts = async |watch: &Watch, token: &str| {
        watch.api.send(Method::GET, &account.path(""), Some(token), None).await.status == 200
    };
    let old_token = account.token.clone();

    let overlap = Watch::start(
        &settings.clone().with("JWT_PUBLIC_KEYS", &both).with("JWT_SIGNING_KEY", &new.to_secret().unwrap()),
    );
    let new_token = overlap.api.sign_in(&account.email, PASSWORD).await.expect(200).token();
    assert!(accepts(&overlap, &old_token).await && accepts(&overlap, &new_token).await);
    let keys = get(&overlap, "/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    assert_eq!(keys.body["keys"].as_array().unwrap().len(), 2);
    assert!(keys.body["keys"].as_array().unwrap().iter().all(|key| key["d"].is_null() && key["alg"] == "EdDSA"));

    let after = Watch::start(&settings.with("JWT_PUBLIC_KEYS", &new.public().to_string()));
    assert!(!accepts(&after, &old_token).await && accepts(&after, &new_token).await);
}

#[tokio::test]
async fn only_signin_needs_the_signing_key() {
    let account = Api::shared().user().await;
    let settings = Settings::of_the_stack();
    let without = Watch::start(&settings.clone().without("JWT_SIGNING_KEY"));
    let user = account.at(&without.api);
    user.task("x").await;
    user.put("", &json!({"current_password": PASSWORD, "password": "another password"})).await.expect(200);
    without.api.sign_up(&tests::api::fresh_email()).await.expect(201);
    get(&without, "/.well-known/jwks.json").await.expect(200);

    // A key that is none would stop a function that reads it.
    let nonsense = Watch::start(&settings.with("JWT_SIGNING_KEY", "nonsense"));
    user.at(&nonsense.api).get("").await.expect(401);
}
