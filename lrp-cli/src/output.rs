//! Standard output and standard error. A reader that has seen enough (`lrp rules | head`) is no reason to fail, nor to panic as `println!` does.

use std::borrow::Cow;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::Path;

use lrp::{Diagnosis, Error};
use lrp_core::text::{clean, is_hidden, shortened};
use serde::Serialize;

/// Characters of a path that are shown.
const PATH: usize = 1000;

/// Prints a line to standard output, with control characters as escapes; returns an error if that fails.
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
pub fn line(text: fmt::Arguments<'_>) -> Result<(), Error> {
    let text = text.to_string();
    print(format_args!("{}\n", clean(&text, usize::MAX)))
}

/// Prints a text of this program as it is, colours among them: nothing that comes from a file.
///
/// # Errors
/// When it cannot be written, a reader that went away excepted.
pub fn print(text: fmt::Arguments<'_>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::plain(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints to standard error, with control characters as escapes. Where that fails, there is nobody left to tell.
pub fn report(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    report_styled(&clean(&text, usize::MAX));
}

/// As [`report`], for a text with colours, into which nothing of a file has come uncleaned.
pub fn report_styled(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Internal(e.to_string()))?;
    say!("{}", json(&text))
}

/// Prints a note to standard error.
pub fn note(text: &str) {
    report(format_args!("note: {text}\n"));
}

/// Prints a warning to standard error.
pub fn warn(warning: &Diagnosis) {
    report(format_args!("warning: {}\n", warning.line()));
}

/// A path as a person would write it: without the detours that joining paths brings (`configs/../out`).
pub fn shown(path: &Path) -> String {
    let short = std::env::current_dir()
        .and_then(|here| Ok((path.canonicalize()?, here.canonicalize()?)))
        .ok()
        .and_then(|(path, here)| path.strip_prefix(here).map(Path::to_path_buf).ok())
        .filter(|path| !path.as_os_str().is_empty());
    named(&short.unwrap_or_else(|| path.to_path_buf()))
}

/// A path as it was given, in one line: control characters as escapes.
pub fn named(path: &Path) -> String {
    shortened(&path.display().to_string(), PATH).into_owned()
}

/// JSON for a terminal: values are unchanged, control characters are written as JSON's own escapes.
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
