use std::{fmt, time::SystemTime};

use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use crate::{ValidationError, without_nul};

/// A time in UTC, to the microsecond, as PostgreSQL stores it: the columns are `TIMESTAMP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(NaiveDateTime);

impl Timestamp {
    /// Parses a date-time of RFC 3339 with any offset. Digits beyond the microsecond are dropped; a leap second is the
    /// first of the next minute.
    ///
    /// # Errors
    /// [`ValidationError::Nul`], [`ValidationError::TimeFormat`]; [`ValidationError::TimeOutOfRange`] when its year in UTC
    /// does not have four digits.
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        // chrono accepts a space for the `T`, and a minus sign that is not ASCII.
        let is_strict = without_nul(text)?.is_ascii() && matches!(text.as_bytes().get(10), Some(b'T' | b't'));
        let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_strict);
        let micros = time.ok_or(ValidationError::TimeFormat)?.timestamp_micros();
        let time = Self::from_micros(micros).filter(|time| (0..=9999).contains(&time.0.year()));
        time.ok_or(ValidationError::TimeOutOfRange)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn as_micros(self) -> i64 {
        self.0.and_utc().timestamp_micros()
    }

    /// From microseconds since 1970-01-01T00:00:00Z; `None` when out of `chrono`'s range.
    pub fn from_micros(micros: i64) -> Option<Self> {
        DateTime::<Utc>::from_timestamp_micros(micros).map(|time| Self(time.naive_utc()))
    }

    /// For the database.
    pub fn as_utc(&self) -> &NaiveDateTime {
        &self.0
    }
}

impl From<NaiveDateTime> for Timestamp {
    fn from(utc: NaiveDateTime) -> Self {
        Self(utc)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(DateTime::<Utc>::from(time).naive_utc())
    }
}

/// RFC 3339 in UTC, ending in `Z`, always with six fractional digits.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// As it is displayed.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, ValidationError> {
        Timestamp::parse(text).map(|time| time.to_string())
    }

    #[test]
    fn a_time_of_any_offset_is_kept_in_utc() {
        for (text, utc) in [
            ("2026-03-01T17:00:00Z", "2026-03-01T17:00:00.000000Z"),
            ("2026-03-01t17:00:00.123456789z", "2026-03-01T17:00:00.123456Z"),
            ("2026-03-01T17:00:00.1+05:30", "2026-03-01T11:30:00.100000Z"),
            ("2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00.000000Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(parsed(text), Ok(utc.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_no_time() {
        for text in [
            "",
            "2026-03-01",
            "2026-03-01T17:00:00",
            "2026-03-01 17:00:00Z",
            "2026-03-01T17:00Z",
            "2026-02-30T17:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T17:00:00+24:00",
            "2026-03-01T17:00:00\u{2212}01:00",
            "2026-03-01T17:00:00+0100",
            "+2026-03-01T17:00:00Z",
            " 2026-03-01T17:00:00Z",
            "tomorrow",
        ] {
            assert_eq!(parsed(text), Err(ValidationError::TimeFormat), "{text:?}");
        }
        assert_eq!(parsed("2026-03-01T17:00:00Z\0"), Err(ValidationError::Nul));
        for text in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"] {
            assert_eq!(parsed(text), Err(ValidationError::TimeOutOfRange), "{text}");
        }
    }

    #[test]
    fn a_timestamp_is_written_to_the_microsecond_in_utc() {
        let text = |micros| serde_json::to_string(&Timestamp::from_micros(micros).unwrap()).unwrap();
        assert_eq!(text(0), r#""1970-01-01T00:00:00.000000Z""#);
        assert_eq!(text(1_700_000_000_120_000), r#""2023-11-14T22:13:20.120000Z""#);
    }
}
