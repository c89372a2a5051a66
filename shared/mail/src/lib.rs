//! The mails to users: what they say, and how they are sent. Knows `api` and `domain`.
//!
//! Above `api`, so that only the functions that send mail link what it takes. Such a function has the state [`Mailing`]
//! around the one it would have without. Mail goes through Amazon SES or, locally, into a folder.
//!
//! A request never fails because its mail cannot be sent: the failure is logged, without the address.

mod mail;
mod mailer;
mod page;
#[cfg(feature = "cloud")]
mod ses;
mod state;

pub use mail::Mail;
pub use mailer::{Mailer, TIMEOUT};
pub use page::{InvalidPage, Page};
pub use state::Mailing;
