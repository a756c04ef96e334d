//! Quantization, and its inverse.

use ndarray::ArrayD;

use super::{Evaluation, axis};
use crate::error::Problem;
use crate::tensor::{Array, Constant, DType};

impl Evaluation<'_> {
    /// `(x − zero point) · scale`, by one scale or one for each index of an axis.
    pub(super) fn dequantize(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        let (scale, zero) = self.quantization(x.shape())?;
        Ok(Array::Float((x - zero) * scale))
    }

    /// `x / scale`, rounded to even, plus the zero point, within the range of the zero point's type.
    pub(super) fn quantize(&mut self) -> Result<Constant, Problem> {
        let x = self.array(0)?.into_floats();
        let (scale, zero) = self.quantization(x.shape())?;
        let dtype = match self.inputs.get(2).and_then(Option::as_ref) {
            Some(zero) => zero.dtype(),
            None => match self.node.int("output_dtype").and_then(|code| i32::try_from(code).ok()).unwrap_or(0) {
                0 => Some(DType::U8),
                code => DType::from_code(code),
            },
        };
        let range = dtype.and_then(|dtype| dtype.range().map(|range| (dtype, range)));
        let (dtype, (low, high)) =
            range.ok_or_else(|| Problem::unsupported("it quantizes to a type that is not supported"))?;
        let value = (x / scale).mapv(f64::round_ties_even) + zero;
        let integers: Constant = Array::Int(value.mapv(|v| v.clamp(low, high) as i64)).into();
        Ok(integers.of_type(dtype))
    }

    /// To bytes, by a scale and a zero point that fit the elements and zero.
    pub(super) fn dynamic_quantize(&mut self) -> Result<Vec<Constant>, Problem> {
        let x = self.array(0)?.into_floats();
        let (low, high) = x.iter().fold((0.0f64, 0.0f64), |(low, high), &v| (low.min(v), high.max(v)));
        let scale = if high > low { (high - low) / 255.0 } else { 1.0 };
        let zero = (-low / scale).clamp(0.0, 255.0).round_ties_even();
        let integers = x.mapv(|v| ((v / scale).round_ties_even() + zero).clamp(0.0, 255.0) as i64);
        let number = |array: Array| Constant::from(array);
        Ok(vec![
            number(Array::Int(integers)).of_type(DType::U8),
            number(Array::Float(ndarray::arr0(scale).into_dyn())),
            number(Array::Int(ndarray::arr0(zero as i64).into_dyn())).of_type(DType::U8),
        ])
    }

    /// Scale and zero point, in shapes that broadcast to `shape`.
    fn quantization(&mut self, shape: &[usize]) -> Result<(ArrayD<f64>, ArrayD<f64>), Problem> {
        if self.node.int("block_size").unwrap_or(0) != 0 {
            return Err(Problem::unsupported("with a scale for each of several blocks"));
        }
        let has_zero = self.inputs.get(2).is_some_and(Option::is_some);
        let mut parameter = |index: usize| -> Result<ArrayD<f64>, Problem> {
            let values = self.array(index)?.into_floats();
            let mut along = vec![1; shape.len()];
            if values.len() != 1 {
                let axis = axis(self.node.int("axis").unwrap_or(1), shape.len())?;
                if shape.get(axis) != Some(&values.len()) {
                    return Err(Problem::invalid(format!(
                        "its scale or zero point does not fit axis {axis} of {shape:?}"
                    )));
                }
                if let Some(slot) = along.get_mut(axis) {
                    *slot = values.len();
                }
            }
            values.into_shape_with_order(along).map_err(|_| Problem::invalid("its scale or zero point has no shape"))
        };
        let scale = parameter(1)?;
        let zero = if has_zero { parameter(2)? } else { ArrayD::zeros(vec![1; shape.len()]) };
        Ok((scale, zero))
    }
}
