//! The local stack as `cargo xtask` supervises it: Ctrl-C, parts that die, and a second start.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tests::database::{migrations, program};

/// Of a workspace with one function.
const MANIFEST: &str = r#"
[package]
name = "stand-in"
edition = "2024"

[workspace.metadata.lambda.watch.router]
"/" = [{ function = "stand-in", method = "GET" }]
"#;

/// A folder that the servers' user can enter.
pub(crate) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A checkout with as much in it as its database needs.
pub(crate) fn checkout(folder: &TempDir) -> PathBuf {
    let checkout = folder.path().canonicalize().unwrap().join("one");
    let migrate = format!(
        "fn main() {{
            let arguments = std::env::args_os().skip(1);
            let status = std::process::Command::new({:?}).args(arguments).status().unwrap();
            std::process::exit(status.code().unwrap());
        }}",
        program("migrate").unwrap()
    );
    for (file, text) in [
        ("Cargo.toml", MANIFEST),
        ("src/main.rs", "fn main() {}\n"),
        ("src/bin/gateway.rs", "fn main() {}\n"),
        ("src/bin/migrate.rs", &migrate),
        ("tools/cli/Cargo.toml", ""),
        (".local/dev/logs/x.log", ""),
    ] {
        let file = checkout.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    copy(&migrations(), &checkout.join("migrations"));
    checkout
}

pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// `cargo xtask`, as built in the checkout that is tested, run in another.
pub(crate) fn xtask(folder: &Path, arguments: &[&str]) -> Command {
    let mut xtask = Command::new(program("xtask").unwrap());
    xtask.args(arguments).current_dir(folder).env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_TARGET_DIR");
    xtask.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    xtask
}

/// The error message of a command that failed.
pub(crate) fn error_of(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `cargo xtask db` in a checkout.
pub(crate) struct Database {
    xtask: Child,
    pub(crate) port: u16,
    pub(crate) output: String,
    pids: PathBuf,
}

impl Database {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(checkout: &Path, port: u16) -> Self {
        let mut xtask = xtask(checkout, &["db", "--dev-port", &port.to_string()]).spawn().unwrap();
        let mut output = String::new();
        let mut lines = BufReader::new(xtask.stdout.take().unwrap());
        while !output.contains("The database is ready") {
            if lines.read_line(&mut output).unwrap() == 0 {
                xtask.stderr.take().unwrap().read_to_string(&mut output).unwrap();
                panic!("the database does not start: {output}");
            }
        }
        // It goes on writing.
        xtask.stdout = Some(lines.into_inner());
        Self { xtask, port, output, pids: checkout.join(".local/dev/pids") }
    }

    #[track_caller]
    pub(crate) fn assert_is_up(&mut self) {
        assert!(self.xtask.try_wait().unwrap().is_none(), "`cargo xtask db` has ended");
        assert!(self.servers().iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()));
    }

    #[track_caller]
    fn assert_is_down(checkout: &Path, port: u16) {
        assert!((port..port + PORTS).all(|port| TcpStream::connect(("127.0.0.1", port)).is_err()));
        assert!(!checkout.join(".local/dev/pids").exists());
    }

    fn servers(&self) -> [u16; 2] {
        [self.port + 1, self.port + 2]
    }

    fn pid_of(&self, part: &str) -> u32 {
        let pids = fs::read_to_string(&self.pids).unwrap();
        let line = pids.lines().find(|line| line.ends_with(part)).unwrap();
        line.split_once(' ').unwrap().0.parse().unwrap()
    }

    /// Ends as by Ctrl-C.
    pub(crate) fn stop(mut self) {
        signal(self.xtask.id(), Signal::INT);
        assert!(self.xtask.wait().unwrap().success());
    }

    /// Kills `cargo xtask` alone, which leaves the servers behind.
    pub(crate) fn kill(mut self) {
        signal(self.xtask.id(), Signal::KILL);
        self.xtask.wait().unwrap();
    }
}

