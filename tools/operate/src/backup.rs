//! Backups off the database's host: what `pg_dump` writes, encrypted, to a file or to S3; and the way back.
//!
//! A backup is an [age](https://age-encryption.org) file of a line of JSON, what the backup has, and `pg_dump`'s own format:
//! `age --decrypt | tail --lines=+2 | pg_restore --no-owner` reads it, too. It has no sessions and no tokens of mails, so
//! that none comes back.

mod archive;
mod contents;
mod create;
mod key;
mod place;
mod programs;
mod restore;
mod scratch;

pub(crate) use self::{create::create, key::generate, place::Place, restore::restore};

/// Tables whose rows are left out.
const LEFT_OUT: [&str; 2] = ["sessions", "password_resets"];

/// The schema of all tables and functions.
const SCHEMA: &str = "public";
