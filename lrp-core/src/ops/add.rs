//! Sums and differences of activations: residual connections.

use std::sync::Arc;

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Affine, Kind, Operator, batch_of};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, map, update, zip};

/// `z = Σ_i w_i x_i` over inputs of one shape; `w_i` is 1, or −1 for what is subtracted.
#[derive(Debug, Clone)]
pub struct Add<T> {
    weights: Vec<T>,
    shapes: Vec<Vec<usize>>,
}

impl<T: Scalar> Add<T> {
    /// The sum of `n` inputs of this sample shape.
    ///
    /// # Errors
    /// When there is no input, or the shape is empty or too large.
    pub fn new(n: usize, shape: &[usize]) -> Result<Self, OperatorError> {
        Self::weighted(vec![T::one(); n], shape)
    }

    /// The first input minus the second.
    ///
    /// # Errors
    /// When the shape is empty or too large.
    pub fn difference(shape: &[usize]) -> Result<Self, OperatorError> {
        Self::weighted(vec![T::one(), -T::one()], shape)
    }

    fn weighted(weights: Vec<T>, shape: &[usize]) -> Result<Self, OperatorError> {
        check_shape(shape)?;
        if weights.is_empty() {
            return Err(OperatorError::new("a sum needs at least one input"));
        }
        Ok(Self { shapes: vec![shape.to_vec(); weights.len()], weights })
    }
}

impl<T: Scalar> Operator<T> for Add<T> {
    fn kind(&self) -> Kind {
        Kind::Add
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    affine_methods!();

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i) && self.weights.iter().all(|&w| w >= T::zero())
    }

    fn detail(&self) -> String {
        self.weights.iter().map(|&w| if w < T::zero() { "−" } else { "+" }).collect::<Vec<_>>().join(" ")
    }
}

impl<T: Scalar> Affine<T> for Add<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let mut summands = xs.iter().zip(self.weights.iter().copied());
        let mut z = match (summands.next(), summands.next()) {
            (Some((a, v)), Some((b, w))) => zip(a, b, |a, b| v * a + w * b),
            (Some((a, v)), None) => map(a, |a| v * a),
            (None, _) => Tensor::zeros(batch_shape(batch_of(xs), &self.shapes[0])),
        };
        summands.for_each(|(x, w)| update(&mut z, x, x, |z, x, _| z + w * x));
        z
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        self.weights.iter().map(|&w| s * w).collect()
    }

    fn adjoint_times(&self, s: &Tensor<T>, xs: &[&Tensor<T>]) -> Vec<Tensor<T>> {
        let one = |(x, &w): (&&Tensor<T>, &T)| zip(x, s, move |x, s| x * (w * s) + T::zero());
        xs.iter().zip(&self.weights).map(one).collect()
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        None
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(Self { weights: self.weights.iter().map(|&w| f(w)).collect(), shapes: self.shapes.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let difference = Add::difference(&[2]).unwrap();
        let (a, b) = (array![[1.0, 2.0]].into_dyn(), array![[5.0, -3.0]].into_dyn());
        assert_eq!(difference.forward(&[&a, &b]), array![[-4.0, 5.0]].into_dyn());
        assert_eq!(difference.adjoint(&a), vec![a.clone(), -a]);
    }
}
