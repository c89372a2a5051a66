//! Settings and secrets: read from the environment or the Parameter Store, and rotated while the API runs.

use std::{fs, time::Duration};

use auth::SigningKey;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tests::{
    api::{Api, PASSWORD, Reply, User},
    database::{connect_as_superuser, create_functions_role, url_as},
    relay::Relay,
    server::{Settings, TestServer, startup_error},
    store::ParameterStore,
};

async fn get(server: &TestServer, path: &str) -> Reply {
    server.api.send(Method::GET, path, None, None).await
}

#[tokio::test]
async fn a_function_fetches_all_its_settings_with_one_call() {
    let store = ParameterStore::start().await;
    let names = ["DATABASE_URL", "JWT_PUBLIC_KEYS", "JWT_SIGNING_KEY"];
    let settings = store.move_settings(&Settings::shared(), &names).await;
    let server = TestServer::start(&settings);
    let before = store.calls();
    let account = Api::shared().user().await;
    let token = server.api.sign_in(&account.email, PASSWORD).await.expect(200).token();
    assert_eq!(store.calls() - before, 1, "signin: the URL and the key at once");
    let user = User { api: server.api.clone(), token, ..account };
    user.task("x").await;
    assert_eq!(store.calls() - before, 2, "task-create: the URL and the public keys at once");
    user.task("y").await;
    assert_eq!(store.calls() - before, 2, "not again");
}

#[tokio::test]
async fn a_throttled_call_is_retried() {
    let store = ParameterStore::start().await;
    let settings = store.move_settings(&Settings::shared(), &["DATABASE_URL"]).await;
    let before = store.calls();
    let server = TestServer::start(&settings.with("AWS_ENDPOINT_URL_SSM", &store.throttled(3).await));
    get(&server, "/health").await.expect(200);
    assert_eq!(store.calls() - before, 1);
    let log = server.output();
    let throttled: Vec<_> = log.lines().filter(|line| line.contains("the Parameter Store was not read")).collect();
    assert_eq!(throttled.len(), 3, "{log}");
    assert!(
        throttled.iter().all(|line| line.contains("ThrottlingException") && line.contains("health")),
        "{throttled:#?}"
    );
}

/// As the template names them: no file, and a folder that has a file of all authorities, and others.
#[tokio::test]
async fn the_store_is_trusted_by_the_authorities_in_the_folder() {
    let (store, folder) = (ParameterStore::start().await, TempDir::new().unwrap());
    let settings = store.move_settings(&Settings::shared(), &["DATABASE_URL"]).await;
    let own = fs::read_to_string(settings.get("DATABASE_CA_FILE")).unwrap();
    fs::write(folder.path().join("ca-bundle.trust.crt"), own.replace("CERTIFICATE", "TRUSTED CERTIFICATE")).unwrap();
    let settings = settings.with("SSL_CERT_FILE", "/dev/null").with("SSL_CERT_DIR", folder.path().to_str().unwrap());
    let settings = settings.with("AWS_ENDPOINT_URL_SSM", &store.over_tls().await);
    fs::write(folder.path().join("ca-bundle.crt"), own).unwrap();
    get(&TestServer::start(&settings), "/health").await.expect(200);
}

#[tokio::test]
async fn values_in_the_environment_take_precedence_over_the_store() {
    let store = ParameterStore::start().await;
    let settings = store.move_settings(&Settings::shared(), &[]).await.with("DATABASE_URL_PARAMETER", "/ignored");
    let server = TestServer::start(&settings);
    get(&server, "/health").await.expect(200);
    get(&server, "/.well-known/jwks.json").await.expect(200);
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn a_missing_or_invalid_setting_is_named_when_the_function_starts() {
    let store = ParameterStore::start().await;
    let settings = Settings::shared();
    let wrong_name = store.move_settings(&settings, &["DATABASE_URL"]).await.with("DATABASE_URL_PARAMETER", "/no/such");
    let empty = store.move_settings(&settings, &["DATABASE_URL"]).await.with("DATABASE_URL_PARAMETER", "/nothing");
    store.put("/nothing", " \n").await;
    let no_store = wrong_name.clone().with("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9");
    for (settings, path, parts) in [
        (settings.clone().without("DATABASE_URL"), "/health", &["DATABASE_URL", "DATABASE_URL_PARAMETER"][..]),
        (settings.clone().with("DATABASE_URL", "mysql://u:hidden@h/d"), "/health", &["DATABASE_URL"]),
        (settings.clone().with("DATABASE_CA_FILE", "/no/such/file"), "/health", &["DATABASE_CA_FILE"]),
        (settings.clone().with("JWT_PUBLIC_KEYS", "hidden"), "/.well-known/jwks.json", &["JWT_PUBLIC_KEYS"]),
        (settings.clone().with("JWT_PUBLIC_KEYS", " \t"), "/.well-known/jwks.json", &["neither JWT_PUBLIC_KEYS nor"]),
        (wrong_name, "/health", &["DATABASE_URL", "\"/no/such\""]),
        (empty, "/health", &["DATABASE_URL is empty in parameter \"/nothing\""]),
        (no_store, "/health", &["Parameter Store"]),
    ] {
        let line = startup_error(&settings, path).await;
        assert!(parts.iter().all(|part| line.contains(part)) && !line.contains("hidden"), "{line}");
    }
}

#[tokio::test]
async fn an_invalid_token_lifetime_is_reported_when_a_function_starts() {
    for lifetime in ["0", "+60", "-1", "86401", "1e3", "an hour"] {
        let settings = Settings::shared().with("TOKEN_LIFETIME_SECONDS", lifetime);
        let line = startup_error(&settings, "/users/00000000-0000-4000-8000-000000000000").await;
        assert!(line.contains("TOKEN_LIFETIME_SECONDS") && line.contains("from 1 to 86400"), "{lifetime}: {line}");
    }
}

#[tokio::test]
async fn white_space_around_a_setting_is_ignored() {
    let settings = Settings::shared();
    let names = ["DATABASE_URL", "JWT_PUBLIC_KEYS", "JWT_SIGNING_KEY"];
    let store = ParameterStore::start().await;
    let mut stored = store.move_settings(&settings, &names).await;
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
        let server = TestServer::start(&settings);
        let session = server.api.sign_in(&account.email, PASSWORD).await.expect(200);
        assert_eq!(session.body["expires_in"], 60);
        let user = User { api: server.api.clone(), token: session.token(), ..account.clone() };
        user.get("").await.expect(200);
        // The token is valid with the shared settings, too.
        user.via(&Api::shared()).get("").await.expect(200);
        get(&server, "/.well-known/jwks.json").await.expect(200);
    }
}

