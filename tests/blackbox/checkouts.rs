//! Checkouts that are copied or moved, and those whose programs were built in another: each has what is its own.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tests::database::{migrations, program};

/// A folder that the user of the servers can enter.
fn place() -> TempDir {
    let place = TempDir::new().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    place
}

/// A checkout with as much in it as its database needs.
fn checkout(place: &TempDir) -> PathBuf {
    let checkout = place.path().canonicalize().unwrap().join("one");
    for (file, text) in [
        ("Cargo.toml", "[package]\nname = \"stand-in\"\nedition = \"2024\"\n"),
        ("src/main.rs", "fn main() {}\n"),
        ("tools/cli/Cargo.toml", ""),
        (".local/dev/logs/x.log", ""),
    ] {
        let file = checkout.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    copy(&migrations(), &checkout.join("migrations"));
    fs::create_dir_all(checkout.join("target/debug")).unwrap();
    for name in ["keys", "migrate"] {
        fs::copy(program(name).unwrap(), checkout.join("target/debug").join(name)).unwrap();
    }
    checkout
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// `local`, as built in the checkout that is tested, run in another.
fn local(folder: &Path, arguments: &[&str]) -> Command {
    let mut local = Command::new(program("xtask").unwrap());
    local.args(arguments).current_dir(folder).env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_TARGET_DIR");
    local.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    local
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_data_that_is_removed_is_that_of_the_checkout_one_is_in() {
    let place = place();
    let one = checkout(&place);
    let keys = |checkout: &Path| checkout.join(".local/dev/keys");
    fs::write(keys(&one), "one's").unwrap();
    let [copied, moved] = ["copy", "moved"].map(|name| one.with_file_name(name));
    copy(&one, &copied);
    let clean = |folder: &Path| local(folder, &["clean-data"]).output().unwrap();

    assert!(clean(&copied.join("tools/cli")).status.success());
    assert!(!keys(&copied).exists() && keys(&one).exists(), "from a subfolder of a copy");

    fs::write(keys(&copied), "the copy's").unwrap();
    fs::rename(&copied, &moved).unwrap();
    assert!(clean(&moved).status.success());
    assert!(!keys(&moved).exists() && keys(&one).exists() && !copied.exists(), "after a move");

    fs::write(keys(&moved), "the moved one's").unwrap();
    assert!(complaint(&clean(place.path())).contains("is in no checkout of this project"));
    let mut of_two = local(&moved, &["clean-data"]);
    let said = complaint(&of_two.env("CARGO_MANIFEST_DIR", one.join("tools/cli")).output().unwrap());
    assert!(said.contains(moved.to_str().unwrap()) && said.contains(one.to_str().unwrap()), "{said}");
    assert!(keys(&one).exists() && keys(&moved).exists());
    // As `cargo run --manifest-path` does from anywhere.
    let mut named = local(place.path(), &["clean-data"]);
    assert!(named.env("CARGO_MANIFEST_DIR", moved.join("tools/cli")).output().unwrap().status.success());
    assert!(keys(&one).exists() && !keys(&moved).exists());
}

/// `local db`, in a checkout.
struct Database {
    local: Child,
    port: u16,
    said: String,
}

impl Database {
    /// Starts it and waits until it is ready.
    fn start(checkout: &Path, port: u16) -> Self {
        let mut local = local(checkout, &["db", "--dev-port", &port.to_string()]).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(local.stdout.take().unwrap());
        while !said.contains("The database is ready") {
            if lines.read_line(&mut said).unwrap() == 0 {
                local.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("the database does not start: {said}");
            }
        }
        // It goes on writing.
        local.stdout = Some(lines.into_inner());
        Self { local, port, said }
    }

    /// It runs, and takes connections.
    #[track_caller]
    fn is_up(&mut self) {
        assert!(self.local.try_wait().unwrap().is_none(), "`local db` has ended");
        for port in [self.port + 1, self.port + 2] {
            std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        }
    }

    /// Ends as by Ctrl-C.
    fn stop(mut self) {
        signal(self.local.id(), Signal::INT);
        assert!(self.local.wait().unwrap().success());
    }

    /// Kills `local` alone, and so leaves the servers behind.
    fn kill(mut self) {
        signal(self.local.id(), Signal::KILL);
        self.local.wait().unwrap();
    }
}

impl Drop for Database {
    /// Also where a test has failed.
    fn drop(&mut self) {
        if let Ok(None) = self.local.try_wait() {
            signal(self.local.id(), Signal::INT);
            let _ = self.local.wait();
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
}

/// What a stack takes: its `DEV_PORT` and those after it.
const PORTS: u16 = 5;

/// The first of the free ports in a row that a stack takes, below those that the system gives out.
fn free_ports() -> u16 {
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
fn a_copy_leaves_a_running_stack_alone_and_a_moved_checkout_finds_what_is_its_own() {
    let place = place();
    let one = checkout(&place);
    let [copied, moved] = ["copy", "moved"].map(|name| one.with_file_name(name));
    let mut original = Database::start(&one, free_ports());

    // With it, the list of the original's processes and the lock file of its PostgreSQL.
    copy(&one, &copied);
    let mut of_the_copy = Database::start(&copied, free_ports());
    original.is_up();
    of_the_copy.is_up();
    of_the_copy.stop();
    original.is_up();

    let port = original.port;
    original.kill();
    fs::rename(&one, &moved).unwrap();
    let mut again = Database::start(&moved, port);
    assert!(again.said.contains("left by a run that was killed"), "{}", again.said);
    again.is_up();
    again.stop();
    assert!(!one.exists(), "nothing is made in the old place");
}

#[test]
fn a_postmaster_pid_is_believed_only_of_a_postgresql_on_this_data() {
    let place = place();
    let one = checkout(&place);
    let data = one.join(".local/dev/postgres/data");
    let first = Database::start(&one, free_ports());
    let status = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let (pid, rest) = status.split_once('\n').unwrap();
    let pid: u32 = pid.parse().unwrap();

    // A PostgreSQL that nobody remembers but itself.
    first.kill();
    let pids = one.join(".local/dev/pids");
    let left = fs::read_to_string(&pids).unwrap();
    fs::remove_file(&pids).unwrap();
    let refused = local(&one, &["db", "--dev-port", &free_ports().to_string()]).output().unwrap();
    let said = complaint(&refused);
    assert!(said.contains(&format!("PostgreSQL (pid {pid}) runs on")), "{said}");
    assert!(said.contains(&format!("`kill -INT {pid}`")), "{said}");
    fs::write(&pids, left).unwrap();
    Database::start(&one, free_ports()).stop();

    // After a reboot the pid may be that of any program of the same user's.
    let owner = fs::metadata(&data).unwrap();
    let mut other = Command::new("sleep").arg("1000").uid(owner.uid()).gid(owner.gid()).spawn().unwrap();
    fs::write(data.join("postmaster.pid"), format!("{}\n{rest}", other.id())).unwrap();
    let mut again = Database::start(&one, free_ports());
    again.is_up();
    again.stop();
    assert!(other.try_wait().unwrap().is_none(), "the other program goes on");
    other.kill().unwrap();
    other.wait().unwrap();

    // Whatever else PostgreSQL finds wrong, what to do is said.
    fs::remove_file(data.join("global/pg_control")).unwrap();
    let said = complaint(&local(&one, &["db", "--dev-port", &free_ports().to_string()]).output().unwrap());
    assert!(said.contains("pg_control") && said.contains("`make clean-data`"), "{said}");
}
