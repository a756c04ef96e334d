//! `quantus.npz`: the arrays that Quantus' metrics take, of all inputs, one sample after the other.
//!
//! `x_batch` `[N, …]` are the inputs as the model expects them, `y_batch` `[N]` the explained classes, `a_batch` `[N, …]` relevance in the
//! shape of the inputs.

use lrp::Error;
use lrp_core::Scalar;
use ndarray_npy::{NpzWriter, ReadableElement, WritableElement};

use super::Run;
use crate::files;
use crate::manifest::InputRecord;

const NAME: &str = files::QUANTUS;

/// Writes the arrays; gives the file's name.
pub fn write<T: Scalar + WritableElement + ReadableElement>(
    run: &Run<'_, T>,
    records: &[InputRecord],
) -> Result<Vec<String>, Error> {
    let all = run.all(records)?;
    files::write(&run.path(NAME), |file| {
        let mut npz = NpzWriter::new_compressed(file);
        npz.add_array("x_batch", &all.inputs)?;
        npz.add_array("y_batch", &all.classes)?;
        npz.add_array("a_batch", &all.relevance)?;
        npz.finish().map(drop)
    })?;
    Ok(vec![NAME.to_owned()])
}
