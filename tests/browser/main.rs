//! The page in Chromium, used by the keyboard. `make test` starts the API and runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod base_path;
mod conflicts;
mod cookie;
mod journey;
mod network;
mod origins;
mod reference;
mod reset;
mod sessions;
mod views;
