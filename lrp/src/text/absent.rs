//! What is there of a tokenizer in a build without the cargo feature `tokenizer`: nothing that could be made.

use super::token::{Encoded, Token};
use super::unread::Unread;

/// A tokenizer, of which there is none.
#[derive(Debug)]
pub enum Library {}

impl Library {
    /// Never: there is no library.
    pub fn read(_: &[u8]) -> Result<Self, Unread> {
        Err(Unread::NoFeature)
    }

    /// The tokens of a text.
    pub fn encode(&self, _: &str) -> Result<Encoded, String> {
        match *self {}
    }

    /// The number of tokens.
    pub fn size(&self) -> usize {
        match *self {}
    }

    /// The token of an id.
    pub fn token(&self, _: u32) -> Option<Token> {
        match *self {}
    }

    /// The token of padding.
    pub fn padding(&self) -> Option<(Token, bool)> {
        match *self {}
    }
}
