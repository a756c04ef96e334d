//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::failure::Failure;
use crate::output::say;

/// A table with these headings; columns named in `right` are aligned to the right.
pub fn table(headings: &[&str], right: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    for (i, heading) in headings.iter().enumerate() {
        if let Some(column) = table.column_mut(i) {
            column.set_padding((0, 2));
            if right.contains(heading) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
}

/// Prints a table without trailing spaces.
pub fn print(table: &Table) -> Result<(), Failure> {
    table.lines().try_for_each(|line| say!("{}", line.trim_end()))
}

/// `[N, 1, 28, 28]` as `N×1×28×28`, given the sample shape.
pub fn shape(sample: &[usize]) -> String {
    std::iter::once("N".to_owned()).chain(sample.iter().map(usize::to_string)).collect::<Vec<_>>().join("×")
}

/// A number for a column of books.
pub fn amount(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e7).contains(&value.abs()) { format!("{value:.3e}") } else { format!("{value:.6}") }
}
