//! Programs that serve a port until a test ends.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// How long a program may take to listen, or to end.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running program; dropping this ends it, with its process group if it has one of its own.
#[derive(Debug)]
pub struct Service {
    child: Child,
    folder: TempDir,
}

impl Service {
    /// Starts a program and waits until it listens. Other files of its own can be kept in the folder.
    pub fn start(folder: TempDir, port: u16, command: &mut Command) -> Self {
        let log = File::create(folder.path().join("log")).expect("a log");
        let stderr = log.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(stderr).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let service = Self { child, folder };
        let deadline = Instant::now() + TIMEOUT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not listen: {}", service.output());
            sleep(Duration::from_millis(50));
        }
        service
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The lines that it has printed. One that it is still printing, perhaps piece by piece, is left out.
    pub fn output(&self) -> String {
        let mut log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && kill_process_group(group, Signal::TERM).is_ok()
        {
            let deadline = Instant::now() + TIMEOUT;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                sleep(Duration::from_millis(20));
            }
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on now, and that this process gets once. It is below those that systems give to connections,
/// so none takes it before somebody listens.
pub fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let mut ports = (0..COUNT).map(|_| {
        // Processes that run at once begin at different places.
        let number = process::id().wrapping_mul(97).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + number % COUNT).expect("a port")
    });
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}
