//! The page in Chromium, used by the keyboard. `make test` starts the API and runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account;
mod base_path;
mod conflicts;
mod cookie;
mod day;
mod editing;
mod entry;
mod finding;
mod journey;
mod keys;
mod list;
mod network;
mod origins;
mod reference;
mod reset;
mod sessions;
mod shell;
mod sync;
mod views;
