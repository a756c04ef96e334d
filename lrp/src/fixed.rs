//! From the values that a recipe or a flag fixes inputs to, to those that the importer takes.

use std::path::Path;

use lrp_config::FixedInput;
use lrp_onnx::FixedValue;
use ndarray::{ArrayD, IxDyn};

use crate::error::Error;

/// The value of a fixed input; `read` reads an array from a file.
///
/// # Errors
/// When the file cannot be read.
pub fn fixed_value(
    value: &FixedInput,
    read: impl FnOnce(&Path) -> Result<ArrayD<f64>, Error>,
) -> Result<FixedValue, Error> {
    Ok(match value {
        FixedInput::Zeros => FixedValue::Zeros,
        FixedInput::Ones => FixedValue::Ones,
        FixedInput::Number(number) => FixedValue::Number(*number),
        FixedInput::Numbers(numbers) => {
            let array = ArrayD::from_shape_vec(IxDyn(&[numbers.len()]), numbers.clone());
            FixedValue::Values(array.map_err(|e| Error::Internal(e.to_string()))?)
        }
        FixedInput::File(path) => FixedValue::Values(read(path)?),
    })
}
