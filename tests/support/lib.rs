//! What the black-box tests share.
// A helper of a test fails the test where it stands.
#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic)]

pub mod api;
pub mod base_path;
pub mod browser;
pub mod database;
pub mod network;
pub mod operate;
pub mod origins;
pub mod proxy;
pub mod relay;
pub mod store;
pub mod template;
pub mod watch;
pub mod workspace;
