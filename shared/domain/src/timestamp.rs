use std::time::SystemTime;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// A time in UTC, to the microsecond, as PostgreSQL stores it: the columns are `TIMESTAMP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(NaiveDateTime);

impl Timestamp {
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
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_to_the_microsecond_in_utc() {
        let text = |micros| serde_json::to_string(&Timestamp::from_micros(micros).unwrap()).unwrap();
        assert_eq!(text(0), r#""1970-01-01T00:00:00.000000Z""#);
        assert_eq!(text(1_700_000_000_120_000), r#""2023-11-14T22:13:20.120000Z""#);
    }
}
