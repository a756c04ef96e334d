//! JSON inside of HTML.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// A value as JSON that can stand in a `<script>` element: the characters that mean something to HTML are escaped, so that no text can
/// end the element.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn embedded(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Embedded))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Compact JSON without `<`, `>` and `&`.
struct Embedded;

impl Formatter for Embedded {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: io::Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_text_ends_the_element_and_every_text_comes_back() {
        for text in ["</script><script>alert(1)</script>", "<!--", "a & b", "\u{2028}\u{2029}", "\"\\\n\u{1}é", ""] {
            let json = super::embedded(&text).unwrap();
            assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\n']), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
        assert_eq!(super::embedded(&[f64::NAN, 0.1]).unwrap(), "[null,0.1]");
    }
}
