//! Runs the parts of a stack together: when one dies, or this process is asked to stop, all of them are ended.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::{future::poll_fn, os::unix::fs::MetadataExt, time::Duration};

use anyhow::{Context, Error, Result, anyhow, bail};
use fs_err as fs;
use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};
use tokio::{process::Command, task::JoinHandle};

use crate::containers;
use crate::process::tail;
use crate::process_table::{self, Process, SHORT_GRACE};
use crate::profile::{Lock, Profile};

/// PostgreSQL writes everything out before it ends, which takes a while on a slow disk.
const GRACE: Duration = Duration::from_secs(15);

/// PostgreSQL, PgBouncer and the gateway all take SIGINT as: stop now, and cleanly.
const STOP: Signal = Signal::INT;

/// What runs now.
pub(crate) struct Supervisor {
    parts: RefCell<Vec<Part>>,
    stack: RefCell<Option<PidFile>>,
    /// The folder of the functions that run in containers; empty if none do.
    containers: RefCell<PathBuf>,
    exits: UnboundedSender<Exit>,
    exited: RefCell<UnboundedReceiver<Exit>>,
}

struct Part {
    name: &'static str,
    pid: u32,
    log: Option<PathBuf>,
    /// What to do when it dies.
    hint: &'static str,
    exit: JoinHandle<()>,
}

/// The process id of a part that has ended, and how.
type Exit = (u32, ExitStatus);

impl Supervisor {
    pub(crate) fn new() -> Result<Self> {
        // Orphans of a part that dies become our children, so that none is lost.
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("cannot become a subreaper")?;
        let (exits, exited) = unbounded_channel();
        let (parts, stack, containers) = Default::default();
        Ok(Self { parts, stack, containers, exits, exited: exited.into() })
    }

    /// Locks a stack's folders for this process, and ends what a killed run left behind.
    pub(crate) async fn claim(&self, profile: &Profile) -> Result<()> {
        let pids = PidFile::open(profile)?;
        for (process, name) in pids.read() {
            println!("  stopping {name} (pid {}), left by a run that was killed", process.pid);
            process_table::end_tree(process, STOP, GRACE).await;
        }
        self.stack.replace(Some(pids));
        self.write_pids()
    }

    /// Removes the containers of the functions in this folder, which a killed run has left, and again at the end.
    pub(crate) async fn remove_containers_of(&self, functions: PathBuf) {
        containers::remove(&functions).await;
        self.containers.replace(functions);
    }

    /// Starts a part. Without a log it writes to the terminal. The hint is shown when it dies by itself.
    pub(crate) fn start(
        &self,
        name: &'static str,
        mut command: Command,
        log: Option<PathBuf>,
        hint: &'static str,
    ) -> Result<()> {
        command.stdin(Stdio::null());
        if let Some(log) = &log {
            let file = fs::File::create(log)?.into_file();
            command.stdout(file.try_clone()?).stderr(file);
        }
        // A group of its own: the terminal's Ctrl-C reaches this process alone, which ends the parts in order.
        let mut child = command.process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().with_context(|| format!("{name} has no process id"))?;
        let exits = self.exits.clone();
        let exit = tokio::spawn(async move {
            let _ = child.wait().await.map(|status| exits.send((pid, status)));
        });
        self.parts.borrow_mut().push(Part { name, pid, log, hint, exit });
        self.write_pids()
    }

    /// Ends one part on purpose; the others go on.
    pub(crate) async fn stop(&self, name: &str) -> Result<()> {
        self.take(name)?.end().await;
        self.write_pids()
    }

    /// The same without notice, as when its machine fails.
    pub(crate) async fn kill(&self, name: &str) -> Result<()> {
        self.take(name)?.kill().await;
        self.write_pids()
    }

    fn take(&self, name: &str) -> Result<Part> {
        let mut parts = self.parts.borrow_mut();
        let index = parts.iter().position(|part| part.name == name);
        Ok(parts.remove(index.with_context(|| format!("{name} is not running"))?))
    }

