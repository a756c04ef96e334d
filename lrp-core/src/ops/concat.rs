//! Concatenation: each input gets the relevance of its own part.

use ndarray::{Axis, Slice};

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Concatenation of any number of inputs along one axis.
#[derive(Debug, Clone)]
pub struct Concat {
    axis: usize,
    shapes: Vec<Vec<usize>>,
    output_shape: Vec<usize>,
}

impl Concat {
    /// `axis` counts from the batch axis, which is 0 and not allowed; `inputs` are sample shapes.
    ///
    /// # Errors
    /// When the inputs differ in another axis, or the axis is the batch or does not exist.
    pub fn new(axis: usize, inputs: &[&[usize]]) -> Result<Self, OperatorError> {
        let Some(first) = inputs.first() else {
            return Err(OperatorError::new("a concatenation needs at least one input"));
        };
        if axis == 0 || axis > first.len() {
            return Err(OperatorError::new(format!(
                "concatenation along axis {axis} of a tensor of rank {} (axis 0 is the batch)",
                first.len() + 1
            )));
        }
        let mut output_shape = first.to_vec();
        output_shape[axis - 1] = 0;
        for shape in inputs {
            check_shape(shape)?;
            let fits = shape.len() == first.len()
                && shape.iter().zip(*first).enumerate().all(|(i, (a, b))| i + 1 == axis || a == b);
            if !fits {
                return Err(OperatorError::new(format!("inputs {first:?} and {shape:?} differ beyond axis {axis}")));
            }
            output_shape[axis - 1] += shape[axis - 1];
        }
        check_shape(&output_shape)?;
        Ok(Self { axis, shapes: inputs.iter().map(|s| s.to_vec()).collect(), output_shape })
    }
}

impl<T: Scalar> Operator<T> for Concat {
    fn kind(&self) -> Kind {
        Kind::Concat
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let views: Vec<_> = xs.iter().map(|x| x.view()).collect();
        ndarray::concatenate(Axis(self.axis), &views)
            .map(|y| y.as_standard_layout().into_owned())
            .unwrap_or_else(|_| crate::tensor::empty())
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let mut start = 0;
        self.shapes
            .iter()
            .map(|shape| {
                let end = start + shape[self.axis - 1];
                let part = g.slice_axis(Axis(self.axis), Slice::from(start..end));
                start = end;
                part.as_standard_layout().into_owned()
            })
            .collect()
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        format!("axis {}", self.axis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn parts_go_back_to_their_inputs() {
        let op = Concat::new(1, &[&[1, 2], &[2, 2]]).unwrap();
        let a = array![[[1.0, 2.0]]].into_dyn();
        let b = array![[[3.0, 4.0], [5.0, 6.0]]].into_dyn();
        let y = op.forward(&[&a, &b]);
        assert_eq!(y.shape(), [1, 3, 2]);
        assert_eq!(op.vjp(Io { inputs: &[&a, &b], output: &y }, &y), vec![a, b]);
        assert!(Concat::new(1, &[&[1, 2], &[2, 3]]).is_err());
        assert!(Concat::new(0, &[&[1, 2], &[1, 2]]).is_err());
    }
}
