//! A local stand-in for what is between a client and a function in the cloud: [`api`] is an API Gateway HTTP API, with the
//! routes and the CORS settings of [`template`]; [`lambda`] is the Lambda service, on top of `cargo lambda watch`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
pub mod event;
pub mod lambda;
pub mod template;
