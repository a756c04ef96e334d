//! Reductions along an axis that are no sums: the logarithm of a sum of exponentials, and products.

use super::one;
use super::rows::Rows;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// A function of all elements along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reducer {
    /// `ln Σ eˣ`.
    LogSumExp,
    /// `Π x`.
    Product,
}

/// A reduction along an axis, which keeps length one. It has no relevance behaviour: a rule has to be assigned.
#[derive(Debug, Clone)]
pub struct Reduction {
    reducer: Reducer,
    axis: usize,
    rows: Rows,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl Reduction {
    /// `axis` counts from the batch axis, which is 0 and not allowed; `input` is the sample shape.
    ///
    /// # Errors
    /// When the axis is the batch or does not exist.
    pub fn new(reducer: Reducer, axis: usize, input: &[usize]) -> Result<Self, OperatorError> {
        let rows = Rows::new("a reduction", axis, input)?;
        let mut output_shape = input.to_vec();
        output_shape[axis - 1] = 1;
        Ok(Self { reducer, axis, rows, input_shape: one(input), output_shape })
    }
}

/// `(max x, Σ e^(x − max x))`: the exponentials cannot overflow.
fn exponentials<T: Scalar>(row: &[T]) -> (T, T) {
    let top = row.iter().copied().fold(T::neg_infinity(), T::max);
    (top, row.iter().map(|&x| (x - top).exp()).sum())
}

/// For each element the product of all others.
fn products_of_others<T: Scalar>(row: &[T], out: &mut [T]) {
    let mut before = T::one();
    for (out, &x) in out.iter_mut().zip(row) {
        *out = before;
        before *= x;
    }
    let mut after = T::one();
    for (out, &x) in out.iter_mut().zip(row).rev() {
        *out *= after;
        after *= x;
    }
}

impl<T: Scalar> Operator<T> for Reduction {
    fn kind(&self) -> Kind {
        match self.reducer {
            Reducer::LogSumExp => Kind::LogSumExp,
            Reducer::Product => Kind::ReduceProd,
        }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let reducer = self.reducer;
        self.rows.map(x, self.rows.with_length(1), &self.output_shape, |row, y| {
            y[0] = match reducer {
                Reducer::LogSumExp => {
                    let (top, sum) = exponentials(row);
                    top + sum.ln()
                }
                Reducer::Product => row.iter().copied().fold(T::one(), |product, x| product * x),
            };
        })
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let Some(x) = io.inputs.first() else { return Vec::new() };
        let reducer = self.reducer;
        vec![self.rows.zip(x, g, self.rows.with_length(1), |row, g, out| {
            match reducer {
                Reducer::LogSumExp => {
                    let (top, sum) = exponentials(row);
                    out.iter_mut().zip(row).for_each(|(out, &x)| *out = (x - top).exp() / sum);
                }
                Reducer::Product => products_of_others(row, out),
            }
            out.iter_mut().for_each(|out| *out *= g[0]);
        })]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        // The logarithm is above the largest element.
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        format!("along axis {}", self.axis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Fixed;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let x = array![[[2.0, -3.0, 4.0], [1000.0, 1000.0, 0.0]]].into_dyn();
        let y = Reduction::new(Reducer::Product, 2, &[2, 3]).unwrap().forward(&[&x]);
        assert_eq!(y, array![[[-24.0], [0.0]]].into_dyn());
        let y = Reduction::new(Reducer::LogSumExp, 2, &[2, 3]).unwrap().forward(&[&x]);
        assert!((y[[0, 0, 0]] - (2f64.exp() + (-3f64).exp() + 4f64.exp()).ln()).abs() < 1e-12);
        assert!((y[[0, 1, 0]] - 1000.0 - 2f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_the_slope_and_a_rule_is_needed() {
        let x = array![[[2.0, -3.0, 0.5], [0.0, 1.5, 0.1]]].into_dyn();
        for reducer in [Reducer::Product, Reducer::LogSumExp] {
            for axis in [1, 2] {
                let op = Reduction::new(reducer, axis, &[2, 3]).unwrap();
                let g = op.forward(&[&x]).mapv(|y: f64| y.cos());
                crate::testing::assert_gradient(&op, &[&x], &g);
                assert_eq!(Operator::<f64>::fixed(&op), Fixed::RuleNeeded);
            }
        }
        assert!(Reduction::new(Reducer::Product, 3, &[2, 3]).is_err());
    }
}
