//! Suggestions for text that is not TOML.
//!
//! A parser reports a position, not a fix. The usual slips are few: each is tried on the line in
//! question, and one that lets the parser get further is suggested.

use std::ops::Range;

use toml::de::DeTable;

use crate::fix::{Edit, Fix};

/// A repair, and the rule of TOML behind it.
pub(crate) struct Repair {
    pub help: &'static str,
    pub fix: Fix,
}

/// Lines that are longer are not repaired: each candidate is tried on the whole text, and a line has many.
const LONGEST_LINE: usize = 1000;

/// The first repair of the line at `spot` after which the parser gets further.
pub(crate) fn repair(text: &str, spot: &Range<usize>) -> Option<Repair> {
    let spot = spot.start.min(text.len());
    let start = text.get(..spot)?.rfind('\n').map_or(0, |newline| newline + 1);
    let end = text.get(spot..)?.find('\n').map_or(text.len(), |newline| spot + newline);
    // A string that is not closed is noticed at its end, or on the next line.
    let previous = text
        .get(..start.saturating_sub(1))
        .map(|before| before.rfind('\n').map_or(0, |n| n + 1)..start.saturating_sub(1));
    let lines = std::iter::once(start..end).chain(previous.filter(|_| start > 0));
    lines
        .filter(|line| line.len() <= LONGEST_LINE)
        .flat_map(|line| candidates(text, line, spot))
        .find(|repair| gets_further(text, &repair.fix, spot))
}

fn gets_further(text: &str, fix: &Fix, spot: usize) -> bool {
    let repaired = fix.apply(text);
    match DeTable::parse(&repaired) {
        Ok(_) => true,
        Err(error) => {
            let line = |text: &str, place: usize| text.get(..place).map_or(0, |before| before.matches('\n').count());
            let place = error.span().map_or(0, |span| span.start);
            line(&repaired, place) > line(text, spot)
        }
    }
}

fn candidates(text: &str, line: Range<usize>, spot: usize) -> Vec<Repair> {
    let Some(code) = text.get(line.clone()).map(without_comment) else { return Vec::new() };
    let mut repairs = Vec::new();
    let mut offer = |help: &'static str, fix: Fix| repairs.push(Repair { help, fix });
    let line_end = line.start + code.len();
    let header = code.trim().trim_matches(['[', ']']).trim();

    // [assign] for [[assign]], wherever it stands; brackets that are not in pairs.
    if code.trim_start().starts_with('[') && !header.contains(['=', '"', ',']) {
        if header == "assign" {
            let heads = headers(text, "assign").into_iter();
            let edits = heads.map(|span| Edit { span, replacement: "[[assign]]".to_owned() }).collect();
            offer("entries are a list: each begins with [[assign]]", Fix::new(edits));
        } else {
            let head = line.start + code.len() - code.trim_start().len()..line_end;
            offer("a section begins with its name in brackets", Fix::replace(head, format!("[{header}]")));
        }
    }
    if code.contains(['“', '”', '‘', '’']) {
        let straight = code.replace(['“', '”', '‘', '’'], "\"");
        offer("quotes are straight: \"", Fix::replace(line.start..line_end, straight));
    }
    // key: value
    if let Some(at) = code.find(':').filter(|at| code.get(..*at).is_some_and(|key| is_bare(key.trim()))) {
        let place = line.start + at;
        offer("a key and its value are separated by =", Fix::replace(place..place + 1, " ="));
    }
    for (span, word) in bare_words(code) {
        let span = line.start + span.start..line.start + span.end;
        let lower = word.to_lowercase();
        if ["true", "false"].contains(&lower.as_str()) {
            offer("true and false are written small", Fix::replace(span, lower));
        } else {
            let help = match word.contains("..") {
                true => "a range stands in quotes: layers = \"0..4\"",
                false => "text stands in quotes",
            };
            offer(help, Fix::replace(span, format!("\"{word}\"")));
        }
    }
    // A quote that is not closed, or by the other kind.
    for quote in ['"', '\''] {
        let other = if quote == '"' { '\'' } else { '"' };
        if code.matches(quote).count() % 2 == 1 {
            let help = "a string ends with the quote that it began with";
            let last =
                code.rfind([quote, other]).filter(|at| code.get(*at..).is_some_and(|rest| rest.starts_with(other)));
            if let Some(at) = last {
                let place = line.start + at;
                offer(help, Fix::replace(place..place + 1, quote.to_string()));
            }
            // Before what follows it, or at the end.
            let string = code.rfind(quote).map_or(code.len(), |open| {
                let rest = code.get(open + 1..).unwrap_or_default();
                open + 1 + rest.find([' ', ',', '}', ']']).unwrap_or(rest.len())
            });
            offer(help, Fix::replace(line.start + string..line.start + string, quote.to_string()));
            offer(help, Fix::replace(line_end..line_end, quote.to_string()));
        }
    }
    // { type = "gamma" gamma = 0.25 }
    if line.contains(&spot) && spot > line.start {
        let before = text.get(line.start..spot).unwrap_or_default().trim_end().len();
        offer(
            "keys and values in a row are separated by commas",
            Fix::replace(line.start + before..line.start + before, ","),
        );
    }
    for (open, close) in [('{', " }"), ('[', "]")] {
        if code.matches(open).count() > code.matches(close.trim()).count() {
            offer("what is opened must be closed", Fix::replace(line_end..line_end, close));
        }
    }
    // A key that is given twice.
    if code.contains('=') && !code.trim_start().starts_with('[') {
        let end = text.get(line.end..).map_or(line.end, |rest| line.end + usize::from(rest.starts_with('\n')));
        offer("a key stands once in a table; another entry begins with [[assign]]", Fix::replace(line.start..end, ""));
    }
    repairs
}

