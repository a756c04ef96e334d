//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, presets};
use lrp_core::text::shown;

use crate::failure::Failure;
use crate::output::say;

/// A table whose cells are shown in one line each, what a terminal would act on as escapes, and long ones shortened.
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

/// A table with these headings; columns named in `right` are aligned to the right.
pub fn table(headings: &[&str], right: &[&str]) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    for (i, heading) in headings.iter().enumerate() {
        if let Some(column) = table.column_mut(i) {
            column.set_padding((0, 2));
            if right.contains(heading) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    Table(table)
}

/// Prints a table without trailing spaces.
pub fn print(table: &Table) -> Result<(), Failure> {
    table.lines().try_for_each(|line| say!("{}", line.trim_end()))
}

/// `[N, 1, 28, 28]` as `N×1×28×28`, given the sample shape.
pub fn shape(sample: &[usize]) -> String {
    std::iter::once("N".to_owned()).chain(sample.iter().map(usize::to_string)).collect::<Vec<_>>().join("×")
}

/// A rule for a column: numbers of more than six digits are rounded to five, as the bounds of z-box are.
pub fn rule(rule: &str) -> String {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | 'e');
    let mut short = String::new();
    let mut rest = rule;
    while let Some(start) = rest.find(is_number) {
        let (before, from) = rest.split_at(start);
        let (number, after) = from.split_at(from.find(|c| !is_number(c)).unwrap_or(from.len()));
        let digits = number.chars().filter(char::is_ascii_digit).count();
        short.push_str(before);
        match number.parse::<f64>() {
            Ok(value) if digits > 6 && value != 0.0 => {
                let before_point = value.abs().log10().floor() as i32 + 1;
                let decimals = usize::try_from(5 - before_point).unwrap_or(0);
                short.push_str(&format!("{value:.decimals$}"));
            }
            _ => short.push_str(number),
        }
        rest = after;
    }
    short + rest
}

/// A number for a column of books.
pub fn amount(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e7).contains(&value.abs()) { format!("{value:.3e}") } else { format!("{value:.6}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_in_rules_are_rounded() {
        assert_eq!(
            rule("z-box { low = [-2.1179039301310043, 0.0], high = 2.64 }"),
            "z-box { low = [-2.1179, 0.0], high = 2.64 }"
        );
        assert_eq!(rule("epsilon { epsilon = 1e-6 }"), "epsilon { epsilon = 1e-6 }");
        assert_eq!(rule("alpha-beta { alpha = 0.33333333 }"), "alpha-beta { alpha = 0.33333 }");
        assert_eq!(rule("route"), "route");
    }
}
