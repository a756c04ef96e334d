//! Leaky ReLU with learned slopes.

use ndarray::Zip;

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `x` for `x ≥ 0`, `slope·x` below, with a slope for each channel or element. Relevance passes.
#[derive(Debug, Clone)]
pub struct PRelu<T: Scalar> {
    /// Of the rank of a batch, with axes of length one where slopes are shared.
    slopes: Tensor<T>,
    shape: [Vec<usize>; 1],
}

impl<T: Scalar> PRelu<T> {
    /// Slopes that broadcast to a sample of the shape `input`.
    ///
    /// # Errors
    /// When they do not, or are not finite, or the shape is empty or too large.
    pub fn new(slopes: Tensor<T>, input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        if slopes.broadcast(input).is_none() {
            return Err(OperatorError::new(format!("slopes of the shape {:?} for {input:?}", slopes.shape())));
        }
        if let Some(slope) = slopes.iter().find(|slope| !slope.is_finite()) {
            return Err(OperatorError::new(format!("{slope} is no slope")));
        }
        let missing = input.len() + 1 - slopes.ndim();
        let slopes = (0..missing).fold(slopes, |slopes, _| slopes.insert_axis(ndarray::Axis(0)));
        Ok(Self { slopes, shape: one(input) })
    }

    /// `f(x, v, slope)` for each element of two tensors.
    fn zip(&self, x: &Tensor<T>, v: &Tensor<T>, f: impl Fn(T, T, T) -> T + Sync + Send) -> Tensor<T> {
        match self.slopes.broadcast(x.raw_dim()) {
            Some(slopes) => Zip::from(x).and(v).and(slopes).map_collect(|&x, &v, &slope| f(x, v, slope)),
            None => crate::tensor::empty(),
        }
    }
}

impl<T: Scalar> Operator<T> for PRelu<T> {
    fn kind(&self) -> Kind {
        Kind::LeakyRelu
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        self.zip(x, x, |x, v, slope| if x < T::zero() { slope * v } else { v })
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let one = |x: &&Tensor<T>| self.zip(x, g, |x, g, slope| if x > T::zero() { g } else { slope * g });
        io.inputs.iter().map(one).collect()
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i) || self.slopes.iter().all(|slope| *slope <= T::zero())
    }

    fn detail(&self) -> String {
        format!("slopes of {}", self.slopes.len())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn by_hand() {
        let op = PRelu::new(array![[0.5], [-1.0]].into_dyn(), &[2, 2]).unwrap();
        let x = array![[[2.0, -2.0], [-3.0, 0.0]]].into_dyn();
        let y = op.forward(&[&x]);
        assert_eq!(y, array![[[2.0, -1.0], [3.0, 0.0]]].into_dyn());
        let g = array![[[1.0, 1.0], [1.0, 1.0]]].into_dyn();
        let inputs = &[&x];
        assert_eq!(op.vjp(Io { inputs, output: &y }, &g)[0], array![[[1.0, 0.5], [-1.0, -1.0]]].into_dyn());
        assert!(!op.nonnegative(&[false]) && op.nonnegative(&[true]));
    }

    #[test]
    fn slopes_that_do_not_fit_are_refused() {
        assert!(PRelu::<f64>::new(Tensor::ones(vec![3]), &[2, 2]).is_err());
        assert!(PRelu::<f64>::new(Tensor::ones(vec![1, 1, 2, 2]), &[2, 2]).is_err());
        assert!(PRelu::<f64>::new(Tensor::from_elem(vec![2], f64::NAN), &[2, 2]).is_err());
    }
}
