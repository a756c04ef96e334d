//! A tokenizer of the library `tokenizers`, which reads the `tokenizer.json` of Hugging Face.

use tokenizers::{Encoding, PaddingDirection};

use super::token::{Encoded, Token};
use super::unread::Unread;

/// What padding is usually called.
const PADDING: [&str; 5] = ["[PAD]", "<pad>", "<|pad|>", "<PAD>", "<|endoftext|>"];

/// The mark of a piece that begins a word (SentencePiece). Such a tokenizer need not separate words itself.
const WORD: char = '▁';

/// What the pieces of a word after the first begin with, in WordPiece.
const CONTINUED: &str = "##";

/// A tokenizer.
#[derive(Debug)]
pub struct Library {
    tokenizer: tokenizers::Tokenizer,
    padding: Option<(Token, bool)>,
}

impl Library {
    /// A tokenizer from the bytes of its file.
    pub fn read(bytes: &[u8]) -> Result<Self, Unread> {
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| Unread::Damaged(e.to_string()))?;
        let padding = padding(&tokenizer);
        // Lengths are the model's affair, and a text that is cut without a word is another text.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| Unread::Damaged(e.to_string()))?;
        Ok(Self { tokenizer, padding })
    }

    /// The tokens of a text, with those around it.
    pub fn encode(&self, text: &str) -> Result<Encoded, String> {
        let encoding = self.tokenizer.encode(text, true).map_err(|e| e.to_string())?;
        Ok(Encoded { text: text.to_owned(), tokens: tokens(text, &encoding) })
    }

    /// The number of tokens of the vocabulary, those that were added included.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<Token> {
        let piece = self.tokenizer.id_to_token(id)?;
        let special = self.tokenizer.get_added_tokens_decoder().get(&id).is_some_and(|added| added.special);
        let is_padding = self.padding.as_ref().is_some_and(|(padding, _)| padding.id == id);
        // Pieces of byte-level tokenizers are written with other characters than the text has.
        let readable = || self.tokenizer.decode(&[id], false).ok().filter(|text| !text.is_empty());
        let text = if special || piece.starts_with(CONTINUED) { piece } else { readable().unwrap_or(piece) };
        Some(Token { id, type_id: 0, text, is_special: special, is_padding, word: None, span: None })
    }

    /// The token of padding, and whether it stands in front.
    pub fn padding(&self) -> Option<(Token, bool)> {
        self.padding.clone()
    }
}

/// The padding that the file states, or the token that is called so.
fn padding(tokenizer: &tokenizers::Tokenizer) -> Option<(Token, bool)> {
    let token = |id: u32, type_id: u32, text: &str| Token {
        id,
        type_id,
        text: text.to_owned(),
        is_special: true,
        is_padding: true,
        word: None,
        span: None,
    };
    if let Some(stated) = tokenizer.get_padding() {
        let left = matches!(stated.direction, PaddingDirection::Left);
        return Some((token(stated.pad_id, stated.pad_type_id, &stated.pad_token), left));
    }
    PADDING.iter().find_map(|name| Some((token(tokenizer.token_to_id(name)?, 0, name), false)))
}

fn tokens(text: &str, encoding: &Encoding) -> Vec<Token> {
    let special = encoding.get_special_tokens_mask();
    let (types, pieces, words) = (encoding.get_type_ids(), encoding.get_tokens(), encoding.get_word_ids());
    let mut tokens = Vec::new();
    // A word of the tokenizer can be a whole text, in which pieces mark the words.
    let (mut word, mut before) = (0, None);
    for (i, &id) in encoding.get_ids().iter().enumerate() {
        let piece = pieces.get(i).map(String::as_str).unwrap_or_default();
        let is_special = special.get(i) == Some(&1);
        let own = words.get(i).copied().flatten().filter(|_| !is_special);
        if own != before || piece.starts_with(WORD) {
            word += 1;
        }
        before = own;
        let span = encoding.get_offsets().get(i).map(|&(start, end)| start..end).filter(|span| !span.is_empty());
        let span = span.filter(|_| !is_special);
        tokens.push(Token {
            id,
            type_id: types.get(i).copied().unwrap_or_default(),
            text: shown(piece, span.clone().and_then(|span| text.get(span))),
            is_special,
            is_padding: false,
            word: own.map(|_| word),
            span,
        });
    }
    tokens
}

/// A token as it is shown: the part of the text, unless the vocabulary says more of it.
fn shown(piece: &str, part: Option<&str>) -> String {
    let says_more = piece.starts_with(CONTINUED) || (piece.starts_with(['[', '<']) && piece.ends_with([']', '>']));
    part.filter(|_| !says_more).unwrap_or(piece).to_owned()
}
