use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{Position, TaskId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A position in a list as an opaque text that is safe in a URL. `list` is the normalised query, without page and size.
///
/// Its bytes are 0, whether there is a value (0 or 1), the beginning of the list's digest (6 bytes), the value (8) and the
/// id (16). In a list without a query they are the value and the id alone, as in the first release, whose functions may
/// still be asked for the next page.
pub(crate) fn encode_cursor(position: Position, list: &str) -> String {
    let value = position.value.unwrap_or_default().to_be_bytes();
    let id = position.id.as_uuid().as_bytes();
    BASE64_URL_SAFE_NO_PAD.encode(if list.is_empty() {
        [&value[..], id].concat()
    } else {
        [&[0, u8::from(position.value.is_some())], &digest(list)[..], &value, id].concat()
    })
}

/// `None` when the text is not a cursor of this list.
pub(crate) fn decode_cursor(text: &str, list: &str) -> Option<Position> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let is_first_releases = bytes.len() == 24 && ["", "completed=true", "completed=false"].contains(&list);
    let has_value = if is_first_releases {
        true
    } else {
        let (head, _) = bytes.split_at_checked(8)?;
        let is_lists = !list.is_empty() && bytes.len() == 32 && head[2..] == digest(list);
        match head[..2] {
            [0, flag @ (0 | 1)] if is_lists => flag == 1,
            _ => return None,
        }
    };
    let (value, id) = bytes[bytes.len() - 24..].split_at(8);
    let value = i64::from_be_bytes(value.try_into().ok()?);
    // No task was created before 1970.
    let is_in_range = VALUES.contains(&value) && !(is_first_releases && value < 0);
    let id = TaskId::from(Uuid::from_slice(id).ok()?);
    is_in_range.then_some(Position { value: has_value.then_some(value), id })
}

/// From the year 0000 to 9999, in microseconds since 1970.
const VALUES: std::ops::Range<i64> = -62_167_219_200_000_000..253_402_300_800_000_000;

fn digest(list: &str) -> [u8; 6] {
    let mut digest = [0; 6];
    digest.copy_from_slice(&Sha256::digest(list)[..6]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: [&str; 5] = ["", "completed=true", "sort=due_date", "sort=-due_date", "q=milk&sort=due_date"];

    fn position(value: Option<i64>) -> Position {
        Position { value, id: TaskId::random() }
    }

    #[test]
    fn a_position_survives_being_written_and_read() {
        for list in &LISTS[1..] {
            for value in [None, Some(-1), Some(0), Some(4), Some(1_700_000_000_123_456)] {
                let position = position(value);
                assert_eq!(decode_cursor(&encode_cursor(position, list), list), Some(position), "{list}");
            }
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_list() {
        for list in LISTS {
            let cursor = encode_cursor(position(Some(1)), list);
            for other in LISTS.into_iter().filter(|other| *other != list) {
                // The first release's cursors do not say which of its lists they are of.
                if !(list.is_empty() && other == "completed=true") {
                    assert_eq!(decode_cursor(&cursor, other), None, "{list} {other}");
                }
            }
        }
    }

    #[test]
    fn a_cursor_of_the_first_release_is_read_and_written() {
        let position = Position { value: Some(1_700_000_000_123_456), id: Uuid::from_u128(1).into() };
        let cursor = "AAYKJBggIkAAAAAAAAAAAAAAAAAAAAAB";
        assert_eq!(encode_cursor(position, ""), cursor);
        for list in ["", "completed=true", "completed=false"] {
            assert_eq!(decode_cursor(cursor, list), Some(position));
        }
        assert_eq!(decode_cursor(cursor, "status=completed"), None);
    }

    #[test]
    fn what_no_list_handed_out_is_no_cursor() {
        let out_of_range = |value: i64| BASE64_URL_SAFE_NO_PAD.encode([value.to_be_bytes(), [0; 8], [0; 8]].concat());
        let texts = ["", "x", "AAAA", "💥", &"A".repeat(33), &out_of_range(VALUES.end), &out_of_range(i64::MIN)];
        for text in texts {
            assert_eq!(decode_cursor(text, ""), None, "{text:?}");
            assert_eq!(decode_cursor(text, "sort=due_date"), None, "{text:?}");
        }
    }
}
