//! Time series as tables: a row for each time step, a column for each channel, and a heading if there is one. Columns are separated by commas,
//! semicolons (numbers can have a decimal comma then) or tabs; a first column of times is left out.

use std::path::Path;

use lrp::Error;
use lrp_config::{Input, Kind};
use lrp_core::text::shown;
use lrp_core::{Scalar, Tensor};
use ndarray::{ArrayD, Axis, IxDyn};

/// The change of a table that has times.
const TIMES: &str = "time column left out";

/// Headings of a column of times.
const HEADINGS: [&str; 11] =
    ["", "time", "t", "timestamp", "date", "datetime", "index", "step", "seconds", "sample", "zeit"];

/// Reads a table as one sample for a model with samples of this shape: `[C, L]` (or `[L]`), and `[L, C]` if the recipe says so. Returns the
/// changes, too.
pub fn read<T: Scalar>(
    path: &Path,
    bytes: &[u8],
    shape: &[usize],
    expected: &Input,
) -> Result<(Tensor<T>, Vec<String>), Error> {
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
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let delimiter = delimiter(bytes);
    let Survey { rows, columns, has_times } = survey(path, bytes, delimiter)?;
    let skip = usize::from(has_times && rows == steps && columns == channels + 1);
    if (rows, columns - skip) != (steps, channels) {
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
                "a row is a time step, and a column a channel; but for a first column of times, other columns, as labels, do not belong there"
            }
        };
        return Err(Error::user(message, help));
    }
    let numbers = numbers(path, bytes, delimiter, skip)?;
    let table = ArrayD::from_shape_vec(IxDyn(&[rows, columns - skip]), numbers);
    let table = table.map_err(|e| Error::Internal(e.to_string()))?;
    let table = if last { table } else { table.reversed_axes().as_standard_layout().into_owned() };
    let batch: Vec<usize> = [1].into_iter().chain(shape.iter().copied()).collect();
    let table = table.insert_axis(Axis(0)).into_shape_with_order(batch);
    let changes = if skip > 0 { vec![TIMES.to_owned()] } else { Vec::new() };
    table.map(|table| (table, changes)).map_err(|e| Error::Internal(e.to_string()))
}

/// The error of a table.
pub fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    let help = "write numbers with a point, separated by commas, a row for each time step";
    Error::user(format!("cannot read the table '{}': {why}", path.display()), help)
}

/// What separates the columns of a table: the first of semicolon, tab and comma that is in its first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    [b';', b'\t'].into_iter().find(|delimiter| line.contains(delimiter)).unwrap_or(b',')
}

/// A number; where semicolons separate, with a decimal comma.
fn number(field: &str, delimiter: u8) -> Option<f64> {
    let with_comma = || (delimiter == b';').then(|| field.replacen(',', ".", 1).parse().ok()).flatten();
    field.parse().ok().or_else(with_comma)
}

/// A table at a glance.
struct Survey {
    /// Rows of numbers.
    rows: usize,
    columns: usize,
    /// Whether the first column can be one of times: by its heading, as it has no numbers, or since they increase all along.
    has_times: bool,
}

type Records<'a> = csv::Reader<&'a [u8]>;

fn records(bytes: &[u8], delimiter: u8) -> Records<'_> {
    csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).trim(csv::Trim::All).from_reader(bytes)
}

/// Whether a record is the heading of a table: the first, and without a single number.
fn is_heading(i: usize, record: &csv::StringRecord, delimiter: u8) -> bool {
    i == 0 && record.iter().all(|field| number(field, delimiter).is_none())
}

fn survey(path: &Path, bytes: &[u8], delimiter: u8) -> Result<Survey, Error> {
    let (mut rows, mut columns) = (0, 0);
    let (mut named, mut words, mut increasing) = (false, true, true);
    let mut before = f64::NEG_INFINITY;
    for (i, record) in records(bytes, delimiter).records().enumerate() {
        let record = record.map_err(|e| unreadable(path, &e))?;
        columns = record.len();
        let first = record.get(0).unwrap_or_default();
        if is_heading(i, &record, delimiter) {
            named = HEADINGS.contains(&first.to_lowercase().as_str());
            continue;
        }
        rows += 1;
        match number(first, delimiter) {
            Some(time) => {
                words = false;
                increasing &= time > before;
                before = time;
            }
            None => increasing = false,
        }
    }
    if rows == 0 {
        Err(unreadable(path, &"it has no numbers"))
    } else {
        Ok(Survey { rows, columns, has_times: named || words || increasing })
    }
}

/// The numbers, row by row, without the first `skip` columns.
fn numbers<T: Scalar>(path: &Path, bytes: &[u8], delimiter: u8, skip: usize) -> Result<Vec<T>, Error> {
    let mut numbers = Vec::new();
    for (i, record) in records(bytes, delimiter).records().enumerate() {
        let record = record.map_err(|e| unreadable(path, &e))?;
        if is_heading(i, &record, delimiter) {
            continue;
        }
        let line = record.position().map_or(i as u64 + 1, csv::Position::line);
        for (column, field) in record.iter().enumerate().skip(skip) {
            let wrong = || {
                let column = column + 1;
                unreadable(path, &format!("line {line}, column {column}: '{}' is no number", shown(field)))
            };
            numbers.push(number(field, delimiter).map(T::of).ok_or_else(wrong)?);
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(text: &str, shape: &[usize], kind: Option<Kind>) -> Result<Tensor<f64>, String> {
        let expected = Input { kind, ..Input::default() };
        read("a.csv".as_ref(), text.as_bytes(), shape, &expected).map(|(table, _)| table).map_err(|e| e.to_string())
    }

    #[test]
    fn times_and_other_separators() {
        let expected = ndarray::array![[[1.5, 3.0], [2.0, 4.0]]].into_dyn();
        for text in [
            "time,I,II\n7,1.5,2\n8,3,4\n",
            "I;II\n1,5;2\n3;4\n",
            "\u{feff}Time;I;II\n10:00;1,5;2,0\n10:01;3;4\n",
            "1.5\t2\n3\t4\n",
            ",I,II\n0,1.5,2\n1,3,4\n",
            "0.0,1.5,2\n0.1,3,4\n",
        ] {
            assert_eq!(series(text, &[2, 2], None).unwrap(), expected, "{text}");
        }
        // A first column that says nothing of times could be a channel.
        assert!(series("a,b,c\n1,1.5,2\n0,3,4\n", &[2, 2], None).unwrap_err().contains("3 columns"));
        let changes =
            |text: &str| read::<f64>("a.csv".as_ref(), text.as_bytes(), &[1, 2], &Input::default()).unwrap().1;
        assert_eq!((changes("t,x\n0,1\n1,2\n"), changes("x\n1\n2\n")), (vec![TIMES.to_owned()], vec![]));
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
