//! The HTTP side of every function: settings, requests, responses, problems, logs. Knows `db`, `auth` and `domain`.
//!
//! A function is one row of the contract. Its `main` hands [`serve`] an `async fn` that reads like that row:
//!
//! ```no_run
//! use api::{Authenticated, Problem, Request, Response, no_content};
//!
//! async fn handle(state: &Authenticated, request: &Request) -> Result<Response, Problem> {
//!     let (caller, task) = state.caller_and_task(request)?; // 401, 400, 403
//!     let precondition = request.if_match()?; // 400
//!     state.db.delete_task(caller, task, &precondition).await?; // 401, 403, 412, 503
//!     Ok(no_content())
//! }
//! ```
//!
//! The type of the first argument decides which settings the function reads ([`State::SETTINGS`]): [`Public`] has the
//! database, [`Authenticated`] verifies tokens as well, only [`TokenIssuer`] has the key that signs them, [`Keys`] has the
//! public keys alone, and [`Static`], for [`Files`], nothing. The crate `mail` adds a mailer to a state.

mod account_fields;
mod code;
mod config;
mod cursor;
mod error;
mod etag;
mod event;
mod excerpt;
mod fields;
mod files;
mod from_json;
mod log;
mod metrics;
mod millis;
mod object;
#[cfg_attr(not(feature = "cloud"), path = "no_parameter_store.rs")]
mod parameter_store;
mod problem;
#[cfg(test)]
mod properties;
mod request;
mod response;
mod security_event;
mod serve;
mod session;
mod setting;
mod settings;
mod state;
mod task_fields;
mod task_query;

pub use account_fields::{AccountChanges, NewAccount};
pub use code::Code;
pub use error::{Error, sources};
pub use etag::{EntityTag, EntityTags, unless_known, with_etag};
pub use fields::{Field, Fields, nullable, optional, required};
pub use files::{File, Files};
pub use from_json::FromJson;
pub use metrics::{METRICS, METRICS_NAMESPACE, Metric};
pub use problem::{FieldError, Problem};
pub use request::Request;
pub use response::{Response, accepted, created, no_content, ok, with_max_age, with_next_link};
pub use security_event::SecurityEvent;
pub use serve::{BUDGET, Handler, invoke, listen, serve};
pub use session::{Keeping, session, without_cookie};
pub use setting::{COMMON_SETTINGS, MAIL_FOLDER, MAIL_FROM, MAIL_SETTINGS, PAGE_URL, Setting};
pub use settings::Settings;
pub use state::{Authenticated, Keys, Public, State, Static, TokenIssuer};
pub use task_fields::TaskFields;
pub use task_query::TaskQuery;