    /// Waits until a part dies by itself.
    pub(crate) async fn failure(&self) -> Error {
        while let Some((pid, status)) = poll_fn(|context| self.exited.borrow_mut().poll_recv(context)).await {
            let parts = self.parts.borrow();
            let Some(part) = parts.iter().find(|part| part.pid == pid) else { continue };
            let Part { name, log, hint, .. } = part;
            return anyhow!("{name} stopped ({status}){hint}; {}", last_output(log.as_deref()));
        }
        anyhow!("nothing is supervised")
    }

    /// Ends everything that was started here, the parts last and in reverse order: the rest may be using them.
    pub(crate) async fn shutdown(&self) {
        let parts = self.parts.take();
        let this = std::process::id();
        let is_other =
            |process: &Process| process.parent == Some(this) && parts.iter().all(|part| part.pid != process.pid);
        for other in process_table::descendants(this).into_iter().filter(is_other) {
            process_table::end_tree(other, Signal::TERM, SHORT_GRACE).await;
        }
        for part in parts.into_iter().rev() {
            part.end().await;
        }
        process_table::end(process_table::descendants(this), Signal::TERM, SHORT_GRACE).await;
        containers::remove(&self.containers.take()).await;
        if let Some(stack) = self.stack.take() {
            let _ = fs::remove_file(stack.path);
        }
    }

    fn write_pids(&self) -> Result<()> {
        self.stack.borrow().as_ref().map_or(Ok(()), |stack| stack.write(&self.parts.borrow()))
    }
}

impl Part {
    async fn end(self) {
        if let Some(process) = process_table::find(self.pid) {
            process_table::end_tree(process, STOP, GRACE).await;
        }
        let _ = self.exit.await;
    }

    async fn kill(self) {
        let family = process_table::descendants(self.pid);
        let all = process_table::find(self.pid).into_iter().chain(family).collect();
        process_table::end(all, Signal::KILL, GRACE).await;
        let _ = self.exit.await;
    }
}

/// Waits until a part is ready.
pub(crate) async fn wait_until(
    what: &str,
    patience: Duration,
    log: Option<&Path>,
    mut is_ready: impl AsyncFnMut() -> bool,
) -> Result<()> {
    let poll = async {
        while !is_ready().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(patience, poll).await.is_err() {
        bail!("{what} was not ready within {} s; {}", patience.as_secs(), last_output(log));
    }
    Ok(())
}

fn last_output(log: Option<&Path>) -> String {
    let lines = log.map(|log| format!("the last lines of {}:{}", log.display(), tail(log)));
    lines.unwrap_or_else(|| "see its output above".to_owned())
}

/// The processes of a stack, for the next start to find when this one is killed.
struct PidFile {
    path: PathBuf,
    /// The first line: a copy of a checkout has a copy of the file, which is not about its own processes.
    folder: String,
    _lock: Lock,
}

impl PidFile {
    fn open(profile: &Profile) -> Result<Self> {
        let lock = profile.lock()?;
        let meta = fs::metadata(&profile.home)?;
        Ok(Self { path: profile.home.join("pids"), folder: format!("{} {}\n", meta.dev(), meta.ino()), _lock: lock })
    }

    /// Those that are still running.
    fn read(&self) -> Vec<(Process, String)> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let parse = |line: &str| {
            let mut fields = line.splitn(3, ' ');
            let (pid, started) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let written = Process { pid, parent: None, started };
            let running = process_table::find(pid).filter(|process| process.is_same(&written))?;
            Some((running, fields.next()?.to_owned()))
        };
        text.strip_prefix(&self.folder).unwrap_or_default().lines().filter_map(parse).collect()
    }

    fn write(&self, parts: &[Part]) -> Result<()> {
        let lines = parts.iter().filter_map(|part| {
            let Process { pid, started, .. } = process_table::find(part.pid)?;
            Some(format!("{pid} {started} {}\n", part.name))
        });
        Ok(fs::write(&self.path, format!("{}{}", self.folder, lines.collect::<String>()))?)
    }
}
