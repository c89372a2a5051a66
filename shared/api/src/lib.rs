//! The HTTP side of every function: what a request is, what a response is, and how one becomes the other.
//!
//! A function is one row of the contract. Its `main` hands [`serve`] an `async fn` that reads like that row:
//!
//! ```no_run
//! use api::{App, Problem, Request, Response, no_content};
//!
//! async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
//!     let (caller, task) = app.caller_of_task(request)?; // 401, 400, 403
//!     let precondition = request.if_match()?; // 400
//!     app.db.delete_task(caller, task, &precondition).await?; // 401, 403, 412, 503
//!     Ok(no_content())
//! }
//! ```
//!
//! What a function needs to be configured follows from the type of its first argument: [`Open`] has the database
//! alone, [`App`] verifies tokens as well, only [`Issuer`] holds the key that signs them, [`Keys`] has the public keys
//! and nothing else, and [`Static`], which is for [`Files`], nothing at all.

mod config;
mod cursor;
mod etag;
mod event;
mod fields;
mod files;
mod log;
mod metrics;
mod problem;
#[cfg(test)]
mod properties;
mod request;
mod response;
mod secrets;
mod serve;
mod state;

pub use config::Error;
pub use cursor::{read_cursor, write_cursor};
pub use etag::{EntityTag, Tags, tagged, unless_known};
pub use fields::{Field, Fields, FromJson, nullable, optional, required};
pub use files::{File, Files};
pub use log::SecurityEvent;
pub use problem::{FieldError, Problem};
pub use request::Request;
pub use response::{Response, cached_for, created, no_content, ok, with_next};
pub use serve::{Handler, invoke, serve};
pub use state::{App, Issuer, Keys, Open, State, Static};
