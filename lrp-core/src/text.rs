//! Text that comes from a file, on its way to a terminal: escape sequences must not act there, and nothing fills the screen. And numbers as recipes
//! write them.
//!
//! Names of nodes and files, labels and fields of tables can hold anything. Every message and table shows them through this module.

mod toml;

use std::borrow::Cow;
use std::fmt::Write;

pub use self::toml::toml;

/// The number of characters of a name that are shown. Names that exporters write are shorter.
const NAME: usize = 160;

/// Whether a terminal acts on this character, or shows nothing of it: controls, marks that change the direction of text, and most
/// characters without a width. The joiners U+200C and U+200D are parts of words and of emoji.
pub fn is_hidden(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || invisible
}

/// A number as TOML writes it: always with a point or an exponent.
pub fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) { format!("{value:e}") } else { format!("{value:?}") }
}

/// A name as a message or a table shows it: in one line, hidden characters as escapes (`\u{1b}`, `\n`), the middle omitted if it is
/// long.
pub fn shown(name: &str) -> Cow<'_, str> {
    shortened(name, NAME)
}

/// As [`shown`], with at most `limit` characters of the text.
pub fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    match cut(text, limit) {
        Some((start, end)) => Cow::Owned(format!("{}…{}", escaped(start, false), escaped(end, false))),
        None => escaped(text, false),
    }
}

/// A text of several lines: line breaks and tabs stay, other hidden characters become escapes, and the middle of what has more than
/// `limit` characters is omitted.
pub fn clean(text: &str, limit: usize) -> Cow<'_, str> {
    match cut(text, limit) {
        Some((start, end)) => Cow::Owned(format!("{} […] {}", escaped(start, true), escaped(end, true))),
        None => escaped(text, true),
    }
}

/// The start and the end to show of a text that is too long: two thirds and one third, since names often differ at their ends.
fn cut(text: &str, limit: usize) -> Option<(&str, &str)> {
    // No text has more characters than bytes.
    if text.len() <= limit || text.chars().nth(limit).is_none() {
        return None;
    }
    let tail = limit / 3;
    let (first, _) = text.char_indices().nth(limit - tail)?;
    let last = tail.checked_sub(1).and_then(|n| text.char_indices().nth_back(n)).map_or(text.len(), |(at, _)| at);
    Some((text.get(..first)?, text.get(last..)?))
}

fn escaped(text: &str, lines: bool) -> Cow<'_, str> {
    let stays = |c: char| !is_hidden(c) || (lines && matches!(c, '\n' | '\t'));
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if stays(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            // Writing to a string does not fail.
            c => drop(write!(shown, "{}", c.escape_unicode())),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_becomes_an_escape() {
        for (name, expected) in [
            ("conv1", "conv1"),
            ("größe/π/层", "größe/π/层"),
            ("a\u{1b}[31mred", "a\\u{1b}[31mred"),
            ("c1 \u{9b}2J", "c1 \\u{9b}2J"),
            ("two\nlines\r\tof", "two\\nlines\\r\\tof"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            ("\u{2066}a\u{2069}\u{200b}\u{feff}", "\\u{2066}a\\u{2069}\\u{200b}\\u{feff}"),
            ("del\u{7f}", "del\\u{7f}"),
            ("👩\u{200d}🔬", "👩\u{200d}🔬"),
        ] {
            assert_eq!(shown(name), expected);
        }
        assert_eq!(clean("two\nlines\t\u{1b}", 99), "two\nlines\t\\u{1b}");
    }

    #[test]
    fn what_is_long_loses_its_middle() {
        let long = format!("{}{}", "a".repeat(1_000_000), "z".repeat(1_000_000));
        let name = shown(&long);
        assert_eq!(name.chars().count(), NAME + 1);
        assert!(name.starts_with("aaa") && name.contains("a…z") && name.ends_with("zzz"), "{name}");
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…ß");
        assert_eq!(shortened("abc", 1), "a…");
        assert_eq!(clean("1\n2\n3\n4", 3), "1\n […] 4");
        // Each character that is kept may take some to show.
        assert!(shown(&"\u{1b}".repeat(5000)).len() < 8 * NAME);
    }
}
