//! From a file of texts to the inputs of a model: each line is a sample.

use std::path::Path;

use lrp_core::operator::Group;
use lrp_core::{Model, NodeId, Scalar, Tensor};

use super::inputs::TextRole;
use super::part::TextPart;
use super::token::{Encoded, Token};
use super::tokenizer::Tokenizer;
use crate::error::{Error, TextError};
use crate::given::{Given, GivenInput};
use crate::numbers::short;

/// The change of a text that got padding, which no mask hides.
pub const SEEN_PADDING: &str = "padding that no mask hides";

/// The texts of a file, as inputs of the model.
#[derive(Debug)]
pub struct Texts<T: Scalar> {
    /// For each given input of the model its values, `[n, …]`.
    pub inputs: Vec<Tensor<T>>,
    /// The parts of each text, as they are shown.
    pub parts: Vec<Vec<TextPart>>,
    /// Whether the model sees padding, which no mask hides.
    pub sees_padding: bool,
}

/// A tokenizer, and the inputs of a model that it fills.
#[derive(Debug)]
pub struct TextReader {
    tokenizer: Tokenizer,
    given: Given,
    /// The number of rows of the embedding, if it is known.
    rows: Option<usize>,
}

/// A text, the number of its line, from 1, and its tokens.
type Line = (usize, Encoded);

impl TextReader {
    /// A reader of texts for these inputs.
    pub fn new(tokenizer: Tokenizer, given: &Given) -> Self {
        Self { tokenizer, given: given.clone(), rows: None }
    }

    /// The same for this model, whose embedding says which ids there are.
    #[must_use]
    pub(crate) fn of_model<T: Scalar>(self, model: &Model<T>) -> Self {
        let ids = self.roles().ok().and_then(|roles| roles.iter().position(|role| *role == TextRole::Ids));
        let rows = ids.and_then(|ids| rows(model, *model.inputs().get(ids)?));
        Self { rows, ..self }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What is to be said of a vocabulary that is not as large as the model's table, if it is not.
    pub fn note(&self) -> Option<String> {
        let (rows, size) = (self.rows?, self.tokenizer.size());
        let sizes = || format!("the tokenizer has {size} tokens, and the embedding of the model {rows} rows");
        match size.cmp(&rows) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Less => Some(format!("{}: tables are often rounded up", sizes())),
            std::cmp::Ordering::Greater => Some(format!("{}: is it the model's own tokenizer?", sizes())),
        }
    }

    fn roles(&self) -> Result<Vec<TextRole>, TextError> {
        TextRole::of(&self.given)
    }

    /// The number of tokens of the longest text of a file.
    ///
    /// # Errors
    /// When it has an empty text, or the tokenizer refuses one.
    pub fn longest(tokenizer: &Tokenizer, file: &Path, text: &str) -> Result<usize, Error> {
        Ok(lines(tokenizer, file, text)?.iter().map(|(_, line)| line.tokens.len()).max().unwrap_or(0))
    }

    /// The error of the first text of a file that has more tokens than these, if there is one.
    ///
    /// # Errors
    /// As [`longest`](Self::longest).
    pub fn too_long(tokenizer: &Tokenizer, file: &Path, text: &str, most: usize) -> Result<Option<TextError>, Error> {
        let lines = lines(tokenizer, file, text)?;
        Ok(lines.iter().find_map(|(line, text)| fits(file, *line, text, most).err()))
    }

    /// The texts of a file, each line one, with padding up to the number of tokens that the model takes. The pieces of a word are shown
    /// together if `words`.
    ///
    /// # Errors
    /// When a text is empty or too long, when a token has no row in the model's table, and when the model has inputs that are not made
    /// from texts.
    pub fn read<T: Scalar>(&self, file: &Path, text: &str, words: bool) -> Result<Texts<T>, Error> {
        let roles = self.roles()?;
        let length = self.given.all().first().map_or(0, GivenInput::volume);
        let has_mask = roles.contains(&TextRole::Mask);
        let mut texts = Vec::new();
        let mut sees_padding = false;
        for (line, encoded) in lines(&self.tokenizer, file, text)? {
            self.check(file, line, &encoded, length)?;
            let missing = encoded.tokens.len() < length;
            sees_padding |= missing && !has_mask;
            texts.push(if missing { self.padded(file, line, encoded, length, has_mask)? } else { encoded });
        }
        let batch = |(role, input): (TextRole, &GivenInput)| {
            let values = texts.iter().flat_map(|text| role.values(&text.tokens)).map(T::of).collect();
            let shape = lrp_core::tensor::batch_shape(texts.len(), &input.shape);
            Tensor::from_shape_vec(shape, values).map_err(|e| Error::Internal(e.to_string()))
        };
        let inputs = roles.into_iter().zip(self.given.all()).map(batch).collect::<Result<_, _>>()?;
        let parts = texts.iter().map(|text| TextPart::of(text, words)).collect();
        Ok(Texts { inputs, parts, sees_padding })
    }

