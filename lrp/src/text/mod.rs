//! Texts as inputs of a model: token ids, masks and token types, made with a tokenizer of Hugging Face, and tokens as people read them.
//!
//! [`Tokenizer`] needs the cargo feature `tokenizer`; without it, reading one is an error that says so. [`TextReader`] is a tokenizer
//! with the inputs of a model that it fills.

#[cfg(not(feature = "tokenizer"))]
mod absent;
mod inputs;
#[cfg(feature = "tokenizer")]
mod library;
mod part;
mod reader;
mod token;
mod tokenizer;
mod unread;

pub use self::inputs::TextRole;
pub use self::part::TextPart;
pub use self::reader::{SEEN_PADDING, TextReader, Texts};
pub use self::token::{Encoded, Token};
pub use self::tokenizer::Tokenizer;
