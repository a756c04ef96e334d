//! A mistake made ready for a terminal: its words and the lines of the file that it shows cannot act there, and fit on a screen.
//!
//! A recipe can have a line of a megabyte, and it can contain anything. The library that draws mistakes takes lines as they are, and
//! panics beyond column 65,535.

use std::fmt;
use std::ops::Range;

use lrp_core::text::{clean, shown};
use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents,
};

/// Characters of a message, and of help.
const MESSAGE: usize = 2000;
/// Maximum number of characters of a line of help: a replacement can be as long as the line of the file.
const HELP_LINE: usize = 1000;
/// Characters of a line of the file.
const LINE: usize = 96;
/// Characters before the spot, where the start of the line is too far away.
const BEFORE: usize = 30;
/// Characters that are underlined.
const UNDERLINED: usize = 50;
/// Lines that a spot can go over; of more, the first is shown.
const LINES: usize = 8;

/// A mistake, or a warning.
#[derive(Debug)]
pub struct Drawn {
    message: String,
    help: Option<String>,
    severity: Option<Severity>,
    excerpt: Option<Excerpt>,
}

/// The lines around the spot, and the spot in them.
#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    /// The number of its first line, from 0.
    line: usize,
    /// Line and column of the spot in the file, from 0.
    position: (usize, usize),
    label: LabeledSpan,
}

impl Drawn {
    /// Of any diagnostic; the first of its labels is shown.
    pub fn new(diagnostic: &dyn Diagnostic) -> Self {
        let help = diagnostic.help().map(|help| {
            let lines: Vec<String> = help.to_string().lines().map(|line| clean(line, HELP_LINE).into_owned()).collect();
            clean(&lines.join("\n"), MESSAGE).into_owned()
        });
        Self {
            message: clean(&diagnostic.to_string(), MESSAGE).into_owned(),
            help,
            severity: diagnostic.severity(),
            excerpt: Excerpt::new(diagnostic),
        }
    }
}

impl Excerpt {
    fn new(diagnostic: &dyn Diagnostic) -> Option<Self> {
        let label = diagnostic.labels()?.next()?;
        let source = diagnostic.source_code()?;
        let around = source.read_span(label.inner(), 1, 1).ok()?;
        let spot = source.read_span(label.inner(), 0, 0).ok()?;
        let text = String::from_utf8_lossy(around.data());
        let start = label.offset().checked_sub(around.span().offset())?;
        let (text, span) = fitted(&text, start..start + label.len());
        let words = label.label().map(|words| clean(words, LINE).into_owned());
        Some(Self {
            name: shown(around.name().unwrap_or_default()).into_owned(),
            text,
            line: around.line(),
            position: (spot.line(), spot.column()),
            label: LabeledSpan::new_primary_with_span(words, span),
        })
    }
}

/// The lines as they are shown, and where the spot is in them.
fn fitted(text: &str, spot: Range<usize>) -> (String, Range<usize>) {
    let over = text.get(spot.clone()).map_or(0, |spot| spot.trim_end_matches('\n').matches('\n').count());
    let first_end = text.get(spot.start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| spot.start + at);
    let spot = if over >= LINES { spot.start..first_end } else { spot };
    let mut shown = String::with_capacity(text.len().min(LINE * LINES));
    let mut span = 0..0;
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let words = line.trim_end_matches(['\n', '\r']);
        let line_end = line_start + line.len();
        let within = |place: usize| (line_start..line_end).contains(&place);
        // In this line, as far as the spot is there; other lines show their start.
        let touched = spot.end >= line_start && (spot.start < line_end || line_end == text.len());
        let place = |at: usize| if touched { at.clamp(line_start, line_start + words.len()) - line_start } else { 0 };
        let (begin, end) = (place(spot.start), place(spot.end));
        let at = shown.len();
        let (begin_shown, end_shown) = push_fitted(&mut shown, words, begin..end);
        let last = line_end == text.len() && !line.ends_with('\n');
        if within(spot.start) || (last && spot.start == line_end) {
            span = at + begin_shown..at + begin_shown;
        }
        if spot.end > line_start && spot.start <= line_end {
            // An end of line that belongs to the spot is still in the line.
            span.end = span.end.max(at + end_shown);
        }
        if line.len() > words.len() {
            shown.push('\n');
        }
        line_start = line_end;
    }
    (shown, span)
}

