//! The mistakes that serde finds, as data: which key, which type, which of the choices.

use std::fmt;
use std::ops::Range;

use lrp_core::parameter::ValueError;
use serde::de::{self, Unexpected};

/// The first mistake that serde finds in a tree, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The mistake.
    pub kind: MistakeKind,
    /// The keys and positions that lead to the value. Of an unknown key it is the last one; of a missing one, the path to its table.
    pub path: Vec<Step>,
    /// The spot in the text.
    pub span: Option<Range<usize>>,
}

/// A part of the path to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The key of a table.
    Key(String),
    /// The position in a list.
    Item(usize),
}

/// What serde finds wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MistakeKind {
    /// A key that the table does not have.
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that there are.
        known: &'static [&'static str],
    },
    /// A word that is not one of the choices.
    UnknownWord {
        /// The word.
        word: String,
        /// The choices.
        known: &'static [&'static str],
    },
    /// A table without a key that it needs.
    MissingKey(&'static str),
    /// A value of another type.
    WrongType {
        /// The value, in words.
        got: String,
        /// The type, in words.
        expected: String,
        /// The words that the value can be, if it is one of some.
        words: &'static [&'static str],
    },
    /// A value that its own type refuses.
    Refused(ValueError),
}

impl Mistake {
    /// A value of another type.
    pub fn wrong_type(got: String, expected: impl fmt::Display) -> Self {
        MistakeKind::WrongType { got, expected: expected.to_string(), words: &[] }.into()
    }

    /// The same at this spot, unless it has one that is more precise.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// The same, seen from one level higher.
    #[must_use]
    pub fn below(mut self, step: Step) -> Self {
        self.path.insert(0, step);
        self
    }

    /// The last key on the path.
    pub fn key(&self) -> Option<&str> {
        self.path.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        })
    }
}

impl From<MistakeKind> for Mistake {
    fn from(kind: MistakeKind) -> Self {
        Self { kind, path: Vec::new(), span: None }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MistakeKind::UnknownKey { key, .. } => write!(f, "unknown key '{key}'"),
            MistakeKind::UnknownWord { word, .. } => write!(f, "there is no '{word}'"),
            MistakeKind::MissingKey(key) => write!(f, "the key '{key}' is missing"),
            MistakeKind::WrongType { got, expected, .. } => write!(f, "expected {expected}, got {got}"),
            MistakeKind::Refused(error) => f.write_str(error.message()),
        }
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        MistakeKind::Refused(ValueError::from_text(&message.to_string())).into()
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::wrong_type(described(got), expected)
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(got, expected)
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        MistakeKind::UnknownWord { word: word.to_owned(), known }.into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        MistakeKind::UnknownKey { key: key.to_owned(), known }.into()
    }

    fn missing_field(key: &'static str) -> Self {
        MistakeKind::MissingKey(key).into()
    }
}

/// A value in TOML's words.
pub fn described(value: Unexpected<'_>) -> String {
    match value {
        Unexpected::Bool(value) => format!("boolean {value}"),
        Unexpected::Unsigned(value) => format!("integer {value}"),
        Unexpected::Signed(value) => format!("integer {value}"),
        Unexpected::Float(value) => format!("number {value:?}"),
        Unexpected::Str(value) => format!("string {value:?}"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}
