//! The parts of a text as they are shown: tokens, or words, and padding as one part.

use super::token::{Encoded, Token};

/// A part of a text, which covers some positions of the model's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPart {
    /// Its text.
    pub text: String,
    /// Whether it stands for no part of the text: the start, the end, padding.
    pub is_special: bool,
    /// The number of positions, which follow each other. The relevance of the part is the sum over them.
    pub positions: usize,
}

impl TextPart {
    /// A token with this text.
    pub fn token(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_special: false, positions: 1 }
    }

    /// The parts of a text: each token, or the pieces of each word together if `words`; padding is one part.
    pub fn of(encoded: &Encoded, words: bool) -> Vec<Self> {
        let together = |a: &Token, b: &Token| {
            (a.is_padding && b.is_padding) || (words && a.word.is_some() && a.word == b.word && !b.is_padding)
        };
        encoded.tokens.chunk_by(together).filter_map(|tokens| Self::of_tokens(&encoded.text, tokens)).collect()
    }

    fn of_tokens(text: &str, tokens: &[Token]) -> Option<Self> {
        let (first, positions) = (tokens.first()?, tokens.len());
        let is_special = first.is_special;
        let word = || {
            let spans = || tokens.iter().filter_map(|token| token.span.clone());
            let (start, end) = (spans().map(|span| span.start).min()?, spans().map(|span| span.end).max()?);
            text.get(start..end).map(str::to_owned)
        };
        let text = match positions {
            1 => first.text.clone(),
            _ if first.is_padding => format!("{} ×{positions}", first.text),
            _ => word().unwrap_or_else(|| tokens.iter().map(|token| token.text.as_str()).collect()),
        };
        Some(Self { text, is_special, positions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_word_and_padding_are_joined() {
        let token = |text: &str, word: Option<usize>, span: std::ops::Range<usize>| Token {
            id: 0,
            type_id: 0,
            text: text.to_owned(),
            is_special: word.is_none(),
            is_padding: text == "[PAD]",
            word,
            span: word.is_some().then_some(span),
        };
        let tokens = vec![
            token("[CLS]", None, 0..0),
            token("play", Some(0), 0..4),
            token("##ing", Some(0), 4..7),
            token("on", Some(1), 8..10),
            token("[PAD]", None, 0..0),
            token("[PAD]", None, 0..0),
        ];
        let encoded = Encoded { text: "Playing on".into(), tokens };
        let of = |words: bool| {
            let parts = TextPart::of(&encoded, words);
            parts.into_iter().map(|p| (p.text, p.positions)).collect::<Vec<_>>()
        };
        let own = |parts: &[(&str, usize)]| parts.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(of(false), own(&[("[CLS]", 1), ("play", 1), ("##ing", 1), ("on", 1), ("[PAD] ×2", 2)]));
        assert_eq!(of(true), own(&[("[CLS]", 1), ("Playing", 2), ("on", 1), ("[PAD] ×2", 2)]));
    }
}
