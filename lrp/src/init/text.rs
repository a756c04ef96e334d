//! TOML with comments, laid out for reading: prose wrapped, keys and trailing comments aligned.

use std::fmt::Write;

use lrp_core::text::is_hidden;
use lrp_core::text::toml as toml_text;
use serde_json::Value;
use textwrap::core::display_width;

/// The maximum width of lines, except for words that cannot be broken.
const WIDTH: usize = 120;
/// Where comments after a value begin.
const COLUMN: usize = 42;

/// A text in the making.
#[derive(Debug, Default)]
pub struct Text(String);

/// A line `key = value  # comment`.
pub struct Line {
    key: &'static str,
    /// As TOML.
    value: String,
    comment: String,
    /// Whether the line is a suggestion, commented out.
    off: bool,
}

impl Line {
    /// A key with its value.
    pub fn new(key: &'static str, value: impl Into<Value>) -> Self {
        Self::toml(key, toml_text(&value.into()))
    }

    /// A key with a value that is TOML already.
    pub fn toml(key: &'static str, value: String) -> Self {
        Self { key, value, comment: String::new(), off: false }
    }

    /// The same, commented out: to be switched on by taking `# ` away.
    pub fn off(key: &'static str, value: impl Into<Value>) -> Self {
        Self { off: true, ..Self::new(key, value) }
    }

    /// With a comment behind it.
    pub fn comment(self, comment: impl Into<String>) -> Self {
        Self { comment: comment.into(), ..self }
    }
}

impl Text {
    /// The text.
    pub fn finish(self) -> String {
        self.0
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Rows of comment, the first one the headings: two blanks between columns, the first column aligned to the right.
    pub fn columns<const N: usize>(&mut self, rows: &[[String; N]]) {
        let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| display_width(cell)).max();
        let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let blanks = " ".repeat(width.saturating_sub(display_width(cell)));
                if column == 0 { blanks + cell } else { format!("{cell}{blanks}") }
            });
            self.note(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// A paragraph of comment, wrapped.
    pub fn prose(&mut self, paragraph: &str) {
        let options = textwrap::Options::new(WIDTH)
            .initial_indent("# ")
            .subsequent_indent("# ")
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(&clean(paragraph), options) {
            self.0.push_str(line.trim_end());
            self.gap();
        }
    }

    /// A line of comment as it is.
    pub fn note(&mut self, line: &str) {
        self.line(format!("# {}", clean(line)).trim_end());
    }

    /// A line of TOML without a comment.
    pub fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.gap();
    }

    /// A heading, `[input]`, with a comment.
    pub fn heading(&mut self, heading: &str, comment: &str) {
        self.commented(heading, comment);
    }

    /// Lines of one table, their `=` in one column.
    pub fn table(&mut self, lines: &[Line]) {
        let width = |line: &Line| line.key.len() + if line.off { 2 } else { 0 };
        let widest = lines.iter().map(width).max().unwrap_or(0);
        for line in lines {
            let off = if line.off { "# " } else { "" };
            let key = format!("{off}{}", line.key);
            self.commented(&format!("{key:widest$} = {}", line.value), &line.comment);
        }
    }

    /// A line with a comment behind it; above it where the line is long.
    fn commented(&mut self, line: &str, comment: &str) {
        let comment = clean(comment);
        let length = line.chars().count();
        if comment.is_empty() {
            self.line(line);
        } else if length.max(COLUMN - 1) + 3 + comment.chars().count() > WIDTH {
            self.prose(&comment);
            self.line(line);
        } else {
            // Writing to a string cannot fail.
            let _ = writeln!(self.0, "{line:width$}# {comment}", width = COLUMN.max(length + 2));
        }
    }
}

/// Names from a model file can hold anything; a line break would end the comment.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_comments_are_aligned() {
        let mut text = Text::default();
        text.heading("[input]", "what the model expects");
        text.table(&[
            Line::new("range", vec![0.0, 1.0]).comment("pixels"),
            Line::off("mean", 0.5),
            Line::new("std", 0.25).comment("x".repeat(100)),
        ]);
        let expected = format!(
            "[input]                                   # what the model expects\n\
             range  = [0.0, 1.0]                       # pixels\n\
             # mean = 0.5\n\
             # {}\n\
             std    = 0.25\n",
            "x".repeat(100)
        );
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn prose_is_wrapped_and_stays_a_comment() {
        let mut text = Text::default();
        text.prose(&"word ".repeat(60));
        text.note("a\nb\u{1b}");
        let text = text.finish();
        assert!(text.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 4);
    }
}
