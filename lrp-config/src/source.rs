//! A recipe's text and its name, for diagnostics and origins.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// The text of a recipe, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// The preset's name, if it is the text of one.
    preset: Option<String>,
}

impl Source {
    /// A text that was read from a file, or from anything else that has a name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), preset: None }
    }

    /// The text of a preset.
    pub(crate) fn preset(name: &str, text: &str) -> Self {
        Self { name: format!("preset {name}"), text: text.to_owned(), preset: Some(name.to_owned()) }
    }

    /// The file's name as it was given, or `preset NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text in full.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is a preset's text, which the user has never seen.
    pub fn is_preset(&self) -> bool {
        self.preset.is_some()
    }

    /// The name of the preset, if it is one's text.
    pub fn preset_name(&self) -> Option<&str> {
        self.preset.as_deref()
    }

    /// The whole line that a spot begins on, with its end.
    pub(crate) fn line_of(&self, spot: &Range<usize>) -> Option<Range<usize>> {
        let start = self.text.get(..spot.start)?.rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text.get(spot.end..)?.find('\n').map_or(self.text.len(), |newline| spot.end + newline + 1);
        Some(start..end)
    }

    /// Line and column of a byte offset. Both count from 1, columns in characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before: &str = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        (line, column)
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line(),
            found.column(),
            found.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("a.toml", "α = 1\nβ = 2\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position("α".len()), (1, 2));
        assert_eq!(source.position("α = 1\nβ".len()), (2, 2));
        assert_eq!(source.position(source.text().len()), (3, 1));
        assert_eq!(source.position(1_000), (3, 1));
    }
}
