//! The machine that the tests run on.

use sysinfo::{CpuRefreshKind, System};

/// What reports say of it, as in "2 cores, Intel(R) Xeon(R) Processor".
pub fn machine() -> String {
    let mut system = System::new().expect("a system that is supported");
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let cpus = system.cpus();
    format!("{} cores, {}", cpus.len(), cpus.first().map(|cpu| cpu.brand()).unwrap_or_default())
}
