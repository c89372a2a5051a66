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

mod connection;
mod error;
mod retry;
mod signin;
mod tasks;
mod users;

pub use connection::{Config, Database, InvalidConfig, Renew};
pub use error::{Constraint, Error};
pub use retry::{ATTEMPT, Usage, within};
pub use signin::{Account, ClientAddress, SigninState};
pub use tasks::Created;
