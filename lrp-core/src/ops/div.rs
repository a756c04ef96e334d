//! Quotients of two activations.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `z = a ⊘ b` for two inputs of one shape. It has no relevance behaviour: a rule has to be assigned.
#[derive(Debug, Clone)]
pub struct Div {
    shapes: [Vec<usize>; 2],
}

impl Div {
    /// The quotient of two tensors of this sample shape.
    ///
    /// # Errors
    /// When the shape is empty or too large.
    pub fn new(shape: &[usize]) -> Result<Self, OperatorError> {
        check_shape(shape)?;
        Ok(Self { shapes: [shape.to_vec(), shape.to_vec()] })
    }
}

impl<T: Scalar> Operator<T> for Div {
    fn kind(&self) -> Kind {
        Kind::Div
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        match xs {
            [a, b] => *a / *b,
            _ => crate::tensor::empty(),
        }
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        match io.inputs {
            [a, b] => {
                let to_a = g / *b;
                let to_b = -(&to_a * *a / *b);
                vec![to_a, to_b]
            }
            _ => Vec::new(),
        }
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Fixed;
    use ndarray::array;

    #[test]
    fn the_gradient_is_the_slope_and_a_rule_is_needed() {
        let (a, b) = (array![[2.0, -3.0]].into_dyn(), array![[0.5, -1.5]].into_dyn());
        let op = Div::new(&[2]).unwrap();
        assert_eq!(op.forward(&[&a, &b]), array![[4.0, 2.0]].into_dyn());
        crate::testing::assert_gradient(&op, &[&a, &b], &array![[1.0, -2.0]].into_dyn());
        assert_eq!(Operator::<f64>::fixed(&op), Fixed::RuleNeeded);
    }
}
