//! Processes of this machine: run one, find the descendants of one, stop them, see who holds a port.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::interrupt;

/// How often something that is waited for is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// One running process. Pids are used again: only together with the start does one name a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    parent: u32,
    pub(crate) started: String,
}

impl Process {
    pub(crate) fn is_child_of(&self, pid: u32) -> bool {
        self.parent == pid
    }
}

/// What to end with after a command: 1 when a signal ended it, and there is no code to pass on.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Waits for the command's end; on Ctrl-C, stops it and what it started.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let mut child = command.spawn().with_context(|| format!("cannot start {}", name(command)))?;
    loop {
        if let Some(status) = child.try_wait()? {
            // A child that shares the terminal gets its Ctrl-C too, and may be gone before ours is noticed.
            interrupt::check()?;
            return Ok(status);
        }
        if let Err(interrupted) = interrupt::check() {
            let mut family = descendants(child.id());
            family.extend(find(child.id()));
            stop(family, Duration::from_secs(3));
            child.wait()?;
            return Err(interrupted);
        }
        sleep(TICK);
    }
}

/// Runs a command whose output only matters when it fails.
pub(crate) fn run_quietly(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = run(command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file))?;
    if !status.success() {
        bail!("`{}` failed ({status}); its last lines, from {}:{}", name(command), log.display(), tail(log));
    }
    Ok(())
}

/// What a short command prints, if it can be run and succeeds.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let Output { status, stdout, .. } = command.stdin(Stdio::null()).output().ok()?;
    status.success().then(|| String::from_utf8_lossy(&stdout).trim().to_owned())
}

/// The last lines of a log, indented, to be shown below an error.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].iter().map(|line| format!("\n    {line}")).collect()
}

/// The program's name and first argument: enough to know which command it was.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    match command.get_args().next() {
        Some(first) => format!("{program} {}", first.to_string_lossy()),
        None => program.into_owned(),
    }
}

/// The running process with this pid.
pub(crate) fn find(pid: u32) -> Option<Process> {
    all().into_iter().find(|process| process.pid == pid)
}

/// Children of `pid`, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<Process> {
    let all = all();
    let mut family = vec![pid];
    let mut found = Vec::new();
    while let Some(parent) = family.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            family.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

/// Asks processes to end, and ends those that do not within the grace time.
pub(crate) fn stop(processes: Vec<Process>, grace: Duration) {
    for process in &processes {
        signal(process.pid, Signal::TERM);
    }
    for process in wait_gone(processes, grace) {
        signal(process.pid, Signal::KILL);
    }
}

/// Waits until the processes are gone; returns those that are not when time is up.
pub(crate) fn wait_gone(mut processes: Vec<Process>, patience: Duration) -> Vec<Process> {
    let deadline = Instant::now() + patience;
    loop {
        let all = all();
        processes.retain(|process| all.iter().any(|p| p.pid == process.pid && p.started == process.started));
        if processes.is_empty() || Instant::now() > deadline {
            return processes;
        }
        sleep(TICK);
    }
}

/// Sends a signal. A process that is gone already is no failure: that is what signals are sent for here.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Makes orphans of our descendants our children, so that none is lost sight of when its parent dies.
pub(crate) fn adopt_orphans() -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("cannot become a subreaper")?;
    Ok(())
}

/// Everything that runs; zombies have ended and do not count.
#[cfg(target_os = "linux")]
fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| parse_stat(&std::fs::read_to_string(entry.path().join("stat")).ok()?)).collect()
}

/// `/proc/PID/stat`: pid, (name), state, parent, …, and the start in the 22nd place. The name may hold anything.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str) -> Option<Process> {
    let pid = stat.split_once(' ')?.0.parse().ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    Some(Process { pid, parent, started: fields.nth(17)?.to_owned() })
}

/// Everything that runs; zombies have ended and do not count.
#[cfg(not(target_os = "linux"))]
fn all() -> Vec<Process> {
    let table = ask(Command::new("ps").args(["-A", "-o", "pid=,ppid=,stat=,lstart="]).env("LC_ALL", "C"));
    let parse = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (pid, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let alive = !fields.next()?.starts_with('Z');
        alive.then(|| Process { pid, parent, started: fields.collect::<Vec<_>>().join("-") })
    };
    table.unwrap_or_default().lines().filter_map(parse).collect()
}

/// The name of the program that a process runs.
pub(crate) fn program(pid: u32) -> Option<String> {
    let name = if cfg!(target_os = "linux") {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?
    } else {
        ask(Command::new("ps").args(["-o", "comm=", "-p", &pid.to_string()]))?
    };
    Some(Path::new(name.trim_end()).file_name()?.to_string_lossy().into_owned())
}

/// Whether a process has this as its current directory, where that can be seen.
pub(crate) fn works_in(pid: u32, folder: &Path) -> Option<bool> {
    let its = if cfg!(target_os = "linux") {
        format!("/proc/{pid}/cwd")
    } else {
        let found = ask(Command::new("lsof").args(["-a", "-d", "cwd", "-Fn", "-p", &pid.to_string()]))?;
        found.lines().find_map(|line| line.strip_prefix('n'))?.to_owned()
    };
    // By what the system knows a folder by: names change.
    let [its, folder] = [Path::new(&its), folder].map(std::fs::metadata);
    let (its, folder) = (its.ok()?, folder.ok()?);
    Some((its.dev(), its.ino()) == (folder.dev(), folder.ino()))
}

/// Who listens on a port of 127.0.0.1, as "name (pid 1)", where that can be seen.
#[cfg(target_os = "linux")]
pub(crate) fn listener(port: u16) -> Option<String> {
    // Lines are "0: 0100007F:2328 00000000:0000 0A … inode …": 0A is LISTEN, the inode stands in the tenth place.
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        std::fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let here = fields.get(1)?.ends_with(&format!(":{port:04X}")) && *fields.get(3)? == "0A";
            here.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
        })
    })?;
    let holds = |pid: u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|target| target.as_os_str() == inode.as_str())
    };
    let pid = all().into_iter().map(|process| process.pid).find(|&pid| holds(pid))?;
    Some(format!("{} (pid {pid})", program(pid)?))
}

/// Who listens on a port of 127.0.0.1, as "name (pid 1)", where that can be seen.
#[cfg(not(target_os = "linux"))]
pub(crate) fn listener(port: u16) -> Option<String> {
    let found = ask(Command::new("lsof").args(["-nP", &format!("-iTCP:{port}"), "-sTCP:LISTEN", "-Fpc"]))?;
    let field = |mark: char| found.lines().find_map(|line| line.strip_prefix(mark));
    Some(format!("{} (pid {})", field('c')?, field('p')?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 1";
        let process = parse_stat(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.started.as_str()), (7, 3, "4242"));
    }

    #[test]
    fn a_zombie_is_not_running() {
        assert_eq!(parse_stat("7 (a) Z 3 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 1"), None);
    }

    #[test]
    fn the_listener_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(super::listener(port).unwrap().contains(&format!("(pid {})", std::process::id())));
    }
}
