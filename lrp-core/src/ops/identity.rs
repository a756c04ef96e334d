//! Operators without effect when a model is explained: identities and dropout.

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// The identity.
#[derive(Debug, Clone)]
pub struct Identity {
    shape: [Vec<usize>; 1],
}

impl Identity {
    /// On tensors of this sample shape.
    ///
    /// # Errors
    /// When the shape is empty or too large.
    pub fn new(input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        Ok(Self { shape: one(input) })
    }
}

impl<T: Scalar> Operator<T> for Identity {
    fn kind(&self) -> Kind {
        Kind::Identity
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        xs.first().map_or_else(crate::tensor::empty, |x| (*x).clone())
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![g.clone()]
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }
}
