use std::str::FromStr;

/// Parses a number of decimal digits only: `FromStr` would accept a leading `+`. `None` also when it is too large.
pub fn whole_number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_alone() {
        assert_eq!(whole_number("0"), Some(0_u8));
        assert_eq!(whole_number("007"), Some(7_u8));
        assert_eq!(whole_number("255"), Some(255_u8));
        for text in ["", "256", "+5", "-5", "-0", " 5", "5 ", "5.0", "5e0", "0x5", "5_0", "\u{665}"] {
            assert_eq!(whole_number::<u8>(text), None, "{text:?}");
        }
    }
}
