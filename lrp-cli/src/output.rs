//! Standard output. A reader that has seen enough (`lrp rules | head`) is no reason to fail, nor to panic as `println!` does.

use std::borrow::Cow;
use std::fmt;
use std::io::{ErrorKind, Write};

use lrp_core::text::{clean, is_hidden};

use crate::failure::Failure;

/// Prints a line to standard output, what a terminal would act on as escapes; gives an error where that fails.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::output::line(format_args!($($argument)*))
    };
}
pub(crate) use say;

/// Prints a line.
///
/// # Errors
/// As [`print()`].
pub fn line(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let text = text.to_string();
    print(format_args!("{}\n", clean(&text, usize::MAX)))
}

/// Prints a text of this program as it is, colours among them: nothing that comes from a file.
///
/// # Errors
/// When it cannot be written, a reader that went away excepted.
pub fn print(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::plain(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints to standard error, what a terminal would act on as escapes. Where that fails, there is nobody left to tell.
pub fn report(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    report_styled(&clean(&text, usize::MAX));
}

/// As [`report`], for a text with colours, into which nothing of a file has come uncleaned.
pub fn report_styled(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// JSON for a terminal: values are what they were, what a terminal would act on is written as JSON's own escapes.
pub fn json(text: &str) -> Cow<'_, str> {
    let acts = |c: char| is_hidden(c) && c != '\n';
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if acts(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")))
            }
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "name": "a\u{1b}[2J\u{9b}\u{202e}\u{e0041}\n", "π": [1, "ü"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(!shown.contains(|c: char| lrp_core::text::is_hidden(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert_eq!(json("{\"a\": \"ü\"}\n"), "{\"a\": \"ü\"}\n");
    }
}
