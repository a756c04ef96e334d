//! Running sums along an axis.

use std::sync::Arc;

use super::one;
use super::rows::Rows;
use crate::error::OperatorError;
use crate::operator::{Affine, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `z_i = Σ x_j` over `j ≤ i` along an axis, over `j < i` where it is exclusive; in reverse over `j ≥ i` or `j > i`.
#[derive(Debug, Clone)]
pub struct CumSum<T> {
    axis: usize,
    exclusive: bool,
    reverse: bool,
    /// Of every connection.
    weight: T,
    rows: Rows,
    shape: [Vec<usize>; 1],
}

impl<T: Scalar> CumSum<T> {
    /// `axis` counts from the batch axis, which is 0 and not allowed; `input` is the sample shape.
    ///
    /// # Errors
    /// When the axis is the batch or does not exist.
    pub fn new(axis: usize, exclusive: bool, reverse: bool, input: &[usize]) -> Result<Self, OperatorError> {
        let rows = Rows::new("a running sum", axis, input)?;
        Ok(Self { axis, exclusive, reverse, weight: T::one(), rows, shape: one(input) })
    }

    fn sum(&self, x: &Tensor<T>, reverse: bool) -> Tensor<T> {
        let add = |sum: &mut T, (x, z): (&T, &mut T)| {
            let before = *sum;
            *sum += *x;
            *z = self.weight * if self.exclusive { before } else { *sum };
        };
        self.rows.map(x, self.rows, &self.shape[0], |row, z| {
            let mut sum = T::zero();
            if reverse {
                row.iter().zip(z).rev().for_each(|pair| add(&mut sum, pair));
            } else {
                row.iter().zip(z).for_each(|pair| add(&mut sum, pair));
            }
        })
    }
}

impl<T: Scalar> Operator<T> for CumSum<T> {
    fn kind(&self) -> Kind {
        Kind::CumSum
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    affine_methods!();

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i) && self.weight >= T::zero()
    }

    fn detail(&self) -> String {
        let exclusive = if self.exclusive { ", exclusive" } else { "" };
        let reverse = if self.reverse { ", reverse" } else { "" };
        format!("along axis {}{exclusive}{reverse}", self.axis)
    }
}

impl<T: Scalar> Affine<T> for CumSum<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        xs.first().map_or_else(crate::tensor::empty, |x| self.sum(x, self.reverse))
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![self.sum(s, !self.reverse)]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        None
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(Self { weight: f(self.weight), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let x = array![[[1.0, 2.0, 4.0]]].into_dyn();
        for (exclusive, reverse, expected, transposed) in [
            (false, false, [1.0, 3.0, 7.0], [7.0, 6.0, 4.0]),
            (true, false, [0.0, 1.0, 3.0], [6.0, 4.0, 0.0]),
            (false, true, [7.0, 6.0, 4.0], [1.0, 3.0, 7.0]),
            (true, true, [6.0, 4.0, 0.0], [0.0, 1.0, 3.0]),
        ] {
            let row = |values: [f64; 3]| Tensor::from_shape_vec(vec![1, 1, 3], values.to_vec()).unwrap();
            let op = CumSum::new(2, exclusive, reverse, &[1, 3]).unwrap();
            assert_eq!(op.forward(&[&x]), row(expected));
            assert_eq!(op.adjoint(&x), [row(transposed)]);
            assert_eq!(op.map_weights(&|w| -2.0 * w).apply(&[&x]), row(expected) * -2.0);
        }
        assert!(CumSum::<f64>::new(0, false, false, &[2]).is_err());
    }

    #[test]
    fn the_adjoint_is_adjoint() {
        let x = Tensor::from_shape_fn(vec![2, 3, 4], |i| ((i[0] * 31 + i[1] * 7 + i[2] * 5) % 11) as f64 - 5.0);
        let s = x.mapv(|v| (v * 1.7).sin());
        for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
            for axis in [1, 2] {
                let op = CumSum::new(axis, exclusive, reverse, &[3, 4]).unwrap();
                let (left, right) = ((op.apply(&[&x]) * &s).sum(), (&op.adjoint(&s)[0] * &x).sum());
                assert!((left - right).abs() < 1e-12);
            }
        }
    }
}
