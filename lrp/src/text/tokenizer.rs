//! A tokenizer: from texts to tokens, and from ids back to tokens.

use std::path::{Path, PathBuf};

#[cfg(not(feature = "tokenizer"))]
use super::absent::Library;
#[cfg(feature = "tokenizer")]
use super::library::Library;
use super::token::{Encoded, Token};
use super::unread::Unread;
use crate::error::{Error, TextError};

/// A tokenizer, from the `tokenizer.json` of Hugging Face.
#[derive(Debug)]
pub struct Tokenizer {
    path: PathBuf,
    library: Library,
}

impl Tokenizer {
    /// A tokenizer from the bytes of a `tokenizer.json`. Messages call it `path`.
    ///
    /// # Errors
    /// When the bytes are no tokenizer, and in a build without the cargo feature `tokenizer`.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let library = Library::read(bytes).map_err(|unread| match unread {
            Unread::NoFeature => TextError::NoFeature,
            Unread::Damaged(why) => TextError::Tokenizer { file: path.to_owned(), why },
        })?;
        Ok(Self { path: path.to_owned(), library })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens of a text, with those that the model expects around it.
    ///
    /// # Errors
    /// When the tokenizer refuses the text, in words.
    pub fn encode(&self, text: &str) -> Result<Encoded, String> {
        self.library.encode(text)
    }

    /// The number of tokens of its vocabulary.
    pub fn size(&self) -> usize {
        self.library.size()
    }

    /// The token of an id, if the vocabulary has it.
    pub fn token(&self, id: u32) -> Option<Token> {
        self.library.token(id)
    }

    /// The token of padding, and whether it stands in front of texts.
    pub fn padding(&self) -> Option<(Token, bool)> {
        self.library.padding()
    }
}
