//! Mistakes in a recipe: position in a file, message and fix.
//!
//! Everything that can be wrong is collected, so that one run shows all mistakes. Nothing is printed here: a [`Diagnostic`]
//! is a [`miette::Diagnostic`], which `lrp-cli` draws, and [`RecipeError`]'s `Display` is a line for each.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::LabeledSpan;

use crate::fix::Fix;
use crate::source::Source;

/// One mistake: position, message and fix.
///
/// Its `Display` is the message alone; [`line`](Diagnostic::line) has everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    source: Arc<Source>,
    span: Option<Range<usize>>,
    message: String,
    label: Box<str>,
    help: Option<String>,
    fix: Option<Box<Fix>>,
    /// The name of the warning, if it is one.
    warning: Option<&'static str>,
}

impl Diagnostic {
    /// A mistake at a spot of a text.
    pub(crate) fn at(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        let diagnostic = Self::about(source, message);
        Self { span: Some(span), ..diagnostic }
    }

    /// A mistake without a position (an unreadable file, for example). The message must name its subject.
    pub(crate) fn about(source: &Arc<Source>, message: impl Into<String>) -> Self {
        Self {
            source: Arc::clone(source),
            span: None,
            message: message.into(),
            label: Box::default(),
            help: None,
            fix: None,
            warning: None,
        }
    }

    /// A label at the position itself.
    #[must_use]
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into().into();
        self
    }

    /// The help: how to repair it.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The edits that repair it.
    #[must_use]
    pub(crate) fn fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix.map(Box::new);
        self
    }

    /// Nothing is wrong, but something deserves a look.
    #[must_use]
    pub(crate) fn warning(mut self, name: &'static str) -> Self {
        self.warning = Some(name);
        self
    }

    /// The help as it is drawn, with the lines of the fix.
    fn advice(&self) -> Option<String> {
        let written = self.fix.as_ref().map(|fix| match fix.lines(self.source.text()).as_slice() {
            [] => "leave this line out".to_owned(),
            lines => format!("write: {}", lines.join("\n       ")),
        });
        let parts: Vec<&str> = [self.help.as_deref(), written.as_deref()].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("\n"))
    }

    /// The file's name, or `preset NAME`.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The text that [`span`](Diagnostic::span) points into.
    pub fn source_file(&self) -> &Source {
        &self.source
    }

    /// The spot, in bytes of the text; `None` where there is no text (the file cannot be read, say).
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The message, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The help, if there is an obvious fix.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The label at the position itself; may be empty.
    pub fn label_text(&self) -> &str {
        &self.label
    }

    /// The edits that repair it, if known.
    pub fn repair(&self) -> Option<&Fix> {
        self.fix.as_deref()
    }

    /// The warning's name, where nothing is wrong and this only deserves a look.
    pub fn warning_name(&self) -> Option<&'static str> {
        self.warning
    }

    /// Line and column of the spot, from 1.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.span.as_ref().map(|span| self.source.position(span.start))
    }

    /// Everything in one line: `file:line:column: message (help)`, without the position if there is none.
    pub fn line(&self) -> String {
        let place = match self.position() {
            Some((line, column)) => format!("{}:{line}:{column}: ", self.file()),
            None => String::new(),
        };
        let help = self.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{place}{}{help}", self.message)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.advice().map(|advice| Box::new(advice) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        self.warning.map(|_| miette::Severity::Warning)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.span.is_some().then_some(self.source.as_ref() as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        let label = (!self.label.is_empty()).then(|| self.label.to_string());
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(label, span))))
    }
}

/// Everything that is wrong with a recipe; never empty.
///
/// To draw it, hand each of [`diagnostics`](RecipeError::diagnostics) to miette's handler. As a [`miette::Diagnostic`] itself
/// it is the headline and those are its related errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeError {
    diagnostics: Vec<Diagnostic>,
}

impl RecipeError {
    /// Each mistake, in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// `Err` with these mistakes, unless there are none.
    pub(crate) fn check(diagnostics: Vec<Diagnostic>) -> Result<(), RecipeError> {
        if diagnostics.is_empty() { Ok(()) } else { Err(RecipeError { diagnostics }) }
    }

    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }
}

impl From<Diagnostic> for RecipeError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: vec![diagnostic] }
    }
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.diagnostics.iter().map(Diagnostic::line).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for RecipeError {}

impl miette::Diagnostic for RecipeError {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        Some(Box::new(self.diagnostics.iter().map(|d| d as &dyn miette::Diagnostic)))
    }
}
