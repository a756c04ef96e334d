//! Errors: message, location and remedy.

use std::fmt;

use lrp_config::RecipeError;
use lrp_core::Error as CoreError;
use miette::Diagnostic;

/// Why something cannot be done. [`complaints`](Self::complaints) gives messages with their remedies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An input, a file or an option cannot be used. Never empty.
    #[error("{}", joined(.0))]
    User(Vec<Complaint>),
    /// Mistakes in a recipe, with their positions in its text.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The model cannot be imported.
    #[error("{error}")]
    Import {
        /// The importer's error, which names the file and the node.
        #[source]
        error: Box<lrp_onnx::Error>,
        /// The remedy, where the message has none.
        help: Option<String>,
    },
    /// The plan, the forward pass or the walk failed; the error names the node or the shape.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The relevance at the input is NaN or infinite.
    #[error("the relevance at the input has a value that is not finite (NaN or infinite) in sample {sample}")]
    InputRelevance {
        /// Index of the sample within the batch.
        sample: usize,
    },
    /// Another process writes to the same folder.
    #[error("{0}")]
    InUse(Complaint),
    /// A mistake of this library.
    #[error("{0}")]
    Internal(String),
}

/// The error, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    message: String,
    help: Option<String>,
}

impl Complaint {
    /// The error, and the remedy.
    pub fn new(message: impl fmt::Display, help: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: Some(help.to_string()) }
    }

    /// A message that contains its remedy, or that has none.
    pub fn plain(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: None }
    }

    /// The error, and its location.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Complaint {}

impl Diagnostic for Complaint {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
}

fn joined(complaints: &[Complaint]) -> String {
    let messages: Vec<&str> = complaints.iter().map(Complaint::message).collect();
    messages.join("; ")
}

impl Error {
    /// Wrong input, with a remedy.
    pub fn user(message: impl fmt::Display, help: impl fmt::Display) -> Self {
        Error::User(vec![Complaint::new(message, help)])
    }

    /// Wrong input whose message needs no remedy.
    pub fn plain(message: impl fmt::Display) -> Self {
        Error::User(vec![Complaint::plain(message)])
    }

    /// The same about a file: its name comes first where the message does not have it.
    pub fn of_file(self, path: &str) -> Self {
        if matches!(self, Error::Recipe(_) | Error::Internal(_)) {
            return self;
        }
        let mut complaints = self.complaints();
        for complaint in complaints.iter_mut().filter(|complaint| !complaint.message.contains(path)) {
            complaint.message = format!("'{path}': {}", complaint.message);
        }
        Error::User(complaints)
    }

    /// An error about a sample, as seen from where the sample's index is higher by `first`.
    pub fn moved(self, first: usize) -> Self {
        match self {
            Error::Core(CoreError::NotFinite { place, sample }) => {
                Error::Core(CoreError::NotFinite { place, sample: first + sample })
            }
            Error::Core(CoreError::RelevanceNotFinite { node, sample }) => {
                Error::Core(CoreError::RelevanceNotFinite { node, sample: first + sample })
            }
            Error::InputRelevance { sample } => Error::InputRelevance { sample: first + sample },
            other => other,
        }
    }

    /// Each mistake with its remedy. Those of a recipe are without their positions: [`RecipeError::diagnostics`] has these.
    pub fn complaints(&self) -> Vec<Complaint> {
        match self {
            Error::User(complaints) => complaints.clone(),
            Error::Recipe(error) => {
                let complaint = |diagnostic: &lrp_config::Diagnostic| Complaint {
                    message: diagnostic.message().to_owned(),
                    help: diagnostic.help_text().map(str::to_owned),
                };
                error.diagnostics().iter().map(complaint).collect()
            }
            Error::Import { error, help } => vec![Complaint { message: error.to_string(), help: help.clone() }],
            Error::Core(error) => {
                vec![Complaint { message: error.to_string(), help: remedy(error).map(str::to_owned) }]
            }
            Error::InputRelevance { .. } => vec![Complaint::new(
                self,
                "a denominator came too close to zero: choose larger stabilizers in the recipe, or use --precision f64",
            )],
            Error::InUse(complaint) => vec![complaint.clone()],
            Error::Internal(message) => vec![Complaint::plain(message)],
        }
    }
}

/// The remedy for an error of the forward pass or the walk on inputs that are finite.
fn remedy(error: &CoreError) -> Option<&'static str> {
    match error {
        CoreError::RelevanceNotFinite { .. } => Some(
            "a denominator came too close to zero there, or relevance became too large: choose a larger stabilizer for this node in \
             the recipe, or use --precision f64",
        ),
        CoreError::NotFinite { .. } => Some(
            "the input is finite, so the model overflows on it: check its preprocessing ([input] mean and std), or use \
             --precision f64",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_once_and_samples_are_counted_on() {
        let error = Error::Core(CoreError::NotFinite { place: "node 'a'".into(), sample: 1 }).moved(4);
        assert!(error.to_string().ends_with("in sample 5"), "{error}");
        let named = error.of_file("x.npy").of_file("x.npy");
        assert!(named.to_string().starts_with("'x.npy': node 'a' has"), "{named}");
        assert!(named.complaints()[0].remedy().unwrap().contains("--precision f64"));
        assert_eq!(Error::InputRelevance { sample: 0 }.moved(2).complaints()[0].message().chars().last(), Some('2'));
        assert_eq!(Error::Internal("x".into()).of_file("y").to_string(), "x");
    }
}
