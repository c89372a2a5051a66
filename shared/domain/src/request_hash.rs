use sha2::{Digest, Sha256};

use crate::{Description, Title};

/// A digest of what a task was asked to be under an idempotency key, kept with the task: the same key with another
/// digest is another request.
///
/// It is made of the parsed values, not of the bytes that were sent, and outlives releases, so its form is fixed: the
/// SHA-256 of [`FORM`] and, for each field that says something, its name and its value, each behind its length in bytes
/// (64 bits, the highest first). A field that is added to tasks is left out while it has the value that it has for those
/// who do not know it, so that their requests keep their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

/// What tells this form from any later one.
const FORM: &[u8] = b"task-api request 1\n";

impl RequestHash {
    /// The digest of a request's values.
    pub(crate) fn of(title: &Title, description: Option<&Description>) -> Self {
        let fields = [("title", Some(title.as_str())), ("description", description.map(Description::as_str))];
        let mut digest = Sha256::new_with_prefix(FORM);
        for (name, value) in fields {
            let Some(value) = value else { continue };
            for part in [name, value] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        Self(digest.finalize().into())
    }

    /// The digest, for the database.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(title: &str, description: Option<&str>) -> String {
        let description = description.map(|text| Description::parse(text.to_owned()).unwrap());
        let hash = RequestHash::of(&Title::parse(title).unwrap(), description.as_ref());
        hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_form_never_changes_because_digests_of_earlier_releases_are_compared_with() {
        assert_eq!(hash("Buy milk", None), "d37c40e64a26af2df197a0376eca82718b1a6445666fba5d8f0e46c13f4518dc");
        assert_eq!(
            hash(" Buy milk ", Some("2 litres")),
            "c346d4e254443be02d0d6552930e0f54cf901ffd3d4db8d101409189ba3cb788"
        );
    }

    #[test]
    fn what_says_something_else_has_another_digest() {
        let all = [("a", None), ("b", None), ("a", Some("")), ("a", Some("b")), ("ab", Some("")), ("a", Some("b "))];
        let hashes: std::collections::BTreeSet<_> =
            all.into_iter().map(|(title, description)| hash(title, description)).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
