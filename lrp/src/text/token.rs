//! The tokens of one text.

use std::ops::Range;

/// A token: a row of the embedding, and the part of the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    /// Its type: the number of its sentence, 0 of a single one.
    pub type_id: u32,
    /// Its text, as it is shown.
    pub text: String,
    /// Whether it stands for no part of the text: the start, the end, padding.
    pub is_special: bool,
    /// Whether it is padding, which the mask hides.
    pub is_padding: bool,
    /// The number of the word that it is a piece of, if it is a piece of one.
    pub word: Option<usize>,
    /// Its bytes in the text, if it stands for some.
    pub span: Option<Range<usize>>,
}

/// A text and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The text; empty where the tokens are known by their ids alone.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<Token>,
}

impl Encoded {
    /// The same with padding up to this number of tokens, in front if `left`.
    #[must_use]
    pub(super) fn padded(mut self, length: usize, padding: &Token, left: bool) -> Self {
        let missing = length.saturating_sub(self.tokens.len());
        let at = if left { 0 } else { self.tokens.len() };
        self.tokens.splice(at..at, std::iter::repeat_n(padding.clone(), missing));
        self
    }
}
