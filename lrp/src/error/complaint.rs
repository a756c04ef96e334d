//! An error for people: a message and its remedy.

use std::fmt;

use miette::Diagnostic;

/// The error, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    message: String,
    help: Option<String>,
    /// The file that the message names as the one that it is about.
    file: Option<String>,
}

impl Complaint {
    /// The error, and the remedy.
    pub fn new(message: impl fmt::Display, help: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: Some(help.to_string()), file: None }
    }

    /// A message that contains its remedy, or that has none.
    pub fn plain(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: None, file: None }
    }

    /// The same, where the message names this file as the one that it is about.
    #[must_use]
    pub fn about(self, file: impl fmt::Display) -> Self {
        Self { file: Some(file.to_string()), ..self }
    }

    /// The same about a file, whose name comes first unless the message has it.
    #[must_use]
    pub(crate) fn of_file(self, file: &str) -> Self {
        if self.file.as_deref() == Some(file) {
            return self;
        }
        Self { message: format!("'{file}': {}", self.message), ..self }.about(file)
    }

    /// The error, and its location.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file that the message names as the one that it is about, if there is one.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
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
