//! What stands between a client and a function in the cloud, on this machine: [`api`] does what an API Gateway HTTP API
//! does, with the routes and the CORS settings of [`template`]; [`lambda`] does what the Lambda service does, on top of
//! `cargo lambda watch`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
mod event;
pub mod lambda;
pub mod template;
