//! The API under load, while its database fails, and back from a disaster. `make test` runs the short form, `make
//! test-faults` and `make drill` the long one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod breakable;
mod client;
mod drill;
mod faults;
mod harness;
mod history;
mod load;
mod locks;
mod outages;
mod processes;
mod soak;
mod workload;
