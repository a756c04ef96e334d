//! Mistakes and warnings for machines, as `--json` prints them.

use lrp_config::{Diagnostic, Edit};
use serde::Serialize;

/// A mistake in a recipe, or a warning about one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The warning's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// The message.
    pub message: String,
    /// The remedy, in words.
    pub help: Option<String>,
    /// The file, or `preset NAME`.
    pub file: Option<String>,
    /// The line of the spot, from 1.
    pub line: Option<usize>,
    /// Its column, from 1, in characters.
    pub column: Option<usize>,
    /// The spot, in bytes of the file.
    pub span: Option<[usize; 2]>,
    /// Edits that repair it.
    pub fix: Option<Vec<Change>>,
}

/// A byte range of the file, and its replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
    /// The new text.
    pub replacement: String,
}

impl Diagnosis {
    /// An error without a position in a file.
    pub fn error(message: impl Into<String>, help: Option<String>) -> Self {
        Self { severity: "error", message: message.into(), help, ..Self::default() }
    }

    /// A warning without a position in a file.
    pub fn warning(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: "warning",
            name: Some(name),
            message: message.into(),
            help: Some(help.into()),
            ..Self::default()
        }
    }

    /// A warning in one sentence, without a name and a remedy of its own.
    pub fn remark(message: impl Into<String>) -> Self {
        Self { severity: "warning", message: message.into(), ..Self::default() }
    }

    /// In one line: `file:line: message (help)`.
    pub fn line(&self) -> String {
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            _ => String::new(),
        };
        let help = self.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{place}{}{help}", self.message)
    }
}

impl From<&Diagnostic> for Diagnosis {
    fn from(diagnostic: &Diagnostic) -> Self {
        let change =
            |edit: &Edit| Change { start: edit.span.start, end: edit.span.end, replacement: edit.replacement.clone() };
        let position = diagnostic.position();
        Self {
            severity: if diagnostic.warning_name().is_some() { "warning" } else { "error" },
            name: diagnostic.warning_name(),
            message: diagnostic.message().to_owned(),
            help: diagnostic.help_text().map(str::to_owned),
            file: position.map(|_| diagnostic.file().to_owned()),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            span: diagnostic.span().map(|span| [span.start, span.end]),
            fix: diagnostic.repair().map(|fix| fix.edits().iter().map(change).collect()),
        }
    }
}
