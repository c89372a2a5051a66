//! The API while its database breaks in every way, and under load. `make test` runs the short form of this,
//! `make test-faults` the long one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod breakable;
mod faults;
mod load;
mod locks;
mod outages;
mod processes;
mod soak;
mod workload;

use std::io::Write;

use tokio::sync::Mutex;

/// Each of these tests wants the machine, and the one breakable database, to itself.
static ALONE: Mutex<()> = Mutex::const_new(());

/// One of two numbers: enough to notice a defect that is back, or enough to find one.
fn short_or_long<T>(short: T, long: T) -> T {
    if cli::variable("LONG").is_some() { long } else { short }
}

/// Prints a line of figures, which the test harness would keep to itself.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}