/// Adds a line without its end, cut around a part of it. Returns the position of the part in the added text.
fn push_fitted(shown: &mut String, line: &str, part: Range<usize>) -> (usize, usize) {
    let at = shown.len();
    let before = line.get(..part.start).map_or(0, |before| before.chars().count());
    let length = before + line.get(part.start..).map_or(0, |rest| rest.chars().count());
    let first = if length <= LINE || before + UNDERLINED <= LINE { 0 } else { before - BEFORE.min(before) };
    let most = before + UNDERLINED;
    let (mut begin, mut end) = (None, None);
    if first > 0 {
        shown.push('…');
    }
    for (count, (place, c)) in line.char_indices().enumerate().skip(first).take(LINE) {
        if place >= part.start {
            begin.get_or_insert(shown.len() - at);
        }
        if place >= part.end || count >= most {
            end.get_or_insert(shown.len() - at);
        }
        shown.push_str(&clean(c.encode_utf8(&mut [0; 4]), 1));
    }
    let whole = shown.len() - at;
    if first + LINE < length {
        shown.push('…');
    }
    let begin = begin.unwrap_or(whole);
    (begin, end.unwrap_or(whole).max(begin))
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn {}

impl Diagnostic for Drawn {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<Severity> {
        self.severity
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = self.excerpt.as_ref()?.label.clone();
        Some(Box::new(std::iter::once(label)))
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, lines_before, lines_after)?;
        // Without lines around it, it is the place that is asked for.
        let (line, column) = match (lines_before, lines_after) {
            (0, 0) => self.position,
            _ => (self.line + found.line(), found.column()),
        };
        let (data, span) = (found.data(), *found.span());
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), data, span, line, column, found.line_count())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines as they are shown, the spot in brackets.
    fn marked(text: &str, spot: Range<usize>) -> String {
        let (mut text, span) = fitted(text, spot);
        text.insert(span.end, ']');
        text.insert(span.start, '[');
        text
    }

    #[test]
    fn short_lines_stay_as_they_are() {
        let text = "a = 1\nrule = \"zeero\"\nb = 2\n";
        assert_eq!(marked(text, 13..20), "a = 1\nrule = [\"zeero\"]\nb = 2\n");
        assert_eq!(marked(text, 0..0), "[]a = 1\nrule = \"zeero\"\nb = 2\n");
        assert_eq!(marked("a = 1", 5..5), "a = 1[]");
        assert_eq!(marked("", 0..0), "[]");
        assert_eq!(marked("x = [\n 1,\n]\ny", 4..11), "x = [[\n 1,\n]]\ny");
    }

    #[test]
    fn a_long_line_is_cut_around_the_spot() {
        let line = format!("low = [{}], hihg = 1", "0.25, ".repeat(14_000));
        let spot = line.find("hihg").unwrap();
        let shown = marked(&format!("a = 1\n{line}\nb = 2"), spot + 6..spot + 10);
        assert!(shown.starts_with("a = 1\n…") && shown.ends_with("], [hihg] = 1\nb = 2"), "{shown}");
        assert!(shown.len() < 100, "{shown}");
        // The spot itself can be long.
        let shown = marked(&line, 6..line.len() - 10);
        assert!(shown.starts_with("low = [[0.25") && shown.ends_with('…') && shown.len() < 120, "{shown}");
        // Lines around it, too.
        let shown = marked(&format!("{line}\nx = y\n{line}"), line.len() + 5..line.len() + 6);
        assert!(shown.contains("…\nx = [y]\nlow = [0.25") && shown.len() < 400, "{shown}");
        // As can be the lines that it goes over.
        let shown = marked(&format!("x = [\n{}]\n", "1,\n".repeat(100_000)), 4..300_000);
        assert!(shown.starts_with("x = [[]\n1,"), "{}", &shown[..20]);
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        assert_eq!(marked("x = \u{1b}[2J\u{9b}\u{202e}ü", 4..5), "x = [\\u{1b}][2J\\u{9b}\\u{202e}ü");
        assert_eq!(marked("ü\u{7} = y", 6..7), "ü\\u{7} = [y]");
    }
}
