//! The processes of this machine: finds one by its id, or the descendants of one, and ends them.

use std::{os::unix::fs::MetadataExt, path::Path, time::Duration};

use listeners::Protocol;
use rustix::process::{Pid, Signal, kill_process};
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};
use tokio::time::{Instant, sleep};

/// How long processes that are asked to end may take, if nothing depends on how they end.
pub(crate) const SHORT_GRACE: Duration = Duration::from_secs(2);

/// A running process. Process ids are used again: only together with the start does one identify a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: Option<u32>,
    /// In seconds since 1970.
    pub(crate) started: u64,
}

impl Process {
    /// Whether the two are one process. Start times are computed from the machine's boot, which moves by a second when
    /// the clock is adjusted.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.pid == other.pid && self.started.abs_diff(other.started) <= 1
    }
}

/// The running process with this id.
pub(crate) fn find(pid: u32) -> Option<Process> {
    all().into_iter().find(|process| process.pid == pid)
}

/// Whether a process is an instance of `program` that works in `folder`.
pub(crate) fn runs_in(pid: u32, program: &str, folder: &Path) -> bool {
    let table = table(ProcessRefreshKind::nothing().with_cwd(UpdateKind::Always));
    let process = table.as_ref().and_then(|table| table.process(sysinfo::Pid::from_u32(pid)));
    let Some(process) = process.filter(|process| is_running(process)) else { return false };
    // By inode: a folder keeps it when it is moved.
    let inode = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    process.name() == program && process.cwd().is_none_or(|cwd| inode(cwd) == inode(folder))
}

/// Who listens on a TCP port, as "name (pid 1)", if this user may know.
pub(crate) fn listener(port: u16) -> Option<String> {
    let process = listeners::get_process_by_port(port, Protocol::TCP).ok()?;
    Some(format!("{} (pid {})", process.name, process.pid))
}

/// Children of `pid`, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<Process> {
    let all = all();
    let mut parents = vec![pid];
    let mut found = Vec::new();
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == Some(parent)) {
            parents.push(process.pid);
            found.push(*process);
        }
    }
    found
}

/// Ends a process by a signal and, after the grace period, by force; then whatever it has started and left running.
pub(crate) async fn end_tree(root: Process, signal: Signal, grace: Duration) {
    let family = descendants(root.pid);
    end(vec![root], signal, grace).await;
    end(family, Signal::TERM, SHORT_GRACE).await;
}

/// Sends a signal to all, waits until they have ended, and kills those that have not within the grace period.
pub(crate) async fn end(mut processes: Vec<Process>, signal: Signal, grace: Duration) {
    processes.iter().for_each(|process| send(process, signal));
    let deadline = Instant::now() + grace;
    loop {
        let all = all();
        processes.retain(|process| all.iter().any(|other| process.is_same(other)));
        if processes.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            return processes.iter().for_each(|process| send(process, Signal::KILL));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A process that is gone already is no failure.
fn send(process: &Process, signal: Signal) {
    if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn all() -> Vec<Process> {
    let table = table(ProcessRefreshKind::nothing());
    let processes = table.as_ref().into_iter().flat_map(|table| table.processes().values());
    let running = processes.filter(|process| is_running(process));
    running
        .map(|process| Process {
            pid: process.pid().as_u32(),
            parent: process.parent().map(sysinfo::Pid::as_u32),
            started: process.start_time(),
        })
        .collect()
}

fn is_running(process: &sysinfo::Process) -> bool {
    process.status() != ProcessStatus::Zombie
}

fn table(what: ProcessRefreshKind) -> Option<System> {
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what.without_tasks());
    Some(system)
}
