//! Why a text is no input of a model.

use std::path::{Path, PathBuf};

use lrp_core::text::{shortened, shown};
use thiserror::Error;

/// Why a text is no input of a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// The program was built without tokenizers.
    #[error("this program is built without tokenizers")]
    NoFeature,
    /// The file is no tokenizer.
    #[error("cannot read the tokenizer '{}': {}", file.display(), shortened(why, 300))]
    Tokenizer {
        /// The file.
        file: PathBuf,
        /// The reason.
        why: String,
    },
    /// The file is a text, and there is no tokenizer.
    #[error("'{}' is a text, and no tokenizer is given", file.display())]
    NoTokenizer {
        /// The file.
        file: PathBuf,
    },
    /// The file is no text.
    #[error("cannot read the text '{}': {why}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        why: String,
    },
    /// The file has no text at all.
    #[error("'{}' has no text", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// A line has no text.
    #[error("'{}', line {line}: the text is empty", file.display())]
    EmptyLine {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The tokenizer refuses a text, or makes no token of it.
    #[error("'{}', line {line}: the tokenizer makes nothing of the text{}", file.display(), why.as_ref().map(|why| format!(": {}", shortened(why, 300))).unwrap_or_default())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The tokenizer's reason, if it has one.
        why: Option<String>,
    },
    /// A text has more tokens than the model takes.
    #[error("'{}', line {line}: the text has {}, {special} of them special, and the model takes {most}", file.display(), counted(*tokens))]
    TooLong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The number of its tokens.
        tokens: usize,
        /// The number of special ones among them.
        special: usize,
        /// The number that the model takes.
        most: usize,
    },
    /// A text is shorter than the model's input, and there is neither a mask nor a token of padding.
    #[error("'{}', line {line}: the text has {}, the model takes {length}, and the tokenizer has no token of padding", file.display(), counted(*tokens))]
    NoPadding {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The number of its tokens.
        tokens: usize,
        /// The number that the model takes.
        length: usize,
    },
    /// A token has no row in the table of the embedding.
    #[error("'{}', line {line}: the token '{}' has the id {id}, and the embedding of the model has the rows 0 to {}", file.display(), shown(token), rows - 1)]
    NoRow {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The token.
        token: String,
        /// Its id.
        id: u32,
        /// The number of rows, at least one.
        rows: usize,
    },
    /// No input of the model, or more than one, could take ids of tokens.
    #[error("no input of the model is known to take the ids of tokens; it takes {inputs}")]
    NoIds {
        /// The inputs that are given.
        inputs: String,
    },
    /// The model has an input that a tokenizer does not make.
    #[error("the model takes '{}' as well, which a tokenizer does not make", shown(name))]
    Other {
        /// The input.
        name: String,
    },
    /// An input has another number of elements than there are tokens.
    #[error("the input '{}' has {got} elements for each sample, and there are {} tokens", shown(name), length)]
    Elements {
        /// The input.
        name: String,
        /// Its number of elements.
        got: usize,
        /// The number of tokens.
        length: usize,
    },
    /// An input is given by hand, and the tokenizer makes it.
    #[error("'{}' is given, and the tokenizer makes it from the text", shown(name))]
    Conflict {
        /// The input.
        name: String,
    },
    /// The texts of tokens are given in a file, and there is a tokenizer.
    #[error("'{}' has the texts of tokens, and there is a tokenizer, which has them, too", file.display())]
    TwoTexts {
        /// The file of texts.
        file: PathBuf,
    },
}

/// A number of tokens in words.
fn counted(tokens: usize) -> String {
    if tokens == 1 { "1 token".to_owned() } else { format!("{tokens} tokens") }
}

impl TextError {
    /// The file that the message names, if it names one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::NoTokenizer { file }
            | Self::Tokenizer { file, .. }
            | Self::Unreadable { file, .. }
            | Self::Empty { file }
            | Self::EmptyLine { file, .. }
            | Self::Refused { file, .. }
            | Self::TooLong { file, .. }
            | Self::NoPadding { file, .. }
            | Self::NoRow { file, .. }
            | Self::TwoTexts { file } => Some(file),
            Self::NoFeature
            | Self::NoIds { .. }
            | Self::Other { .. }
            | Self::Elements { .. }
            | Self::Conflict { .. } => None,
        }
    }

    /// The remedy.
    pub fn help(&self) -> String {
        match self {
            Self::NoFeature => "build it with them: cargo build --release -p lrp-cli --features tokenizer".into(),
            Self::Tokenizer { .. } => {
                "give the tokenizer.json of the model: in Python, AutoTokenizer.from_pretrained(name).save_pretrained(folder) writes it"
                    .into()
            }
            Self::NoTokenizer { .. } => {
                "give the model's own: --tokenizer tokenizer.json, or tokenizer = \"tokenizer.json\" under [input]".into()
            }
            Self::Unreadable { .. } => "give a file of text in UTF-8, with a sample on each line".into(),
            Self::Empty { .. } => "write a text on each line: each line is a sample".into(),
            Self::EmptyLine { .. } => {
                "each line is a sample: remove the empty line, and write a text of several paragraphs on one line".into()
            }
            Self::Refused { .. } => "write words on the line, or remove it".into(),
            Self::TooLong { .. } => {
                "shorten the text; or export the model for longer ones, as far as its table of positions goes".into()
            }
            Self::NoPadding { .. } => {
                "explain texts of that number of tokens, or export the model with an open length or an attention mask".into()
            }
            Self::NoRow { .. } => "the tokenizer is that of another model: give the one that the model was trained with".into(),
            Self::NoIds { .. } => "ids of tokens go to the input 'input_ids', or to the only one that holds integers".into(),
            Self::Other { name } => {
                format!("fix it, --fix {}=VALUE, or give arrays of all inputs in an .npz file in place of a text", shown(name))
            }
            Self::Elements { .. } => "give arrays of all inputs in an .npz file in place of a text".into(),
            Self::Conflict { .. } => {
                "give the text alone, or arrays of all inputs without a text; the tokenizer's mask hides the padding".into()
            }
            Self::TwoTexts { .. } => "leave out --tokens (tokens under [input]), or the tokenizer".into(),
        }
    }
}
