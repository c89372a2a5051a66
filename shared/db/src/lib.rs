//! The database: one connection, and one function per statement. All SQL of the product is here.
//!
//! Between us and PostgreSQL stands a *transaction pooler*, and everything here follows from that. Only unnamed
//! statements are sent, each in one round trip, because a named one may meet another process's of the same name.
//! There is no session state. A request is served by one statement, which finds out whether the token still holds
//! and whose the row is, and does the work, all at once: its result says which of *done*, *not yours* and *token
//! dead* it was.
//!
//! A statement that failed may have been carried out all the same, when only its answer was lost. So every
//! statement can be repeated: inserts carry their id, updates set values, and a repeated delete that finds nothing
//! has found what it wanted. [`Database`] repeats them, within the request's deadline.
//!
//! An attempt that is given up is over. Every write carries a moment after which it does nothing, the functions' role
//! has limits on how long a statement runs, and a socket that is given up is reset. So what the network delivers late
//! cannot undo what was acknowledged since.

mod clock;
mod config;
mod connection;
mod error;
pub mod pooler;
mod retry;
mod signin;
mod tasks;
mod users;

pub use config::{Config, ConnectError, Driver, InvalidConfig};
pub use connection::{Database, Renew};
pub use error::{Constraint, Error};
pub use retry::{CHECK_INTERVAL, CONNECT, LOCK_TIMEOUT, STATEMENT_TIMEOUT, Usage, within};
pub use signin::{Account, ClientAddress, SigninState};
pub use tasks::Created;
