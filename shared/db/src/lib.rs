//! The database: one connection, and one function per statement. All SQL of the product is here. Knows `auth` and
//! `domain`.
//!
//! Between the functions and PostgreSQL is a *transaction pooler*, so statements are unnamed (a named one could be another
//! process's), each takes one round trip, and there is no session state. A request is served by one statement, which
//! checks the token's session and the owner and does the work: its result tells *done*, *no such row* and *session
//! ended* apart.
//!
//! A statement may have been executed although its answer was lost. So every statement is idempotent, and [`Database`]
//! retries it until the request's deadline: inserts carry their id, updates set values, and a retried delete that finds
//! nothing has succeeded.
//!
//! An abandoned attempt never takes effect later: every write carries an expiry, the functions' role has a
//! `statement_timeout`, and a socket is reset when it is closed. So nothing that the network delivers late can undo what
//! was acknowledged since.
//!
//! [`Database::sign_in`] and [`Database::reauthenticate`] are the only ways to check a password. Both throttle.

mod circuit_breaker;
mod client_address;
mod clock;
mod config;
mod connection;
mod database;
mod error;
mod failure;
mod identity;
mod open_session;
mod password_check;
mod password_resets;
pub mod pooler;
mod retry;
mod sessions;
mod signin_failures;
mod summary;
mod task_list;
mod tasks;
mod users;

pub use client_address::ClientAddress;
pub use config::{Config, ConnectError, Driver, InvalidConfig};
pub use database::{Database, Renew};
pub use error::{Constraint, Error};
pub use open_session::OpenSession;
pub use password_check::Reauthenticated;
pub use password_resets::{PasswordReset, ResetRequest};
pub use retry::{CHECK_INTERVAL, CONNECT_TIMEOUT, LOCK_TIMEOUT, STATEMENT_TIMEOUT, Usage, with_deadline};
pub use tasks::Created;
