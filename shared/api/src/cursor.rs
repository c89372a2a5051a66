use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{Position, TaskId, Timestamp};
use uuid::Uuid;

/// The largest timestamp in a cursor, in the year 11103: within PostgreSQL's range, and with six leading zero bits, so
/// that every cursor begins with an `A`, as the contract says.
const MAX_MICROS: i64 = (1 << 58) - 1;

/// A position as an opaque text that is safe in a URL.
pub fn encode_cursor(position: Position) -> String {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&position.created_at.as_micros().to_be_bytes());
    bytes[8..].copy_from_slice(position.id.as_uuid().as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// `None` when the text is not a cursor.
pub fn decode_cursor(text: &str) -> Option<Position> {
    let bytes: [u8; 24] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (micros, id) = bytes.split_at(8);
    let micros = i64::from_be_bytes(micros.try_into().ok()?);
    let created_at = Timestamp::from_micros(micros).filter(|_| (0..=MAX_MICROS).contains(&micros))?;
    Some(Position { created_at, id: TaskId::from(Uuid::from_slice(id).ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_written_and_read() {
        let place =
            Position { created_at: Timestamp::from_micros(1_700_000_000_123_456).unwrap(), id: TaskId::random() };
        assert_eq!(decode_cursor(&encode_cursor(place)), Some(place));
    }

    #[test]
    fn what_no_list_handed_out_is_no_cursor() {
        let too_late = BASE64_URL_SAFE_NO_PAD.encode([(MAX_MICROS + 1).to_be_bytes(), [0; 8], [0; 8]].concat());
        let before_1970 = BASE64_URL_SAFE_NO_PAD.encode([(-1_i64).to_be_bytes(), [0; 8], [0; 8]].concat());
        for text in ["", "x", "AAAA", "💥", &"A".repeat(33), &too_late, &before_1970] {
            assert_eq!(decode_cursor(text), None, "{text:?}");
        }
    }
}
