//! Why a value of a recipe or of a flag cannot be read.

use std::fmt;

/// A value that cannot be read: the error, the remedy, and the value that was probably meant.
///
/// Serde carries the errors of types as text. `Display` therefore writes a line for each part, and [`from_text`](Self::from_text) restores the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    message: String,
    help: Option<String>,
    meant: Option<String>,
}

impl ValueError {
    /// An error without a remedy.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: line(message), help: None, meant: None }
    }

    /// The error of a list that needs at least one item.
    pub fn empty_list() -> Self {
        Self::new("the list is empty").help("give at least one, or leave the key out")
    }

    /// With a remedy.
    #[must_use]
    pub fn help(self, help: impl fmt::Display) -> Self {
        Self { help: Some(line(help)), ..self }
    }

    /// With the value that was probably meant, as TOML, if there is one.
    #[must_use]
    pub fn meant(self, meant: Option<impl fmt::Display>) -> Self {
        Self { meant: meant.map(line), ..self }
    }

    /// The parts of an error that serde has carried as text.
    pub fn from_text(text: &str) -> Self {
        let mut lines = text.splitn(3, '\n');
        let mut part = || lines.next().filter(|part| !part.is_empty()).map(line);
        Self { message: part().unwrap_or_default(), help: part(), meant: part() }
    }

    /// The error.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The value that was probably meant, as TOML.
    pub fn suggestion(&self) -> Option<&str> {
        self.meant.as_deref()
    }

    /// The error and the remedy in one line.
    pub fn in_one_line(&self) -> String {
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        format!("{}{help}", self.message)
    }
}

/// One line: a part may quote what a person wrote.
fn line(part: impl fmt::Display) -> String {
    part.to_string().replace('\n', " ")
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let (help, meant) = (self.remedy(), self.suggestion());
        if help.or(meant).is_some() {
            write!(f, "\n{}", help.unwrap_or_default())?;
        }
        meant.map_or(Ok(()), |meant| write!(f, "\n{meant}"))
    }
}

impl std::error::Error for ValueError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_carries_all_parts() {
        let plain = ValueError::new("the list is empty");
        let whole = plain.clone().help("give at least one").meant(Some("[0]"));
        let without_help = plain.clone().meant(Some(3));
        let broken = ValueError::new("there is no 'a\nb'").help("x\ny");
        for error in [plain, whole.clone(), without_help, broken] {
            let carried = <serde::de::value::Error as serde::de::Error>::custom(&error).to_string();
            assert_eq!(ValueError::from_text(&carried), error);
        }
        assert_eq!(whole.to_string(), "the list is empty\ngive at least one\n[0]");
        assert_eq!(whole.in_one_line(), "the list is empty; give at least one");
        assert_eq!(
            (whole.message(), whole.remedy(), whole.suggestion()),
            ("the list is empty", Some("give at least one"), Some("[0]"))
        );
    }
}
