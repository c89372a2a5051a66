use sha2::{Digest, Sha256};

use crate::{Description, Title};

/// A digest of the request that created a task with an idempotency key, stored with the task. The same key with another
/// digest is another request.
///
/// It covers the parsed values, not the bytes sent, and is compared across releases, so the format is fixed: SHA-256 of
/// [`FORMAT`], then the name and the value of each field that is set, each prefixed with its length in bytes (64 bits,
/// big endian). A field added to tasks later must be left out while it has its default value, so that older requests
/// keep their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

/// Distinguishes this format from later ones.
const FORMAT: &[u8] = b"task-api request 1\n";

impl RequestHash {
    pub(crate) fn of(title: &Title, description: Option<&Description>) -> Self {
        let fields = [("title", Some(title.as_str())), ("description", description.map(Description::as_str))];
        let mut digest = Sha256::new_with_prefix(FORMAT);
        for (name, value) in fields {
            let Some(value) = value else { continue };
            for part in [name, value] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        Self(digest.finalize().into())
    }

    /// For the database.
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
    fn the_format_is_that_of_earlier_releases() {
        assert_eq!(hash("Buy milk", None), "d37c40e64a26af2df197a0376eca82718b1a6445666fba5d8f0e46c13f4518dc");
        assert_eq!(
            hash(" Buy milk ", Some("2 litres")),
            "c346d4e254443be02d0d6552930e0f54cf901ffd3d4db8d101409189ba3cb788"
        );
    }

    #[test]
    fn different_values_have_different_digests() {
        let all = [("a", None), ("b", None), ("a", Some("")), ("a", Some("b")), ("ab", Some("")), ("a", Some("b "))];
        let hashes: std::collections::BTreeSet<_> =
            all.into_iter().map(|(title, description)| hash(title, description)).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
