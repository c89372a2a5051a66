use std::{ops::RangeInclusive, str::FromStr, time::Duration};

/// What all tokens of a deployment have in common.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
    pub lifetime: TokenLifetime,
}

/// How long a token is accepted: 1 s to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLifetime(Duration);

impl TokenLifetime {
    const SECONDS: RangeInclusive<u64> = 1..=86_400;

    /// A whole number of seconds.
    pub fn get(self) -> Duration {
        self.0
    }
}

/// An hour.
impl Default for TokenLifetime {
    fn default() -> Self {
        Self(Duration::from_secs(3600))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be a whole number of seconds from {} to {}", TokenLifetime::SECONDS.start(), TokenLifetime::SECONDS.end())]
pub struct InvalidLifetime;

impl FromStr for TokenLifetime {
    type Err = InvalidLifetime;

    fn from_str(text: &str) -> Result<Self, InvalidLifetime> {
        let seconds = domain::whole_number(text).filter(|seconds| Self::SECONDS.contains(seconds));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or(InvalidLifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_1_s_to_a_day() {
        for (text, seconds) in [("1", 1), ("60", 60), ("086400", 86_400)] {
            assert_eq!(text.parse::<TokenLifetime>().map(|lifetime| lifetime.get().as_secs()), Ok(seconds), "{text}");
        }
        for text in ["", "0", "00", "-1", "+60", "86401", "1e3", "60.0", "60s", " 60", "99999999999999999999"] {
            assert_eq!(text.parse::<TokenLifetime>(), Err(InvalidLifetime), "{text:?}");
        }
    }
}
