//! What the tests share. `make test` starts a local stack and runs all of them against it:
//!
//! - `tests/blackbox`: the API over HTTP, the developers' and operators' programs, the documents; a file a topic;
//! - `tests/browser`: the page in Chromium;
//! - `tests/faults`: the API while its database fails, and the way back from a disaster; `make test-faults` and `make
//!   drill` run them for longer;
//! - `tests/upgrade`: release 0.1.0 and this one under load while the schema moves; run by `make test-upgrade`;
//! - `tests/performance`: every route beside floors and the peers in `tests/peers`; run by `make bench`;
//! - `tests/schemathesis`: requests generated from the OpenAPI document; started by `blackbox::contract`;
//! - `tests/clients`: programs with clients generated from it; run by `blackbox::clients`;
//! - `tests/fuzz`: random events, run by `make fuzz`.
//!
//! To run one test, or one file: `cargo xtask test -- cargo test --workspace --test blackbox -- users::`.
//!
//! Start reading at [`api`]: a test mostly takes [`api::Api::shared`], a fresh [`api::User`] of it, and checks replies.
//! A test that needs other settings, or has to see the log, starts a [`server::TestServer`] of its own; one that breaks
//! the connection to the database puts a [`relay::Relay`] before it; one that changes the schema takes a
//! [`database::TestDatabase`].
// A helper panics, so that the test fails with the place that called it.
#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic)]

pub mod api;
pub mod base_path;
pub mod browser;
pub mod caller;
pub mod command;
pub mod database;
pub mod machine;
pub mod mail;
pub mod network;
pub mod operate;
pub mod origins;
pub mod proxy;
pub mod relay;
pub mod server;
pub mod service;
pub mod steps;
pub mod store;
pub mod template;
pub mod workspace;
