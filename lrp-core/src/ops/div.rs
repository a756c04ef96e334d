//! Quotients of two activations.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `z = a ⊘ b` for two inputs of one shape.
///
/// The divisor is taken as a constant, and the numerator receives all relevance (Achtibat et al. 2024, Proposition 3.4).
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

    fn gate_input(&self) -> Option<usize> {
        Some(1)
    }

    fn factors(&self) -> Option<String> {
        Some("input 1 is the divisor".to_owned())
    }

    fn fixed(&self) -> Fixed {
        Fixed::Own { name: "numerator takes all", needs: Needs::NOTHING }
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated::lossless(vec![r.clone(), Tensor::zeros(r.raw_dim())])
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_gradient_is_the_slope_and_the_numerator_takes_all() {
        let (a, b) = (array![[2.0, -3.0]].into_dyn(), array![[0.5, -1.5]].into_dyn());
        let op = Div::new(&[2]).unwrap();
        let z = op.forward(&[&a, &b]);
        assert_eq!(z, array![[4.0, 2.0]].into_dyn());
        crate::testing::assert_gradient(&op, &[&a, &b], &array![[1.0, -2.0]].into_dyn());
        let r = array![[1.0, -2.0]].into_dyn();
        let result = op.propagate(Io { inputs: &[&a, &b], output: &z }, &r);
        assert_eq!(result.relevance, vec![r, array![[0.0, 0.0]].into_dyn()]);
    }
}
