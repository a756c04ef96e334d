//! Why inputs are not those of a model.

use std::path::PathBuf;

use lrp_core::text::shown;
use lrp_onnx::Role;
use thiserror::Error;

/// Why inputs are not those of a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InputsError {
    /// An input that is to be explained gets no relevance.
    #[error("sources: the input '{}' {} in '{}'", shown(name), state(*role), model.display())]
    NoSource {
        /// The input.
        name: String,
        /// What becomes of it; none where the model has no such input.
        role: Option<Role>,
        /// The model's file.
        model: PathBuf,
        /// The inputs that can be explained.
        explained: Vec<String>,
    },
    /// The list of the inputs that are to be explained is empty.
    #[error("sources: no input is explained")]
    NoSources,
    /// No input of the model gets relevance.
    #[error("no input of '{}' gets relevance", model.display())]
    NoneExplained {
        /// The model's file.
        model: PathBuf,
    },
    /// There is a batch for more or fewer inputs than the model has.
    #[error("{} inputs are needed ({}), got {got}", expected.len(), quoted(expected))]
    Count {
        /// The inputs.
        expected: Vec<String>,
        /// The number of batches.
        got: usize,
    },
    /// The batch of an input has another shape.
    #[error("the input '{}' has the shape {got:?}, expected {expected:?}", shown(name))]
    Shape {
        /// The input.
        name: String,
        /// The shape of its batch.
        got: Vec<usize>,
        /// The shape that it must have.
        expected: Vec<usize>,
    },
    /// An input is fixed to an array in a file, which this library does not read.
    #[error("the input '{}' is fixed to '{}', and this library reads no arrays", shown(name), file.display())]
    FixedToFile {
        /// The input.
        name: String,
        /// The file.
        file: PathBuf,
    },
}

fn state(role: Option<Role>) -> &'static str {
    match role {
        Some(Role::Explained) => "is explained",
        Some(Role::Fixed) => "is fixed",
        Some(Role::Given) => "gets no relevance",
        Some(Role::Unused) => "is not used by the output",
        None => "does not exist",
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{}'", shown(name))).collect::<Vec<_>>().join(", ")
}

impl InputsError {
    /// The remedy, where the message has none.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::NoSource { explained, .. } => {
                return Some(format!("inputs that can be explained: {}", quoted(explained)));
            }
            Self::NoneExplained { .. } => return None,
            Self::NoSources => "name at least one, or leave the key out",
            Self::Count { .. } => "give a batch of each, in this order",
            Self::Shape { .. } => "axis 0 is the batch, and all inputs have the same number of samples",
            Self::FixedToFile { .. } => "load the model with Loaded::new and ModelOptions { fixed, .. }",
        };
        Some(help.to_owned())
    }
}
