//! Errors: message, location and remedy.

mod complaint;
mod image;
mod inputs;
mod output;
mod text;

use std::fmt;
use std::path::Path;

use lrp_config::RecipeError;
use lrp_core::Error as CoreError;
use lrp_core::file::Bytes;
use lrp_core::text::shown;

pub use self::complaint::Complaint;
pub use self::image::ImageError;
pub use self::inputs::InputsError;
pub use self::output::OutputError;
pub use self::text::TextError;

/// Why something cannot be done. [`complaints`](Self::complaints) gives messages with their remedies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or an option of a program on this library cannot be used, in words. Never empty.
    #[error("{}", joined(.0))]
    User(Vec<Complaint>),
    /// An image is no input of the model.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The inputs are not those of the model.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// A text is no input of the model.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The target or the labels do not go with the model's output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Not even one sample can be explained in the memory that there is.
    #[error("the values of node '{}' take {} for one sample, and this process can have {} of memory", shown(node), Bytes(*needed), Bytes(*limit))]
    Memory {
        /// The largest node.
        node: String,
        /// The bytes of its values.
        needed: u64,
        /// The bytes of memory.
        limit: u64,
    },
    /// An error about a file.
    #[error("{}", joined(&of_file(.error, .path)))]
    OfFile {
        /// The file.
        path: String,
        /// The error.
        #[source]
        error: Box<Error>,
    },
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

/// The complaints of an error about a file.
fn of_file(error: &Error, path: &str) -> Vec<Complaint> {
    error.complaints().into_iter().map(|complaint| complaint.of_file(path)).collect()
}

fn complaint(message: impl fmt::Display, help: Option<impl fmt::Display>) -> Complaint {
    match help {
        Some(help) => Complaint::new(message, help),
        None => Complaint::plain(message),
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

    /// Wrong input in a file that the message names, with a remedy.
    pub fn about(file: &Path, message: impl fmt::Display, help: impl fmt::Display) -> Self {
        Error::User(vec![Complaint::new(message, help).about(file.display())])
    }

    /// Wrong input whose message needs no remedy.
    pub fn plain(message: impl fmt::Display) -> Self {
        Error::User(vec![Complaint::plain(message)])
    }

    /// The same about a file, whose name comes first unless the message has it.
    pub fn of_file(self, path: &str) -> Self {
        let is_named = || self.complaints().iter().all(|complaint| complaint.file() == Some(path));
        match self {
            Error::Recipe(_) | Error::Internal(_) => self,
            _ if is_named() => self,
            error => Error::OfFile { path: path.to_owned(), error: Box::new(error) },
        }
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
            Error::Core(CoreError::NoRow { node, sample, position, id, rows }) => {
                Error::Core(CoreError::NoRow { node, sample: first + sample, position, id, rows })
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
                let complaint =
                    |diagnostic: &lrp_config::Diagnostic| complaint(diagnostic.message(), diagnostic.help_text());
                error.diagnostics().iter().map(complaint).collect()
            }
            Error::Image(error) => {
                let complaint = Complaint::new(error, error.help());
                vec![match error.file() {
                    Some(file) => complaint.about(file.display()),
                    None => complaint,
                }]
            }
            Error::Inputs(error) => vec![complaint(error, error.help())],
            Error::Output(error) => vec![Complaint::new(error, error.help())],
            Error::Text(error) => {
                let complaint = Complaint::new(error, error.help());
                vec![match error.file() {
                    Some(file) => complaint.about(file.display()),
                    None => complaint,
                }]
            }
            Error::Memory { .. } => vec![Complaint::new(
                self,
                "see lrp layers for its shape: a padding, a size or an --input-shape may be wrong",
            )],
            Error::OfFile { path, error } => of_file(error, path),
            Error::Import { error, help } => vec![complaint(error, help.as_ref())],
            Error::Core(error) => vec![complaint(error, remedy(error))],
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
        CoreError::NoRow { .. } => Some(
            "the ids are of another vocabulary than the model's: make them with the model's own tokenizer, special tokens included",
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
        assert!(matches!(&named, Error::OfFile { error, .. } if matches!(**error, Error::Core(_))), "{named:?}");
        assert!(named.to_string().starts_with("'x.npy': node 'a' has"), "{named}");
        assert!(named.complaints()[0].remedy().unwrap().contains("--precision f64"));
        assert_eq!(Error::InputRelevance { sample: 0 }.moved(2).complaints()[0].message().chars().last(), Some('2'));
        assert_eq!(Error::Internal("x".into()).of_file("y").to_string(), "x");
        // A message that has the file's name by chance is not about it, and one about another file is not about this one.
        let by_chance = Error::user("node 'a.npy' is broken", "mend it").of_file("a.npy");
        assert_eq!(by_chance.to_string(), "'a.npy': node 'a.npy' is broken");
        let about = |file: &str| Error::User(vec![Complaint::plain(format!("'{file}' is broken")).about(file)]);
        assert_eq!(about("a.npy").of_file("a.npy").to_string(), "'a.npy' is broken");
        assert_eq!(about("b.npy").of_file("a.npy").to_string(), "'a.npy': 'b.npy' is broken");
    }

    #[test]
    fn kinds_of_errors_have_their_remedies() {
        let size = ImageError::Size { file: "a.png".into(), got: [3, 4], expected: [5, 6] };
        let complaints = Error::from(size).complaints();
        assert_eq!(complaints[0].message(), "'a.png' is 3×4 pixels, the model expects 5×6");
        assert!(complaints[0].remedy().unwrap().contains("--resize") && complaints[0].file() == Some("a.png"));
        let count = InputsError::Count { expected: vec!["left".into(), "right".into()], got: 1 };
        assert_eq!(count.to_string(), "2 inputs are needed ('left', 'right'), got 1");
        let top = Error::from(OutputError::Top { asked: 12, classes: 10 });
        assert_eq!(top.complaints()[0].remedy(), Some("ask for at most 10"));
        let memory = Error::Memory { node: "a".into(), needed: 1 << 40, limit: 1 << 30 };
        assert!(memory.to_string().starts_with("the values of node 'a' take 1 TiB for one sample"), "{memory}");
    }
}
