//! Why something that a recipe or a flag asks for does not go with the model.

use std::path::Path;

/// Why something does not go with the model, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The error.
    pub message: String,
    /// The remedy.
    pub help: String,
}

/// The error of a file whose numbers are not given.
pub(crate) fn unread(path: &Path) -> Misfit {
    let message = format!("'{}' was not read", path.display());
    Misfit { message, help: "give the numbers of the file with the target".to_owned() }
}
