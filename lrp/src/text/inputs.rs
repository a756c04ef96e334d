//! The inputs of a model that are made from a text, which are found by their names.

use lrp_core::text::shown;

use super::token::Token;
use crate::error::TextError;
use crate::given::{Given, GivenInput};

/// What an input of the model holds for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRole {
    /// Its number in the vocabulary.
    Ids,
    /// 1, and 0 for padding.
    Mask,
    /// The number of its sentence.
    Types,
    /// Its position, padding not counted.
    Positions,
}

impl TextRole {
    /// The role that an input has by its name, unless that of ids; those of a decoder have none.
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let has = |part: &str| name.contains(part);
        match () {
            () if has("decoder") => None,
            () if has("mask") => Some(Self::Mask),
            () if has("position") => Some(Self::Positions),
            () if has("type") || has("segment") => Some(Self::Types),
            () => None,
        }
    }

    /// The role of each input. Ids go to `input_ids`, or to the only integers without another role.
    ///
    /// # Errors
    /// When no input takes ids, or an input has no role.
    pub(super) fn of(given: &Given) -> Result<Vec<Self>, TextError> {
        let called = |input: &&GivenInput| input.name.eq_ignore_ascii_case("input_ids");
        let alone = given.only().is_some();
        let could = |input: &&GivenInput| (input.is_integer || alone) && Self::by_name(&input.name).is_none();
        let mut candidates = given.all().iter().filter(could);
        let named = given.all().iter().find(called);
        let ids = match (named, candidates.next(), candidates.next()) {
            (Some(ids), ..) | (None, Some(ids), None) => ids,
            _ => return Err(TextError::NoIds { inputs: given.names() }),
        };
        let role = |input: &GivenInput| match input.name == ids.name {
            true => Ok(Self::Ids),
            false => Self::by_name(&input.name).ok_or_else(|| TextError::Other { name: input.name.clone() }),
        };
        let roles = given.all().iter().map(role).collect::<Result<Vec<_>, _>>()?;
        let length = ids.volume();
        match given.all().iter().find(|input| input.volume() != length) {
            None => Ok(roles),
            Some(other) => {
                Err(TextError::Elements { name: shown(&other.name).into_owned(), got: other.volume(), length })
            }
        }
    }

    /// The values of an input for these tokens.
    pub(super) fn values(self, tokens: &[Token]) -> Vec<f64> {
        let number = |token: &Token| match self {
            Self::Ids => f64::from(token.id),
            Self::Types => f64::from(token.type_id),
            Self::Mask | Self::Positions => f64::from(u8::from(!token.is_padding)),
        };
        let mut seen = 0.0;
        let position = |token: &Token| {
            let position = if token.is_padding { 0.0 } else { seen };
            seen += number(token);
            position
        };
        match self {
            Self::Positions => tokens.iter().map(position).collect(),
            _ => tokens.iter().map(number).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(names: &[&str]) -> Given {
        let input = |name: &&str| GivenInput {
            name: (*name).to_owned(),
            dtype: "int64".into(),
            shape: vec![4],
            is_integer: true,
            is_explained: true,
        };
        Given::of(names.iter().map(input).collect())
    }

    #[test]
    fn inputs_are_found_by_name() {
        use TextRole::{Ids, Mask, Positions, Types};
        let names = ["input_ids", "attention_mask", "token_type_ids", "position_ids"];
        assert_eq!(TextRole::of(&given(&names)), Ok(vec![Ids, Mask, Types, Positions]));
        assert_eq!(TextRole::of(&given(&["words", "input_mask", "segment_ids"])), Ok(vec![Ids, Mask, Types]));
        assert_eq!(TextRole::of(&given(&["x"])), Ok(vec![Ids]));
        assert!(matches!(TextRole::of(&given(&["a", "b"])), Err(TextError::NoIds { .. })));
        let other = TextRole::of(&given(&["input_ids", "decoder_input_ids"]));
        assert_eq!(other, Err(TextError::Other { name: "decoder_input_ids".into() }));
    }

    #[test]
    fn padding_has_no_mask_and_no_position() {
        let token = |id: u32, is_padding: bool| Token {
            id,
            type_id: 0,
            text: String::new(),
            is_special: is_padding,
            is_padding,
            word: None,
            span: None,
        };
        let tokens = [token(9, true), token(5, false), token(6, false), token(9, true)];
        assert_eq!(TextRole::Ids.values(&tokens), [9.0, 5.0, 6.0, 9.0]);
        assert_eq!(TextRole::Mask.values(&tokens), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(TextRole::Positions.values(&tokens), [0.0, 0.0, 1.0, 0.0]);
    }
}
