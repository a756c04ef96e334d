//! Sums and differences of activations: residual connections.

use std::sync::Arc;

use super::check_shape;
use crate::error::OperatorError;
use crate::kernels::conv::Limits;
use crate::operator::fused::{AdjointEpilogue, Fused};
use crate::operator::{Affine, Kind, Operator, batch_of};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, map, update, zip};

/// `z = Σ_i w_i x_i` over inputs of one shape; `w_i` is 1, or −1 for inputs that are subtracted.
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

    /// `f(Σ_i w_i x_i)`; the last summand and `f` are one pass.
    fn sum_then(&self, xs: &[&Tensor<T>], f: impl Fn(T) -> T + Copy + Sync) -> Tensor<T> {
        let summands: Vec<_> = xs.iter().copied().zip(self.weights.iter().copied()).collect();
        match summands[..] {
            [] => map(&Tensor::zeros(batch_shape(batch_of(xs), &self.shapes[0])), f),
            [(a, v)] => map(a, move |a| f(v * a)),
            [(a, v), (b, w)] => zip(a, b, move |a, b| f(v * a + w * b)),
            [(a, v), (b, w), ref between @ .., (x, last)] => {
                let mut z = zip(a, b, move |a, b| v * a + w * b);
                for &(x, w) in between {
                    update(&mut z, x, x, move |z, x, _| z + w * x);
                }
                update(&mut z, x, x, move |z, x, _| f(z + last * x));
                z
            }
        }
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

    fn forward_clamped(&self, xs: &[&Tensor<T>], limits: Limits<T>) -> Tensor<T> {
        self.sum_then(xs, move |z| limits.clamp(z))
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i) && self.weights.iter().all(|&w| w >= T::zero())
    }

    fn detail(&self) -> String {
        self.weights.iter().map(|&w| if w < T::zero() { "−" } else { "+" }).collect::<Vec<_>>().join(" ")
    }
}

impl<T: Scalar> Affine<T> for Add<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        self.sum_then(xs, |z| z)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        self.weights.iter().map(|&w| map(s, move |s| s * w)).collect()
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        None
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(Self { weights: self.weights.iter().map(|&w| f(w)).collect(), shapes: self.shapes.clone() })
    }

    fn fused(&self) -> Option<&dyn Fused<T>> {
        Some(self)
    }
}

impl<T: Scalar> Fused<T> for Add<T> {
    fn adjoint_then(&self, s: &Tensor<T>, epilogue: AdjointEpilogue<'_, T>) -> Option<Vec<Tensor<T>>> {
        let AdjointEpilogue::Times(xs) = epilogue else { return None };
        let one = |(x, &w): (&&Tensor<T>, &T)| zip(x, s, move |x, s| x * (w * s) + T::zero());
        Some(xs.iter().zip(&self.weights).map(one).collect())
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
        assert_eq!(difference.adjoint(&a), vec![a.clone(), -&a]);
        let relu = Limits { low: 0.0, high: f64::INFINITY };
        assert_eq!(difference.forward_clamped(&[&a, &b], relu), array![[0.0, 5.0]].into_dyn());
        let sum = |n: usize| Add::new(n, &[2]).unwrap();
        assert_eq!(sum(1).forward_clamped(&[&b], relu), array![[5.0, 0.0]].into_dyn());
        assert_eq!(sum(4).forward_clamped(&[&a, &b, &a, &b], relu), array![[12.0, 0.0]].into_dyn());
        assert_eq!(sum(3).forward(&[&b, &a, &b]), array![[11.0, -4.0]].into_dyn());
    }
}
