/// The words of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchWords(Vec<String>);

impl SearchWords {
    pub const MAX_WORDS: usize = 5;
    /// In code points, of all words.
    pub const MAX_CHARS: usize = 200;

    /// Splits the text at Unicode white space. `None` when it has no word, too many or too long ones.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        let chars: usize = words.iter().map(|word| word.chars().count()).sum();
        let is_valid = (1..=Self::MAX_WORDS).contains(&words.len()) && chars <= Self::MAX_CHARS;
        is_valid.then_some(Self(words))
    }

    /// Separated by spaces.
    pub fn joined(&self) -> String {
        self.0.join(" ")
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_one_to_five_words() {
        let words = |text| SearchWords::parse(text).map(|words| words.0.join("|"));
        assert_eq!(words(" buy\u{3000}milk \n"), Some("buy|milk".to_owned()));
        assert_eq!(words("a b c d e"), Some("a|b|c|d|e".to_owned()));
        for text in ["", " ", "a b c d e f"] {
            assert_eq!(words(text), None, "{text:?}");
        }
        assert!(SearchWords::parse(&"🦀".repeat(200)).is_some());
        assert!(SearchWords::parse(&format!("{} {}", "a".repeat(100), "b".repeat(101))).is_none());
    }
}
