//! Time series as tables: a row for each time step, a column for each channel, and a heading if there is one.

use std::path::Path;

use lrp::Error;
use lrp_config::{Input, Kind};
use lrp_core::text::shown;
use lrp_core::{Scalar, Tensor};
use ndarray::{ArrayD, Axis, IxDyn};

/// Reads a table as one sample for a model with samples of this shape: `[C, L]` (or `[L]`), and `[L, C]` if the recipe says so.
pub fn read<T: Scalar>(path: &Path, bytes: &[u8], shape: &[usize], expected: &Input) -> Result<Tensor<T>, Error> {
    let (table, columns) = table::<T>(path, bytes)?;
    let rows = table.len() / columns.max(1);
    let last = expected.kind == Some(Kind::SeriesLast);
    // Axes of length 1 in front say nothing.
    let axes = if let [1, axes @ ..] = shape { axes } else { shape };
    let (steps, channels) = match *axes {
        [steps] => (steps, 1),
        [steps, channels] if last => (steps, channels),
        [channels, steps] => (steps, channels),
        _ => {
            let message =
                format!("'{}': the model expects samples of shape {shape:?}, which is no time series", path.display());
            return Err(Error::user(message, "give its input as an .npy file"));
        }
    };
    if (rows, columns) != (steps, channels) {
        let message = format!(
            "'{}' has {rows} rows and {columns} columns, the model expects {steps} time steps of {channels} channels",
            path.display()
        );
        let swapped = (rows, columns) == (channels, steps);
        let help = match swapped {
            true if last => "a row is a time step: leave kind = \"series-last\" out, or transpose the table",
            true => {
                "a row is a time step: where the model expects [L, C], say so with kind = \"series-last\" under [input], or --kind; or transpose the table"
            }
            false => {
                "a row is a time step, and a column a channel; other columns, as times or labels, do not belong there"
            }
        };
        return Err(Error::user(message, help));
    }
    let table = ArrayD::from_shape_vec(IxDyn(&[rows, columns]), table).map_err(|e| Error::Internal(e.to_string()))?;
    let table = if last { table } else { table.reversed_axes().as_standard_layout().into_owned() };
    let batch: Vec<usize> = [1].into_iter().chain(shape.iter().copied()).collect();
    table.insert_axis(Axis(0)).into_shape_with_order(batch).map_err(|e| Error::Internal(e.to_string()))
}

/// The error of a table.
pub fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    let help = "write numbers with a point, separated by commas, a row for each time step";
    Error::user(format!("cannot read the table '{}': {why}", path.display()), help)
}

/// The numbers, row by row, and how many columns there are.
fn table<T: Scalar>(path: &Path, bytes: &[u8]) -> Result<(Vec<T>, usize), Error> {
    let wrong = |why: String| unreadable(path, &why);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(bytes);
    let (mut numbers, mut columns) = (Vec::new(), 0);
    for (i, record) in reader.records().enumerate() {
        let record = record.map_err(|e| wrong(e.to_string()))?;
        let line = record.position().map_or(i as u64 + 1, csv::Position::line);
        columns = record.len();
        let row: Vec<Option<T>> = record.iter().map(|field| field.parse().ok().map(T::of)).collect();
        // A first row without a single number is a heading.
        if i == 0 && row.iter().all(Option::is_none) {
            continue;
        }
        for (column, (value, field)) in row.into_iter().zip(&record).enumerate() {
            let column = column + 1;
            numbers.push(
                value.ok_or_else(|| wrong(format!("line {line}, column {column}: '{}' is no number", shown(field))))?,
            );
        }
    }
    if numbers.is_empty() { Err(wrong("it has no numbers".to_owned())) } else { Ok((numbers, columns)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(text: &str, shape: &[usize], kind: Option<Kind>) -> Result<Tensor<f64>, String> {
        let expected = Input { kind, ..Input::default() };
        read("a.csv".as_ref(), text.as_bytes(), shape, &expected).map_err(|e| e.to_string())
    }

    #[test]
    fn rows_are_time_steps() {
        let table = "I,II\n1,2\n3,4\n5,6.5\n";
        let first = ndarray::array![[[1.0, 3.0, 5.0], [2.0, 4.0, 6.5]]].into_dyn();
        assert_eq!(series(table, &[2, 3], None).unwrap(), first);
        assert_eq!(series(table, &[1, 2, 3], None).unwrap(), first.clone().insert_axis(Axis(0)));
        let last = ndarray::array![[[1.0, 2.0], [3.0, 4.0], [5.0, 6.5]]].into_dyn();
        assert_eq!(series(table, &[3, 2], Some(Kind::SeriesLast)).unwrap(), last);
        assert_eq!(series("1\n2\n", &[2], None).unwrap(), ndarray::array![[1.0, 2.0]].into_dyn());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, shape, message) in [
            ("a,b\n1,x\n", &[2, 1][..], "line 2, column 2: 'x' is no number"),
            ("1,2\n3\n", &[2, 2], "record 1 (line: 2, byte: 4): found record with 1 fields"),
            ("a,b\n", &[2, 1], "it has no numbers"),
            ("1,2\n", &[1, 2], "'a.csv' has 1 rows and 2 columns, the model expects 2 time steps of 1 channels"),
            ("1,2\n", &[3, 4, 4], "which is no time series"),
        ] {
            let error = series(text, shape, None).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
