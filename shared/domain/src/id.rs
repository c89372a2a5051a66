use std::fmt;

use serde::Serialize;
use uuid::Uuid;

macro_rules! id {
    ($name:ident) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub struct $name(Uuid);

        impl $name {
            /// A UUID of version 4.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// Parses the hyphenated form of RFC 9562, in either case, and no other.
            pub fn parse(text: &str) -> Option<Self> {
                text.parse::<uuid::fmt::Hyphenated>().ok().map(|id| Self(id.into_uuid()))
            }

            /// For the database.
            pub fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        /// Lower case and hyphenated.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id!(UserId);
id!(TaskId);
id!(SessionId);

impl TaskId {
    /// The id of the task that `user` creates with the idempotency key `key`.
    ///
    /// A UUID of version 5 (RFC 9562, section 5.5) with the user's id as its name space, so that equal keys of two users
    /// give two ids.
    pub fn derived(user: UserId, key: &str) -> Self {
        Self(Uuid::new_v5(user.as_uuid(), key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f9619ff-8b86-4011-b42d-00c04fc964ff";

    #[test]
    fn an_id_is_read_in_either_case_and_written_in_lower_case() {
        assert_eq!(UserId::parse(&ID.to_uppercase()).unwrap().to_string(), ID);
    }

    #[test]
    fn only_the_hyphenated_notation_is_an_id() {
        let simple = ID.replace('-', "");
        for text in [&simple, &format!("{{{ID}}}"), &format!("urn:uuid:{ID}"), &format!(" {ID}"), "", "null"] {
            assert_eq!(TaskId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_key_leads_each_user_to_one_task_of_their_own() {
        let (ada, bob) = (UserId::random(), UserId::random());
        assert_eq!(TaskId::derived(ada, "k"), TaskId::derived(ada, "k"));
        assert_ne!(TaskId::derived(ada, "k"), TaskId::derived(ada, "K"));
        assert_ne!(TaskId::derived(ada, "k"), TaskId::derived(bob, "k"));
    }
}
