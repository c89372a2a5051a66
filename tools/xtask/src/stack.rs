//! Parts that run together: when one dies, or this process ends, all of them are stopped.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::os::unix::process::CommandExt;

use crate::interrupt;
use crate::process::{self, Process, TICK};
use crate::profile::{Lock, Profile};

/// PostgreSQL writes everything out before it ends, which takes a while on a slow disk.
const GRACE: Duration = Duration::from_secs(15);

/// What runs now. Dropping it stops everything, so any `?` does.
pub(crate) struct Stack {
    /// Where each part's pid is written, for the next start to find what a killed run left.
    pids: PathBuf,
    /// The first line of that file: see [`whose`].
    whose: String,
    parts: Vec<Part>,
    _lock: Lock,
}

struct Part {
    name: &'static str,
    child: Child,
    log: Option<PathBuf>,
}

impl Stack {
    /// Takes the profile's folders for this process, and clears away what a killed run left behind.
    pub(crate) fn new(profile: &Profile) -> Result<Self> {
        let lock = profile.lock()?;
        process::adopt_orphans()?;
        let pids = profile.home.join("pids");
        let whose = whose(&profile.home)?;
        let written = fs::read_to_string(&pids).unwrap_or_default();
        for line in written.strip_prefix(&whose).unwrap_or_default().lines() {
            let mut fields = line.splitn(3, ' ');
            let (Some(pid), Some(started), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let left = pid.parse().ok().and_then(process::find).filter(|process| process.started == started);
            if let Some(left) = left {
                println!("  stopping {name} (pid {}), left by a run that was killed", left.pid);
                end(left);
            }
        }
        let stack = Self { pids, whose, parts: Vec::new(), _lock: lock };
        stack.write_pids()?;
        Ok(stack)
    }

    /// Starts a part. Without a log it writes to the terminal.
    pub(crate) fn start(&mut self, name: &'static str, command: &mut Command, log: Option<PathBuf>) -> Result<()> {
        command.stdin(Stdio::null());
        if let Some(log) = &log {
            let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        // A group of its own: the terminal's Ctrl-C comes to us alone, and we stop the parts in order.
        let child = command.process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        self.parts.push(Part { name, child, log });
        self.write_pids()
    }

    /// Stops one part, on purpose; the others go on.
    pub(crate) fn stop(&mut self, name: &str) -> Result<()> {
        let index = self.parts.iter().position(|part| part.name == name);
        let mut part = self.parts.remove(index.with_context(|| format!("{name} does not run"))?);
        end_child(&mut part.child);
        self.write_pids()
    }

    /// An error when the user wants an end, or when a part has died.
    pub(crate) fn check(&mut self) -> Result<()> {
        interrupt::check()?;
        for Part { name, child, log } in &mut self.parts {
            if let Some(status) = child.try_wait()? {
                // Ctrl-C may have come in between: then nothing has failed.
                interrupt::check()?;
                match log {
                    Some(log) => bail!(
                        "{name} stopped ({status}); its last lines, from {}:{}",
                        log.display(),
                        process::tail(log)
                    ),
                    None => bail!("{name} stopped ({status}); its last lines are above"),
                }
            }
        }
        Ok(())
    }

    /// Waits until a part is ready.
    pub(crate) fn wait_until(&mut self, what: &str, patience: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + patience;
        while !ready() {
            self.check()?;
            if Instant::now() > deadline {
                let log = self.parts.last().and_then(|part| part.log.as_ref());
                let lines = log.map(|log| format!("; last lines of {}:{}", log.display(), process::tail(log)));
                bail!("{what} within {} s{}", patience.as_secs(), lines.unwrap_or_default());
            }
            sleep(TICK);
        }
        Ok(())
    }

    /// Keeps everything running until the user wants an end (`Err(Interrupted)`) or a part dies.
    pub(crate) fn keep(&mut self) -> Result<()> {
        loop {
            self.check()?;
            sleep(TICK * 5);
        }
    }

    /// Runs a command in the foreground, as long as every part lives.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<std::process::ExitStatus> {
        let mut child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        loop {
            if let Some(status) = child.try_wait()? {
                interrupt::check()?;
                return Ok(status);
            }
            // On an error the command ends together with the parts, as a descendant of this process.
            self.check()?;
            sleep(TICK);
        }
    }

    fn write_pids(&self) -> Result<()> {
        let lines = self.parts.iter().filter_map(|Part { name, child, .. }| {
            let Process { pid, started, .. } = process::find(child.id())?;
            Some(format!("{pid} {started} {name}\n"))
        });
        fs::write(&self.pids, format!("{}{}", self.whose, lines.collect::<String>()))
            .with_context(|| format!("cannot write {}", self.pids.display()))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let parts: Vec<u32> = self.parts.iter().map(|part| part.child.id()).collect();
        // Whatever else was started from here goes first: it uses the parts.
        let others = process::descendants(std::process::id());
        let direct = |process: &Process| !parts.contains(&process.pid) && process.is_child_of(std::process::id());
        for process in others.into_iter().filter(direct) {
            end_tree(process, Signal::TERM);
        }
        for part in self.parts.iter_mut().rev() {
            end_child(&mut part.child);
        }
        // Orphans of a part that died come to us.
        process::stop(process::descendants(std::process::id()), Duration::from_secs(2));
        let _ = fs::remove_file(&self.pids);
    }
}

/// Which stack, in which boot of the machine, a list of processes is of. A copy of a checkout has a copy of the list,
/// and after a reboot the pids and the start times in it may be those of any process.
fn whose(home: &Path) -> Result<String> {
    let meta = fs::metadata(home).with_context(|| format!("cannot read {}", home.display()))?;
    // Where there is none, as on macOS, start times are dates.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Ok(format!("{} {} {}\n", meta.dev(), meta.ino(), boot.trim_end()))
}

fn end_child(child: &mut Child) {
    if let Some(process) = process::find(child.id()) {
        end(process);
    }
    let _ = child.wait();
}

/// Ends a part. To PostgreSQL, PgBouncer and the gateway alike SIGINT says: stop now, and cleanly.
fn end(process: Process) {
    end_tree(process, Signal::INT);
}

/// Ends a process, and then what it started and did not end itself.
fn end_tree(process: Process, signal: Signal) {
    let family = process::descendants(process.pid);
    process::signal(process.pid, signal);
    for survivor in process::wait_gone(vec![process], GRACE) {
        process::signal(survivor.pid, Signal::KILL);
    }
    process::stop(family, Duration::from_secs(2));
}