impl Drop for Database {
    /// For a test that has failed.
    fn drop(&mut self) {
        if let Ok(None) = self.xtask.try_wait() {
            signal(self.xtask.id(), Signal::INT);
            let _ = self.xtask.wait();
        }
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
}

/// The ports of a stack: its `DEV_PORT` and those after it.
const PORTS: u16 = 5;

/// The first of the free ports in a row that a stack takes, below those that the system gives out.
pub(crate) fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1000 * 10).unwrap();
    loop {
        let port = 15_000 + (start + NEXT.fetch_add(PORTS, Ordering::Relaxed)) % 10_000;
        if (port..port + PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return port;
        }
    }
}

#[test]
fn ctrl_c_and_sigterm_stop_the_servers_and_are_no_failure() {
    let folder = folder();
    let one = checkout(&folder);
    for end in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut database = Database::start(&one, free_ports());
        signal(database.xtask.id(), end);
        assert!(database.xtask.wait().unwrap().success());
        Database::assert_is_down(&one, database.port);
        let log = fs::read_to_string(one.join(".local/dev/logs/postgres.log")).unwrap();
        assert!(log.contains("database system is shut down"), "{log}");
    }
}

#[test]
fn a_command_that_is_broken_off_is_no_success() {
    let folder = folder();
    let one = checkout(&folder);
    let port = free_ports();
    let mut faults = xtask(&one, &["faults", "--test-port", &(port - PORTS).to_string()]);
    let mut faults = faults.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = faults.stdin.take().unwrap();
    let mut lines = BufReader::new(faults.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "done"));
    // While it waits for input.
    signal(faults.id(), Signal::INT);
    assert_eq!(faults.wait().unwrap().code(), Some(130));
    assert!(stdin.write_all(b"stop PgBouncer\n").is_err(), "nobody reads any more");
    Database::assert_is_down(&one, port);
}

#[test]
fn a_part_that_dies_ends_the_stack_with_its_last_lines() {
    let folder = folder();
    let one = checkout(&folder);
    for (part, log) in [("PgBouncer", "pgbouncer"), ("PostgreSQL", "postgres")] {
        let mut database = Database::start(&one, free_ports());
        signal(database.pid_of(part), Signal::KILL);
        let mut error = String::new();
        database.xtask.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert_eq!(database.xtask.wait().unwrap().code(), Some(1), "{error}");
        assert!(error.contains(&format!("{part} stopped (signal: 9 (SIGKILL))")), "{error}");
        let log = one.join(format!(".local/dev/logs/{log}.log"));
        let text = fs::read_to_string(&log).unwrap();
        assert!(error.contains(log.to_str().unwrap()) && text.lines().any(|line| error.contains(line)), "{error}");
        Database::assert_is_down(&one, database.port);
    }
}

#[test]
fn a_second_start_is_refused_and_disturbs_nothing() {
    let folder = folder();
    let one = checkout(&folder);
    let mut database = Database::start(&one, free_ports());
    for command in ["db", "dev", "clean-data"] {
        let error = error_of(&xtask(&one, &[command, "--dev-port", &free_ports().to_string()]).output().unwrap());
        assert!(error.contains(&format!("already running (pid {})", database.xtask.id())), "{error}");
    }
    database.assert_is_up();
    database.stop();
}

#[test]
fn a_port_in_use_is_named_with_its_owner() {
    let folder = folder();
    let one = checkout(&folder);
    let port = free_ports();
    let taken = TcpListener::bind(("127.0.0.1", port + 2)).unwrap();
    let error = error_of(&xtask(&one, &["db", "--dev-port", &port.to_string()]).output().unwrap());
    assert!(error.contains(&format!("port {}, for PostgreSQL, is in use, by ", port + 2)), "{error}");
    assert!(error.contains(&format!("(pid {}): set DEV_PORT", std::process::id())), "{error}");
    drop(taken);
    Database::start(&one, port).stop();
}
