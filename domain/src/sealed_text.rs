//! What a rule may know of a text that it cannot read.

use event_schemas::Personal;

/// A sealed text with its length: whoever sealed it counted before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedText {
    /// The text.
    pub text: Personal<String>,
    /// How many characters it has, without blanks around it.
    pub characters: usize,
}

impl SealedText {
    /// The sealed form of a text.
    pub fn new(text: Personal<String>, plain: &str) -> Self {
        Self { text, characters: plain.trim().chars().count() }
    }

    /// Whether it says something, in at most so many characters.
    pub fn has_at_most(&self, characters: usize) -> bool {
        (1..=characters).contains(&self.characters)
    }
}
