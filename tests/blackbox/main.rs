//! The whole API, over HTTP, on real parts. `make test` starts them and runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod access;
mod bodies;
mod conditions;
mod contract;
mod deployed;
mod docs;
mod events;
mod gateway;
mod house;
mod logs;
mod migrate;
mod operate;
mod paging;
mod races;
mod readme;
mod schema;
mod secrets;
mod security;
mod signin;
mod tasks;
mod template;
mod tokens;
mod users;
mod web;
mod wire;
