//! The API over HTTP on a real stack, and the programs around it. `make test` starts the stack and runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod access;
mod base_path;
mod bodies;
mod checkouts;
mod commands;
mod conditions;
mod contract;
mod database_settings;
mod deployed;
mod docs;
mod events;
mod gateway;
mod late;
mod layers;
mod logs;
mod migrate;
mod migrate_role;
mod operate;
mod paging;
mod pooler;
mod proxy;
mod races;
mod readme;
mod schema;
mod secrets;
mod security;
mod signin;
mod stack;
mod tasks;
mod template;
mod tokens;
mod users;
mod waits;
mod web;
mod wire;
