//! Fixes: changes of the recipe's text that repair a mistake, for people to read and for programs to apply.

use std::ops::Range;

/// A range of the text, and its replacement. An empty range is a position to insert at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The range that is replaced, in bytes of the text.
    pub span: Range<usize>,
    /// The replacement.
    pub replacement: String,
}

/// Edits that belong together, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix(Vec<Edit>);

impl Fix {
    /// Edits in any order; they must not overlap.
    pub(crate) fn new(mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|edit| edit.span.start);
        Self(edits)
    }

    /// One edit.
    pub(crate) fn replace(span: Range<usize>, replacement: impl Into<String>) -> Self {
        Self(vec![Edit { span, replacement: replacement.into() }])
    }

    /// The edits, in the order of the text.
    pub fn edits(&self) -> &[Edit] {
        &self.0
    }

    /// The repaired text.
    pub fn apply(&self, text: &str) -> String {
        let mut repaired = text.to_owned();
        for edit in self.0.iter().rev() {
            if repaired.get(edit.span.clone()).is_some() {
                repaired.replace_range(edit.span.clone(), &edit.replacement);
            }
        }
        repaired
    }

    /// The lines that the repair changes, as they are afterwards; empty where lines are only taken away.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let repaired = self.apply(text);
        let mut lines = Vec::new();
        let mut shown = 0;
        let mut shift = 0_isize;
        for edit in &self.0 {
            let start = edit.span.start.saturating_add_signed(shift);
            shift += edit.replacement.len() as isize - edit.span.len() as isize;
            if edit.replacement.is_empty() && text.get(edit.span.clone()).is_some_and(|cut| cut.ends_with('\n')) {
                continue;
            }
            let end = start + edit.replacement.trim_end().len();
            // An insertion that begins with a new line leaves the line before it as it was.
            let start = start + edit.replacement.len() - edit.replacement.trim_start_matches('\n').len();
            let first = repaired.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
            let last =
                repaired.get(end..).and_then(|rest| rest.find('\n')).map_or(repaired.len(), |newline| end + newline);
            if first < shown {
                continue;
            }
            shown = last;
            lines.extend(repaired.get(first..last).unwrap_or_default().lines().map(str::to_owned));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_applied_together() {
        let text = "[a]\nx = 1\n[b]\n";
        let edit = |span, replacement: &str| Edit { span, replacement: replacement.to_owned() };
        let fix = Fix::new(vec![edit(10..13, "[[b]]"), edit(0..3, "[[a]]")]);
        assert_eq!(fix.apply(text), "[[a]]\nx = 1\n[[b]]\n");
        assert_eq!(fix.lines(text), ["[[a]]", "[[b]]"]);
        let swap = Fix::new(vec![edit(4..5, "1"), edit(8..9, "x")]);
        assert_eq!(swap.lines(text), ["1 = x"]);
        assert_eq!(Fix::replace(8..9, "2").lines(text), ["x = 2"]);
        assert_eq!(Fix::replace(9..9, "\ny = 2").lines(text), ["y = 2"]);
        assert_eq!(Fix::replace(0..0, "s = 1\n\n").lines(text), ["s = 1"]);
        assert_eq!(Fix::replace(4..10, "").lines(text), [""; 0]);
    }
}
