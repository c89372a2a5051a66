//! The API under load, and while its database fails. `make test` runs the short form, `make test-faults` the long one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod breakable;
mod client;
mod faults;
mod harness;
mod history;
mod load;
mod locks;
mod outages;
mod processes;
mod soak;
mod workload;
