//! A second gateway and `cargo lambda watch`, with settings of a test's own.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    api::{Api, User},
    database::program,
    relay::Relay,
    workspace::root,
};

/// How long the gateway may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The settings of the functions: those of the stack, to begin with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name and value, in the quotes the env file needs.
    variables: BTreeMap<String, String>,
    concurrency: u8,
    allowed_origins: String,
}

impl Settings {
    /// Those that the stack's own functions have.
    pub fn of_the_stack() -> Self {
        Self::in_file(Path::new(&env::var("LOCAL_ENV_FILE").expect("LOCAL_ENV_FILE is not set: `make test` sets it")))
    }

    /// Those in the env file of a stack.
    pub fn in_file(file: &Path) -> Self {
        let text = fs::read_to_string(file).expect("an env file");
        let variables = text.lines().filter_map(|line| line.split_once('='));
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { variables, concurrency: 1, allowed_origins: "*".to_owned() }
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> &str {
        self.variables.get(name).expect("a setting of the stack").trim_matches(['"', '\''])
    }

    /// With a variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), format!("'{value}'"));
        self
    }

    /// With a variable not set.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// With a relay between the functions and the pooler.
    pub async fn relayed(self) -> (Relay, Self) {
        let (relay, url) = Relay::before(self.get("DATABASE_URL")).await;
        (relay, self.with("DATABASE_URL", &url))
    }

    /// With this many processes of a function side by side, as Lambda has them, where one is the emulator's default.
    #[must_use]
    pub fn side_by_side(mut self, processes: u8) -> Self {
        self.concurrency = processes;
        self
    }

    /// With an API that lets in pages of this origin, and of no other.
    #[must_use]
    pub fn open_to(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.allowed_origins);
        self
    }
}

/// A running gateway with its emulator; both end with this value.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    folder: TempDir,
    /// The API it serves.
    pub api: Api,
}

impl Watch {
    /// Starts one and waits until it listens. A function starts with its first request.
    pub fn start(settings: &Settings) -> Self {
        let folder = TempDir::new().expect("a folder");
        let env_file = folder.path().join("env");
        let lines = settings.variables.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&env_file, lines.collect::<String>()).expect("an env file");
        let log = File::create(folder.path().join("log")).expect("a log");
        let port = free_port();
        let child = Command::new(program("gateway").expect("the gateway"))
            .args(["--port", &port.to_string(), "--allowed-origins", &settings.allowed_origins])
            .args(["--lambda-port", &free_port().to_string(), "--emulator-port", &free_port().to_string(), "--"])
            .arg(env::var_os("CARGO_LAMBDA").expect("CARGO_LAMBDA is not set: `make test` sets it"))
            .args(["lambda", "watch", "--quiet", "--ignore-changes"])
            .args(["--concurrency", &settings.concurrency.to_string(), "--env-file"])
            .arg(&env_file)
            .current_dir(root())
            .env_remove("DATABASE_URL")
            .env_remove("DATABASE_CA_FILE")
            .env_remove("JWT_SIGNING_KEY")
            .env_remove("JWT_PUBLIC_KEYS")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("the gateway");
        let watch = Self { child, folder, api: Api::at(&format!("http://127.0.0.1:{port}")) };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "the gateway does not listen: {}", watch.output());
            sleep(Duration::from_millis(50));
        }
        watch
    }

    /// A user of this API who has signed up at the stack's: no function has started, nothing has been logged.
    pub async fn user(&self) -> User {
        Api::shared().user().await.at(&self.api)
    }

    /// All that the functions, the emulator and the gateway have printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The lines that the functions logged for requests.
    pub fn requests(&self) -> Vec<Value> {
        request_lines(&self.output())
    }

    /// The pid of the gateway; the emulator and the functions' processes are its descendants.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// The lines for requests in a log.
pub fn request_lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "request").collect()
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}
