//! The difference of a quantized file from the float network that it is read as.

use lrp_core::target::ranking;
use lrp_core::tensor::samples;
use lrp_core::{Scalar, Tensor};
use ndarray::{ArrayViewD, Axis, Slice};
use serde::{Deserialize, Serialize};

use crate::loaded::Loaded;

/// The number of samples that are enough to measure it.
const SAMPLES: usize = 32;

/// The difference of the outputs of a quantized file, computed with the rounding that it asks for, from those of the float network that is
/// explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizationError {
    /// The number of samples that were compared.
    pub samples: usize,
    /// The norm of the difference, in proportion to that of the file's own outputs.
    pub relative_l2: f64,
    /// The number of classifications, one for each sample or for each of its steps, whose largest class is the same, if outputs are `[C]` or
    /// `[T, C]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_argmax: Option<usize>,
    /// The number of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argmax_of: Option<usize>,
}

impl QuantizationError {
    /// Measures it on the first of these samples, joined as [`Given::join`](crate::Given::join) does. None where the file is not quantized, and
    /// where the two have no output in common: behind a cut that cannot be undone.
    pub fn measure<T: Scalar>(loaded: &Loaded<T>, batch: &Tensor<T>) -> Option<Result<Self, String>> {
        // A clone of its own: the second network is gone afterwards.
        let quantized = loaded.import.quantized.clone()?;
        let count = samples(batch).min(SAMPLES);
        let batch = batch.slice_axis(Axis(0), Slice::from(0..count)).to_owned();
        let inputs = loaded.enter(batch.clone());
        let Some(file) = quantized.output(&inputs.iter().collect::<Vec<_>>()) else {
            return quantized.error().map(|why| Err(why.to_owned()));
        };
        let explained = loaded.output(batch).ok()?;
        let own = loaded.own_output(&explained).unwrap_or(explained);
        let is_lost = loaded.import.is_cut() && loaded.import.output_function.is_none();
        let differs = own.shape() != file.shape() || is_lost;
        (!differs && count > 0).then(|| Ok(Self::of(&own, &file)))
    }

    fn of<T: Scalar>(own: &Tensor<T>, file: &Tensor<T>) -> Self {
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let error = squares(&mut own.iter().zip(file).map(|(a, b)| a.wide() - b.wide()));
        let size = squares(&mut file.iter().map(|v| v.wide()));
        let relative_l2 = if error == 0.0 { 0.0 } else { (error / size).sqrt() };
        let (same_argmax, argmax_of) = same_argmax(own, file).unzip();
        Self { samples: samples(file), relative_l2, same_argmax, argmax_of }
    }
}

/// The number of rows of classes whose largest is the same, and that of all.
fn same_argmax<T: Scalar>(own: &Tensor<T>, file: &Tensor<T>) -> Option<(usize, usize)> {
    let classes = *file.shape().last()?;
    if !matches!(file.ndim(), 2 | 3) || classes < 2 {
        return None;
    }
    let argmax = |row: ArrayViewD<'_, T>| ranking(row.iter().copied()).first().copied();
    let last = Axis(file.ndim() - 1);
    let rows =
        |output: &Tensor<T>| output.lanes(last).into_iter().map(|row| argmax(row.into_dyn())).collect::<Vec<_>>();
    let (own, file) = (rows(own), rows(file));
    Some((own.iter().zip(&file).filter(|(a, b)| a == b).count(), file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn differences_by_hand() {
        let (own, file) = (array![[3.0, 4.0], [0.0, 1.0]].into_dyn(), array![[3.0, 2.0], [0.0, 1.0]].into_dyn());
        let error = QuantizationError::of(&own, &file);
        assert!((error.relative_l2 - 2.0 / 14_f64.sqrt()).abs() < 1e-15);
        assert_eq!((error.samples, error.same_argmax, error.argmax_of), (2, Some(1), Some(2)));
        let steps = array![[[1.0, 2.0], [3.0, 0.0], [5.0, 6.0]]].into_dyn();
        let same = QuantizationError::of(&steps, &steps);
        assert_eq!((same.relative_l2, same.same_argmax, same.argmax_of), (0.0, Some(3), Some(3)));
        // One number is no choice between classes, and a map has its classes elsewhere.
        assert_eq!(QuantizationError::of(&array![[1.0]].into_dyn(), &array![[2.0]].into_dyn()).argmax_of, None);
        assert_eq!(
            QuantizationError::of(&array![[[[1.0, 2.0]]]].into_dyn(), &array![[[[2.0, 2.0]]]].into_dyn()).argmax_of,
            None
        );
    }
}
