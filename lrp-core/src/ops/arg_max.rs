//! The position of the largest or the smallest element along an axis.

use super::one;
use super::rows::Rows;
use crate::error::OperatorError;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, samples, sums};

/// The position of the largest (or smallest) element along an axis, which keeps the length one. It is a step function: its input has no share in
/// its value, and receives no relevance. Relevance that it receives is recorded in the rule's account.
#[derive(Debug, Clone)]
pub struct ArgMax {
    axis: usize,
    largest: bool,
    /// Whether the last of several equals counts, and not the first.
    last: bool,
    rows: Rows,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl ArgMax {
    /// `axis` counts from the batch axis, which is 0 and not allowed; `input` is the sample shape. Of equals, the `last` or the first counts.
    ///
    /// # Errors
    /// When the axis is the batch or does not exist.
    pub fn new(axis: usize, largest: bool, last: bool, input: &[usize]) -> Result<Self, OperatorError> {
        let rows = Rows::new("the position of the largest element", axis, input)?;
        let mut output_shape = input.to_vec();
        output_shape[axis - 1] = 1;
        Ok(Self { axis, largest, last, rows, input_shape: one(input), output_shape })
    }

    fn winner<T: Scalar>(&self, row: &[T]) -> usize {
        let beats = |a: T, b: T| if self.largest { a > b } else { a < b };
        (1..row.len()).fold(
            0,
            |best, i| {
                if beats(row[i], row[best]) || (self.last && row[i] == row[best]) { i } else { best }
            },
        )
    }
}

impl<T: Scalar> Operator<T> for ArgMax {
    fn kind(&self) -> Kind {
        Kind::ArgMax
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        self.rows.map(x, self.rows.with_length(1), &self.output_shape, |row, y| y.fill(T::of(self.winner(row) as f64)))
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![Tensor::zeros(batch_shape(samples(g), &self.input_shape[0]))]
    }

    fn fixed(&self) -> Fixed {
        Fixed::Own { name: "none", needs: Needs::NOTHING }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated { rule: sums(r), ..Propagated::lossless(self.vjp(io, r)) }
    }

    fn nonnegative(&self, _: &[bool]) -> bool {
        true
    }

    fn detail(&self) -> String {
        format!("{} along axis {}", if self.largest { "largest" } else { "smallest" }, self.axis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn positions_of_winners() {
        let x = array![[[1.0, 5.0, 5.0], [-1.0, -7.0, 2.0]]].into_dyn();
        let position = |axis, largest, last| ArgMax::new(axis, largest, last, &[2, 3]).unwrap().forward(&[&x]);
        assert_eq!(position(2, true, false), array![[[1.0], [2.0]]].into_dyn());
        assert_eq!(position(2, true, true), array![[[2.0], [2.0]]].into_dyn());
        assert_eq!(position(2, false, false), array![[[0.0], [1.0]]].into_dyn());
        assert_eq!(position(1, true, false), array![[[0.0, 0.0, 0.0]]].into_dyn());
        assert!(ArgMax::new(0, true, false, &[2, 3]).is_err());
        let op = ArgMax::new(2, true, false, &[2, 3]).unwrap();
        let y: Tensor<f64> = op.forward(&[&x]);
        let given = op.propagate(Io { inputs: &[&x], output: &y }, &array![[[1.0], [2.0]]].into_dyn());
        assert_eq!((given.relevance, given.rule), (vec![Tensor::zeros(vec![1, 2, 3])], vec![3.0]));
    }
}
