use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

use crate::{ValidationError, without_nul};

/// A task's title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// In code points, as the `title_length` constraint counts.
    pub const MAX_CHARS: usize = 500;

    /// Trims Unicode white space and validates the rest.
    ///
    /// # Errors
    /// [`ValidationError::Nul`], [`ValidationError::TitleEmpty`], [`ValidationError::TitleInvisible`], [`ValidationError::TitleTooLong`].
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        let title = without_nul(text)?.trim();
        if title.is_empty() {
            return Err(ValidationError::TitleEmpty);
        }
        if title.chars().count() > Self::MAX_CHARS {
            return Err(ValidationError::TitleTooLong);
        }
        if title.chars().all(is_invisible) {
            return Err(ValidationError::TitleInvisible);
        }
        Ok(Self(title.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// White space, control characters, Unicode's default ignorable code points (zero-width characters, fillers, variation
/// selectors, …) and the blank Braille pattern, which is in none of these classes.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || c == '\u{2800}'
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// A task's description, kept as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// In code points, as the `description_length` constraint counts.
    pub const MAX_CHARS: usize = 5000;

    /// # Errors
    /// [`ValidationError::Nul`], [`ValidationError::DescriptionTooLong`].
    pub fn parse(text: String) -> Result<Self, ValidationError> {
        if without_nul(&text)?.chars().count() > Self::MAX_CHARS {
            return Err(ValidationError::DescriptionTooLong);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_trimmed_of_unicode_white_space() {
        assert_eq!(Title::parse("\u{3000}\t buy milk\u{a0}\r\n").unwrap().as_str(), "buy milk");
    }

    #[test]
    fn a_title_counts_code_points() {
        assert!(Title::parse(&"🦀".repeat(500)).is_ok());
        assert_eq!(Title::parse(&"🦀".repeat(501)), Err(ValidationError::TitleTooLong));
        assert!(Title::parse(&format!("  {}  ", "a".repeat(500))).is_ok());
    }

    #[test]
    fn a_title_of_white_space_is_empty() {
        assert_eq!(Title::parse(" \u{2003}\u{2028}\n"), Err(ValidationError::TitleEmpty));
    }

    #[test]
    fn an_invisible_title_is_refused() {
        for text in ["\u{200b}", "\u{feff}\u{2060}", "\u{3164}", "\u{2800} \u{ad}", "\u{1b}", "\u{fe0f}", "\u{e0041}"] {
            assert_eq!(Title::parse(text), Err(ValidationError::TitleInvisible), "{text:?}");
        }
    }

    #[test]
    fn invisible_characters_beside_visible_ones_are_kept() {
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(Title::parse(family).unwrap().as_str(), family);
    }

    #[test]
    fn a_description_is_kept_as_it_was_sent() {
        assert_eq!(Description::parse("  \n".to_owned()).unwrap().as_str(), "  \n");
        assert!(Description::parse("🦀".repeat(5000)).is_ok());
        assert_eq!(Description::parse("a".repeat(5001)), Err(ValidationError::DescriptionTooLong));
    }

    #[test]
    fn text_never_holds_a_nul() {
        assert_eq!(Title::parse("a\0"), Err(ValidationError::Nul));
        assert_eq!(Description::parse("\0".to_owned()), Err(ValidationError::Nul));
    }
}
