//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, presets};
use lrp::Error;
use lrp_core::text::shown;

use crate::output::say;

/// A table whose cells are shown in one line each, control characters as escapes, and long ones shortened.
pub struct Table(comfy_table::Table);

impl Table {
    /// Adds a row.
    pub fn add_row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.0.add_row(cells.into_iter().map(|cell| shown(cell.as_ref()).into_owned()));
    }

    /// The lines of the table.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.lines()
    }
}

/// A table with these headings; the columns in `right` are aligned to the right.
pub fn table(headings: &[&str], right: impl IntoIterator<Item = usize>) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    for index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Table(table)
}

/// Prints a table without trailing spaces.
pub fn print(table: &Table) -> Result<(), Error> {
    table.lines().try_for_each(|line| say!("{}", line.trim_end()))
}

/// An amount of relevance, for a column of a ledger.
pub fn amount(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e7).contains(&value.abs()) { format!("{value:.3e}") } else { format!("{value:.6}") }
}
