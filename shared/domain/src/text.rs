use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

use crate::{Broken, without_nul};

/// What is to be done, in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// The most code points, as the `title_length` constraint counts them.
    pub const MAX_CHARS: usize = 500;

    /// Trims Unicode white space and checks what is left.
    ///
    /// # Errors
    /// [`Broken::Nul`], [`Broken::TitleEmpty`], [`Broken::TitleInvisible`], [`Broken::TitleTooLong`].
    pub fn parse(text: &str) -> Result<Self, Broken> {
        let title = without_nul(text)?.trim();
        if title.is_empty() {
            return Err(Broken::TitleEmpty);
        }
        if title.chars().count() > Self::MAX_CHARS {
            return Err(Broken::TitleTooLong);
        }
        if title.chars().all(is_invisible) {
            return Err(Broken::TitleInvisible);
        }
        Ok(Self(title.to_owned()))
    }

    /// The title itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// White space, control characters, the code points Unicode lets a renderer ignore (zero-width characters,
/// fillers, variation selectors, …), and the blank Braille pattern, which is none of these and yet empty.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || c == '\u{2800}'
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// The rest that is to be said about a task, kept as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// The most code points, as the `description_length` constraint counts them.
    pub const MAX_CHARS: usize = 5000;

    /// Takes the text as it is.
    ///
    /// # Errors
    /// [`Broken::Nul`], [`Broken::DescriptionTooLong`].
    pub fn parse(text: String) -> Result<Self, Broken> {
        if without_nul(&text)?.chars().count() > Self::MAX_CHARS {
            return Err(Broken::DescriptionTooLong);
        }
        Ok(Self(text))
    }

    /// The description itself.
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
        assert_eq!(Title::parse(&"🦀".repeat(501)), Err(Broken::TitleTooLong));
        assert!(Title::parse(&format!("  {}  ", "a".repeat(500))).is_ok());
    }

    #[test]
    fn a_title_of_white_space_is_empty() {
        assert_eq!(Title::parse(" \u{2003}\u{2028}\n"), Err(Broken::TitleEmpty));
    }

    #[test]
    fn a_title_that_nobody_can_see_is_refused() {
        for text in ["\u{200b}", "\u{feff}\u{2060}", "\u{3164}", "\u{2800} \u{ad}", "\u{1b}", "\u{fe0f}", "\u{e0041}"] {
            assert_eq!(Title::parse(text), Err(Broken::TitleInvisible), "{text:?}");
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
        assert_eq!(Description::parse("a".repeat(5001)), Err(Broken::DescriptionTooLong));
    }

    #[test]
    fn text_never_holds_a_nul() {
        assert_eq!(Title::parse("a\0"), Err(Broken::Nul));
        assert_eq!(Description::parse("\0".to_owned()), Err(Broken::Nul));
    }
}