    /// The parts of a text that is given by the ids of its tokens.
    pub fn parts(&self, ids: impl IntoIterator<Item = f64>) -> Vec<TextPart> {
        let unknown = |id: f64| Token {
            id: 0,
            type_id: 0,
            text: short(id),
            is_special: false,
            is_padding: false,
            word: None,
            span: None,
        };
        // A cast of a number that is no id gives another id, or none.
        let token = |id: f64| {
            let known = (id.fract() == 0.0 && id >= 0.0).then(|| self.tokenizer.token(id as u32)).flatten();
            known.unwrap_or_else(|| unknown(id))
        };
        TextPart::of(&Encoded { text: String::new(), tokens: ids.into_iter().map(token).collect() }, false)
    }

    /// Checks that the model takes the tokens of a text.
    fn check(&self, file: &Path, line: usize, text: &Encoded, most: usize) -> Result<(), TextError> {
        fits(file, line, text, most)?;
        let file = file.to_owned();
        let Some(rows) = self.rows else { return Ok(()) };
        match text.tokens.iter().find(|token| token.id as usize >= rows) {
            None => Ok(()),
            Some(token) => Err(TextError::NoRow { file, line, token: token.text.clone(), id: token.id, rows }),
        }
    }

    fn padded(
        &self,
        file: &Path,
        line: usize,
        text: Encoded,
        length: usize,
        has_mask: bool,
    ) -> Result<Encoded, TextError> {
        let tokens = text.tokens.len();
        // What a mask hides can be any token.
        let any = || {
            let token = Token {
                id: 0,
                type_id: 0,
                text: "padding".to_owned(),
                is_special: true,
                is_padding: true,
                word: None,
                span: None,
            };
            has_mask.then_some((token, false))
        };
        let fits = |(token, _): &(Token, bool)| self.rows.is_none_or(|rows| (token.id as usize) < rows);
        let (padding, left) = self
            .tokenizer
            .padding()
            .filter(fits)
            .or_else(any)
            .ok_or_else(|| TextError::NoPadding { file: file.to_owned(), line, tokens, length })?;
        Ok(text.padded(length, &padding, left))
    }
}

/// Checks the number of tokens of a text.
fn fits(file: &Path, line: usize, text: &Encoded, most: usize) -> Result<(), TextError> {
    let tokens = text.tokens.len();
    if tokens <= most {
        return Ok(());
    }
    let special = text.tokens.iter().filter(|token| token.is_special).count();
    Err(TextError::TooLong { file: file.to_owned(), line, tokens, special, most })
}

/// The texts of a file, each with its line.
fn lines(tokenizer: &Tokenizer, file: &Path, text: &str) -> Result<Vec<Line>, TextError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
    if text.is_empty() {
        return Err(TextError::Empty { file: file.to_owned() });
    }
    let encode = |(i, text): (usize, &str)| {
        let (file, line) = (file.to_owned(), i + 1);
        if text.trim().is_empty() {
            return Err(TextError::EmptyLine { file, line });
        }
        match tokenizer.encode(text) {
            Ok(encoded) if encoded.tokens.iter().any(|token| !token.is_special) => Ok((line, encoded)),
            Ok(_) => Err(TextError::Refused { file, line, why: None }),
            Err(why) => Err(TextError::Refused { file, line, why: Some(why) }),
        }
    };
    text.lines().enumerate().map(encode).collect()
}

/// The rows of the smallest table that the numbers of an input select from, on the way through operators that only move elements.
fn rows<T: Scalar>(model: &Model<T>, input: NodeId) -> Option<usize> {
    let of = |id: &NodeId| {
        let op = model.node(*id).op()?;
        op.rows().or_else(|| (op.kind().group() == Group::Structural).then(|| rows(model, *id)).flatten())
    };
    model.consumers(input).iter().filter_map(of).min()
}
