use sha2::{Digest, Sha256};

use crate::{Description, Status, TaskValues};

/// A digest of the request that created a task with an idempotency key, stored with the task. The same key with another
/// digest is another request.
///
/// It covers the parsed values, not the bytes sent, and is compared across releases, so the format is fixed: SHA-256 of
/// [`FORMAT`], then the name and the value of each field that is set, each prefixed with its length in bytes (64 bits,
/// big endian). A field that is not in every request is left out while it has its default value, so that the requests of
/// earlier releases keep their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

/// Distinguishes this format from later ones.
const FORMAT: &[u8] = b"task-api request 1\n";

impl RequestHash {
    pub(crate) fn of(values: &TaskValues) -> Self {
        let TaskValues { title, description, status, priority, due_date, tags } = values;
        let fields = [
            ("title", Some(title.as_str().to_owned())),
            ("description", description.as_ref().map(Description::as_str).map(str::to_owned)),
            ("status", (*status != Status::Pending).then(|| status.as_str().to_owned())),
            ("priority", priority.map(|priority| priority.get().to_string())),
            ("due_date", due_date.map(|time| time.as_micros().to_string())),
            ("tags", (!tags.is_empty()).then(|| tags.joined())),
        ];
        let mut digest = Sha256::new_with_prefix(FORMAT);
        for (name, value) in fields {
            let Some(value) = value else { continue };
            for part in [name, &value] {
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
    use crate::{Priority, Tags, Timestamp, Title};

    fn values(title: &str, description: Option<&str>) -> TaskValues {
        TaskValues {
            title: Title::parse(title).unwrap(),
            description: description.map(|text| Description::parse(text.to_owned()).unwrap()),
            status: Status::Pending,
            priority: None,
            due_date: None,
            tags: Tags::default(),
        }
    }

    fn hash(values: &TaskValues) -> String {
        RequestHash::of(values).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_format_is_that_of_earlier_releases() {
        let milk = "d37c40e64a26af2df197a0376eca82718b1a6445666fba5d8f0e46c13f4518dc";
        let litres = "c346d4e254443be02d0d6552930e0f54cf901ffd3d4db8d101409189ba3cb788";
        assert_eq!(hash(&values("Buy milk", None)), milk);
        assert_eq!(hash(&values(" Buy milk ", Some("2 litres"))), litres);
    }

    #[test]
    fn different_values_have_different_digests() {
        let texts = [("a", None), ("b", None), ("a", Some("")), ("a", Some("b")), ("ab", Some("")), ("a", Some("b "))];
        let mut all: Vec<_> = texts.into_iter().map(|(title, description)| values(title, description)).collect();
        let plain = || values("a", None);
        all.push(TaskValues { status: Status::InProgress, ..plain() });
        all.push(TaskValues { status: Status::Completed, ..plain() });
        all.push(TaskValues { priority: Some(Priority::new(1).unwrap()), ..plain() });
        all.push(TaskValues { priority: Some(Priority::new(2).unwrap()), ..plain() });
        all.push(TaskValues { due_date: Timestamp::from_micros(1), ..plain() });
        all.push(TaskValues { due_date: Timestamp::from_micros(2), ..plain() });
        all.push(TaskValues { tags: Tags::parse(["a"]).unwrap(), ..plain() });
        all.push(TaskValues { tags: Tags::parse(["a", "b"]).unwrap(), ..plain() });
        let hashes: std::collections::BTreeSet<_> = all.iter().map(hash).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
