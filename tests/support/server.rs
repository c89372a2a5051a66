//! An API of a test's own: a second gateway and `cargo lambda watch`, with other settings.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    api::{Api, User},
    database::program,
    relay::Relay,
    service::{Service, free_port},
    workspace::{root, variable},
};

/// How long a function may take to fail to start.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of an API: the environment of its functions, and how they run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Values in the quotes that the env file needs.
    variables: BTreeMap<String, String>,
    /// Where the functions' code is.
    checkout: PathBuf,
    concurrency: u8,
    allowed_origins: String,
}

impl Settings {
    /// Those of the API that all tests share.
    pub fn shared() -> Self {
        Self::in_file(Path::new(&variable("LOCAL_ENV_FILE")))
    }

    pub fn in_file(file: &Path) -> Self {
        let text = fs::read_to_string(file).expect("an env file");
        let variables = text.lines().filter_map(|line| line.split_once('='));
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { variables, checkout: root().to_owned(), concurrency: 1, allowed_origins: "*".to_owned() }
    }

    pub fn get(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("no {name} in the settings")).trim_matches(['"', '\''])
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), format!("'{value}'"));
        self
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// Puts a relay between the functions and the pooler.
    pub async fn with_relay(self) -> (Relay, Self) {
        let (relay, url) = Relay::in_front_of(self.get("DATABASE_URL")).await;
        (relay, self.with("DATABASE_URL", &url))
    }

    /// Runs the functions of another checkout, which it has built in its own `target`.
    #[must_use]
    pub fn of_checkout(mut self, checkout: &Path) -> Self {
        checkout.clone_into(&mut self.checkout);
        self
    }

    /// Runs this many processes of each function, as Lambda does under load; the default is one.
    #[must_use]
    pub fn concurrency(mut self, processes: u8) -> Self {
        self.concurrency = processes;
        self
    }

    /// Sets the one origin that CORS allows; the default is any.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.allowed_origins);
        self
    }
}

/// A running gateway with its emulator; both end when this is dropped.
#[derive(Debug)]
pub struct TestServer {
    service: Service,
    pub api: Api,
}

impl TestServer {
    /// Starts one and waits until it listens. A function starts with its first request.
    pub fn start(settings: &Settings) -> Self {
        let folder = TempDir::new().expect("a folder");
        let env_file = folder.path().join("env");
        let lines = settings.variables.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&env_file, lines.collect::<String>()).expect("an env file");
        let port = free_port();
        let mut gateway = Command::new(program("gateway").expect("the gateway"));
        gateway
            .args(["--port", &port.to_string(), "--allowed-origins", &settings.allowed_origins])
            .args(["--lambda-port", &free_port().to_string(), "--emulator-port", &free_port().to_string(), "--"])
            .arg(variable("CARGO_LAMBDA"))
            .args(["lambda", "watch", "--quiet", "--ignore-changes"])
            .args(["--concurrency", &settings.concurrency.to_string(), "--env-file"])
            .arg(&env_file)
            .current_dir(&settings.checkout)
            .process_group(0);
        if settings.checkout != root() {
            gateway.env("CARGO_TARGET_DIR", settings.checkout.join("target"));
        }
        for name in [
            "DATABASE_URL",
            "DATABASE_CA_FILE",
            "JWT_SIGNING_KEY",
            "JWT_PUBLIC_KEYS",
            "MAIL_FROM",
            "MAIL_FOLDER",
            "PAGE_URL",
        ] {
            gateway.env_remove(name);
        }
        let service = Service::start(folder, port, &mut gateway);
        Self { service, api: Api::at(&format!("http://127.0.0.1:{port}")) }
    }

    /// A user of this API who has signed up at the shared one: no function has started here, nothing has been logged.
    pub async fn user(&self) -> User {
        Api::shared().user().await.via(&self.api)
    }

    /// The lines that the functions, the emulator and the gateway have printed.
    pub fn output(&self) -> String {
        self.service.output()
    }

    /// The lines that the functions logged for requests.
    pub fn requests(&self) -> Vec<Value> {
        request_lines(&self.output())
    }

    /// The pid of the gateway; the emulator and the functions' processes are its descendants.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }
}

/// Sends a request to a function that cannot start; its error message.
pub async fn startup_error(settings: &Settings, path: &str) -> String {
    let server = TestServer::start(settings);
    // The emulator never answers for a function that does not start.
    let request = tokio::spawn(server.api.request(Method::GET, path).send());
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let output = server.output();
        if let Some((_, error)) = output.lines().find_map(|line| line.split_once("Error: ")) {
            request.abort();
            return error.to_owned();
        }
        assert!(Instant::now() < deadline, "no error in {output}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The lines for requests in a log.
pub fn request_lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "request").collect()
}
