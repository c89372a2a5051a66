//! How a statement finds the account of its caller, and with it whether the token still holds.

use auth::{Caller, Proof};
use domain::UserId;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// A caller, as the first two of a statement's own parameters.
pub(crate) struct Identity {
    user: UserId,
    proof: Proof,
}

impl From<Caller> for Identity {
    fn from(caller: Caller) -> Self {
        Self { user: caller.user(), proof: caller.proof() }
    }
}

impl Identity {
    /// In a statement that reads: a query for the `id` of the account, without a row when the token no longer holds.
    pub(crate) fn in_read(&self) -> String {
        self.account("$1", "$2")
    }

    /// As [`Identity::in_read`], in a statement that writes: its first parameter is the expiry.
    pub(crate) fn in_write(&self) -> String {
        self.account("$2", "$3") + " AND statement_timestamp() < $1"
    }

    fn account(&self, user: &str, proof: &str) -> String {
        match self.proof {
            // A session goes with its account.
            Proof::Session(_) => format!("SELECT user_id AS id FROM sessions WHERE id = {proof} AND user_id = {user}"),
            // Also a statement when the column is gone, by which time no such token holds.
            Proof::TokenVersion(_) => format!(
                "SELECT id FROM users WHERE id = {user} AND (to_jsonb(users) ->> 'token_version')::integer = {proof}"
            ),
        }
    }

    /// The caller's parameters, followed by others.
    pub(crate) fn params<'a>(
        &'a self,
        others: &[(&'a (dyn ToSql + Sync), Type)],
    ) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        let proof: (&(dyn ToSql + Sync), Type) = match &self.proof {
            Proof::Session(id) => (id.as_uuid(), Type::UUID),
            Proof::TokenVersion(version) => (&version.0, Type::INT4),
        };
        [&[(self.user.as_uuid() as &(dyn ToSql + Sync), Type::UUID), proof], others].concat()
    }

    /// The session's id; null for a token of release 0.1.0.
    pub(crate) fn session(&self) -> Option<Uuid> {
        match self.proof {
            Proof::Session(id) => Some(*id.as_uuid()),
            Proof::TokenVersion(_) => None,
        }
    }
}