#[tokio::test]
async fn a_rotated_database_password_needs_no_restart() {
    let database = connect_as_superuser().await;
    create_functions_role(&database, "rotated", "before").await;
    let (relay, url) = Relay::in_front_of(&url_as("rotated", "before")).await;
    let store = ParameterStore::start().await;
    let settings = Settings::shared().with("DATABASE_URL", &url);
    let server = TestServer::start(&store.move_settings(&settings, &["DATABASE_URL"]).await);
    let user = server.user().await;
    user.get("").await.expect(200);

    database.batch_execute("ALTER ROLE rotated PASSWORD 'after'").await.unwrap();
    user.get("").await.expect(200);
    relay.cut();
    // The new password is not stored yet: the client gets its 503 at once, not when the budget is used up. One attempt
    // may have gone into finding that the connection is closed.
    let refused = user.get("").await.expect(503);
    let line = server.requests().pop().unwrap();
    assert_eq!(line["request_id"], refused.body["request_id"]);
    assert!(line["attempts"].as_u64() <= Some(2), "{line}");

    store.put("/task-api/DATABASE_URL", &relay.url(&url_as("rotated", "after"))).await;
    // The store is read again only after some seconds.
    let mut answers = Vec::new();
    while answers.last() != Some(&200) && answers.len() < 100 {
        answers.push(user.get("").await.status);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(answers.last(), Some(&200));
    relay.cut();
    user.get("").await.expect(200);
    assert!(!server.output().contains("before") && !server.output().contains("after"));
    drop(server);
    database.batch_execute("DROP ROLE rotated").await.unwrap();
}

#[tokio::test]
async fn a_key_rotation_refuses_no_token_before_its_last_step() {
    let account = Api::shared().user().await;
    let settings = Settings::shared();
    let old: SigningKey = settings.get("JWT_SIGNING_KEY").parse().unwrap();
    let new = SigningKey::generate().unwrap();
    let both = format!("{},{}", old.public(), new.public());
    let accepts = async |server: &TestServer, token: &str| {
        server.api.send(Method::GET, &account.path(""), Some(token), None).await.status == 200
    };
    let old_token = account.token.clone();

    let overlap = TestServer::start(
        &settings.clone().with("JWT_PUBLIC_KEYS", &both).with("JWT_SIGNING_KEY", &new.to_secret().unwrap()),
    );
    let new_token = overlap.api.sign_in(&account.email, PASSWORD).await.expect(200).token();
    assert!(accepts(&overlap, &old_token).await && accepts(&overlap, &new_token).await);
    let keys = get(&overlap, "/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    assert_eq!(keys.body["keys"].as_array().unwrap().len(), 2);
    assert!(keys.body["keys"].as_array().unwrap().iter().all(|key| key["d"].is_null() && key["alg"] == "EdDSA"));

    let after = TestServer::start(&settings.with("JWT_PUBLIC_KEYS", &new.public().to_string()));
    assert!(!accepts(&after, &old_token).await && accepts(&after, &new_token).await);
}

#[tokio::test]
async fn only_signin_and_token_refresh_need_the_signing_key() {
    let account = Api::shared().user().await;
    let settings = Settings::shared();
    let without = TestServer::start(&settings.clone().without("JWT_SIGNING_KEY"));
    let user = account.via(&without.api);
    user.task("x").await;
    user.put("", &json!({"current_password": PASSWORD, "password": "another password"})).await.expect(200);
    without.api.sign_up(&tests::api::fresh_email()).await.expect(201);
    get(&without, "/.well-known/jwks.json").await.expect(200);

    // A malformed key would stop a function that reads it.
    let nonsense = TestServer::start(&settings.with("JWT_SIGNING_KEY", "nonsense"));
    user.via(&nonsense.api).get("").await.expect(200);
}
