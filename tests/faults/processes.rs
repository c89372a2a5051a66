//! The processes of an API: the gateway, the emulator and the functions.

use std::collections::BTreeMap;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, Signal, System};
use tests::{server::TestServer, workspace::routes};

/// A snapshot of them.
pub(crate) struct Processes {
    system: System,
    pids: Vec<Pid>,
}

impl Processes {
    /// The gateway and all its descendants.
    pub(crate) fn of(server: &TestServer) -> Self {
        let mut system = System::new().unwrap();
        let what = ProcessRefreshKind::nothing().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let mut pids = vec![Pid::from_u32(server.pid())];
        let mut next = 0;
        while let Some(parent) = pids.get(next).copied() {
            let children = system.processes().values().filter(|process| process.parent() == Some(parent));
            pids.extend(children.map(|process| process.pid()));
            next += 1;
        }
        Self { system, pids }
    }

    /// The functions among them, by pid.
    pub(crate) fn functions(&self) -> BTreeMap<Pid, String> {
        let names: Vec<_> = routes().into_iter().map(|route| route.function).collect();
        let all = self.pids.iter().filter_map(|pid| self.system.process(*pid));
        let named = all.map(|process| (process.pid(), process.name().to_string_lossy().into_owned()));
        named.filter(|(_, name)| names.contains(name)).collect()
    }

    /// Sends a signal to every function.
    pub(crate) fn signal_functions(&self, signal: Signal) {
        for pid in self.functions().keys() {
            if let Some(process) = self.system.process(*pid) {
                assert_eq!(process.kill_with(signal), Some(true), "{signal} to {pid}");
            }
        }
    }

    /// The resident memory of all of them, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.pids.iter().filter_map(|pid| self.system.process(*pid)).map(sysinfo::Process::memory).sum()
    }

    /// The number of open file descriptors of all of them.
    pub(crate) fn descriptors(&self) -> usize {
        self.pids.iter().filter_map(|pid| self.system.process(*pid)?.open_files()).sum()
    }
}