/// The heads `[name]` with single brackets.
pub(crate) fn headers(text: &str, name: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let code = without_comment(line.trim_end_matches('\n'));
        let head = code.trim();
        let indent = code.len() - code.trim_start().len();
        if head.starts_with('[')
            && head.trim_matches(['[', ']']).trim() == name
            && !head.starts_with("[[") | !head.ends_with("]]")
        {
            found.push(start + indent..start + indent + head.len());
        }
        start += line.len();
    }
    found
}

/// The line up to its comment, without blanks at the end.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return line.get(..at).unwrap_or_default().trim_end(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    line.trim_end()
}

/// Values that are neither strings nor anything else that TOML knows.
fn bare_words(code: &str) -> Vec<(Range<usize>, &str)> {
    let mut words = Vec::new();
    let Some(first) = code.find('=') else { return words };
    let mut at = first + 1;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.len() - rest.trim_start_matches([' ', '\t', ',', '[', ']', '{', '}']).len();
        at += length;
        let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) else { break };
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            at += rest.get(1..).and_then(|inner| inner.find(quote)).map_or(rest.len(), |end| end + 2);
            continue;
        }
        let length = rest.find([' ', '\t', ',', ']', '}', '"', '\'']).unwrap_or(rest.len()).max(1);
        let word = rest.get(..length).unwrap_or_default();
        let after = rest.get(length..).unwrap_or_default().trim_start();
        let is_key = after.starts_with('=') && !after.starts_with("==");
        if !is_key && word != "=" && !word.is_empty() && DeTable::parse(&format!("x = {word}")).is_err() {
            words.push((at..at + length, word));
        }
        at += length;
    }
    words
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> String {
        let error = DeTable::parse(text).unwrap_err();
        let repair = repair(text, &error.span().unwrap()).unwrap_or_else(|| panic!("no repair for {text:?}: {error}"));
        repair.fix.apply(text)
    }

    #[test]
    fn slips_and_what_was_meant() {
        let slips = [
            ("rule = zero\n", "rule = \"zero\"\n"),
            ("layers = 0..=4 # all\n", "layers = \"0..=4\" # all\n"),
            ("rule = { type = gamma, gamma = 0.5 }\n", "rule = { type = \"gamma\", gamma = 0.5 }\n"),
            ("save = [\"npy\", png]\n", "save = [\"npy\", \"png\"]\n"),
            ("optional = True\n", "optional = true\n"),
            ("name: \"x\"\n", "name = \"x\"\n"),
            ("[[assign]\nx = 1\n", "[[assign]]\nx = 1\n"),
            ("[output\nx = 1\n", "[output]\nx = 1\n"),
            ("rule = \"zero\nx = 1\n", "rule = \"zero\"\nx = 1\n"),
            ("rule = 'zero\"\nx = 1\n", "rule = 'zero'\nx = 1\n"),
            ("rule = { type = \"gamma, gamma = 1 }\nx = 1\n", "rule = { type = \"gamma\", gamma = 1 }\nx = 1\n"),
            ("rule = { type = \"gamma\" gamma = 1 }\n", "rule = { type = \"gamma\", gamma = 1 }\n"),
            ("rule = { type = \"gamma\"\nx = 1\n", "rule = { type = \"gamma\" }\nx = 1\n"),
            ("rule = “zero”\n", "rule = \"zero\"\n"),
            ("x = 1\nx = 2\ny = 3\n", "x = 1\ny = 3\n"),
            ("[assign]\nx = 1\n[assign]\nx = 2\n", "[[assign]]\nx = 1\n[[assign]]\nx = 2\n"),
        ];
        for (slip, meant) in slips {
            assert_eq!(repaired(slip), meant);
        }
    }

    #[test]
    fn nothing_is_offered_that_does_not_help() {
        for text in ["= = =\n", "[[[[\n", "\u{1}"] {
            let span = DeTable::parse(text).unwrap_err().span().unwrap_or(0..0);
            if let Some(repair) = repair(text, &span) {
                assert!(gets_further(text, &repair.fix, span.start), "{text:?}");
            }
        }
    }
}
