//! A table that is printed as Markdown and stands verbatim in the page.

use std::fmt;

/// A table with a title, which is for the terminal only.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its title.
    pub title: &'static str,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(title: &'static str, head: &[&str]) -> Self {
        Self { title, head: head.iter().map(|s| (*s).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row: what it is about, and its numbers as they are to be printed.
    pub fn row(&mut self, name: impl Into<String>, numbers: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.into()).chain(numbers).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
        let line = |row: &[String]| -> String {
            let cell = |(i, cell): (usize, &String)| {
                let space = " ".repeat(width(i) - cell.chars().count());
                if i == 0 { format!(" {cell}{space} |") } else { format!(" {space}{cell} |") }
            };
            std::iter::once("|".to_owned()).chain(row.iter().enumerate().map(cell)).collect()
        };
        let rule = |i: usize| if i == 0 { "-".repeat(width(i)) } else { "-".repeat(width(i) - 1) + ":" };
        writeln!(f, "{}", line(&self.head))?;
        write!(f, "{}", line(&(0..self.head.len()).map(rule).collect::<Vec<_>>()))?;
        self.rows.iter().try_for_each(|row| write!(f, "\n{}", line(row)))
    }
}
