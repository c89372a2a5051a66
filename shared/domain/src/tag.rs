use std::collections::BTreeSet;

use icu_normalizer::ComposingNormalizerBorrowed;
use uuid::{Uuid, uuid};

use crate::{ValidationError, text::is_invisible, without_nul};

/// The name of a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

/// The name space of the ids.
const NAMESPACE: Uuid = uuid!("5b6a1b5e-3a3c-4f0b-8f0e-7c1c9c6f2d10");

impl Tag {
    /// In code points, as `tags.name` counts.
    pub const MAX_CHARS: usize = 50;

    /// Trims Unicode white space, normalises to NFC, lowercases, and validates the rest.
    ///
    /// # Errors
    /// [`ValidationError::Nul`], [`ValidationError::TagEmpty`], [`ValidationError::TagTooLong`],
    /// [`ValidationError::TagSeparator`], [`ValidationError::TagInvisible`].
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        let nfc = ComposingNormalizerBorrowed::new_nfc();
        // Lowercasing can undo the normal form.
        let name = nfc.normalize(&nfc.normalize(without_nul(text)?.trim()).to_lowercase()).into_owned();
        if name.is_empty() {
            return Err(ValidationError::TagEmpty);
        }
        if name.chars().count() > Self::MAX_CHARS {
            return Err(ValidationError::TagTooLong);
        }
        if name.contains(|c: char| c == ',' || c.is_control()) {
            return Err(ValidationError::TagSeparator);
        }
        if name.chars().all(is_invisible) {
            return Err(ValidationError::TagInvisible);
        }
        Ok(Self(name))
    }

    /// A UUID of version 5 (RFC 9562, section 5.5), so that all requests that bring a tag know its id.
    pub fn id(&self) -> Uuid {
        Uuid::new_v5(&NAMESPACE, self.0.as_bytes())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A set of tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeSet<Tag>);

impl Tags {
    pub const MAX: usize = 20;

    /// Names that are equal once normalised are one tag.
    ///
    /// # Errors
    /// As [`Tag::parse`]; [`ValidationError::TooManyTags`].
    pub fn parse<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, ValidationError> {
        let tags: BTreeSet<_> = names.into_iter().map(|name| Tag::parse(name.as_ref())).collect::<Result<_, _>>()?;
        if tags.len() > Self::MAX { Err(ValidationError::TooManyTags) } else { Ok(Self(tags)) }
    }

    /// By code point.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Separated by commas, which no name contains.
    pub fn joined(&self) -> String {
        self.iter().map(Tag::as_str).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Result<String, ValidationError> {
        Tag::parse(text).map(|tag| tag.as_str().to_owned())
    }

    #[test]
    fn a_tag_is_trimmed_composed_and_lowercased() {
        assert_eq!(name(" \u{3000}Home "), Ok("home".to_owned()));
        assert_eq!(name("A\u{308}rger"), Ok("ärger".to_owned()));
        assert_eq!(name("ÉTÉ"), Ok("été".to_owned()));
        assert_eq!(name("two words"), Ok("two words".to_owned()));
        // The Kelvin sign.
        assert_eq!(name("\u{212a}"), Ok("k".to_owned()));
    }

    #[test]
    fn a_tag_counts_code_points() {
        assert!(Tag::parse(&"🦀".repeat(50)).is_ok());
        assert_eq!(name(&"🦀".repeat(51)), Err(ValidationError::TagTooLong));
        // Two code points become one.
        assert!(Tag::parse(&"e\u{301}".repeat(50)).is_ok());
    }

    #[test]
    fn what_no_tag_can_be_is_refused() {
        for text in ["", "  ", "\u{2003}\n"] {
            assert_eq!(name(text), Err(ValidationError::TagEmpty), "{text:?}");
        }
        for text in ["a,b", ",", "a\nb", "a\u{85}b", "\u{7f}"] {
            assert_eq!(name(text), Err(ValidationError::TagSeparator), "{text:?}");
        }
        for text in ["\u{200b}", "\u{feff}\u{2060}", "\u{2800} \u{ad}"] {
            assert_eq!(name(text), Err(ValidationError::TagInvisible), "{text:?}");
        }
        assert_eq!(name("a\0"), Err(ValidationError::Nul));
    }

    #[test]
    fn names_that_are_equal_once_normalised_are_one_tag() {
        assert_eq!(Tags::parse(["b", " A", "a", "B "]).unwrap().joined(), "a,b");
        let distinct: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        assert!(Tags::parse(distinct.iter().chain(&distinct)).is_ok());
        assert_eq!(Tags::parse((0..21).map(|number| number.to_string())), Err(ValidationError::TooManyTags));
    }

    #[test]
    fn the_ids_are_those_of_earlier_releases() {
        assert_eq!(Tag::parse("home").unwrap().id().to_string(), "655b6490-d785-5c11-8149-479ee75381a2");
    }

    proptest! {
        #[test]
        fn a_tag_that_is_sent_back_is_the_same(text in any::<String>()) {
            if let Ok(tag) = Tag::parse(&text) {
                prop_assert_eq!(Tag::parse(tag.as_str()), Ok(tag));
            }
        }
    }
}
