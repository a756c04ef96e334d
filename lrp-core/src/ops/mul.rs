//! Products of two activations: gates, and anything else that multiplies.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `z = a ⊙ b` for two inputs of one shape.
///
/// Where one factor is a gate (the output of a sigmoid, say), the other one, the gated signal, receives all relevance: a gate decides
/// how much passes, not what (Arras et al. 2017, for LSTMs). Where neither is, each receives half, which is the
/// first-order Taylor expansion's division of a product (Achtibat et al. 2024, eq. 14).
#[derive(Debug, Clone)]
pub struct Mul {
    gate: Option<usize>,
    /// Why this is the gate, or why there is none; empty where nobody looked.
    reason: String,
    shapes: [Vec<usize>; 2],
}

impl Mul {
    /// The product of two tensors of this sample shape, one of which may be known as the gate (0 or 1).
    ///
    /// # Errors
    /// When the shape is empty or too large, or the gate is neither factor.
    pub fn new(gate: Option<usize>, shape: &[usize]) -> Result<Self, OperatorError> {
        check_shape(shape)?;
        if gate.is_some_and(|g| g > 1) {
            return Err(OperatorError::new("a product has the factors 0 and 1"));
        }
        Ok(Self { gate, reason: String::new(), shapes: [shape.to_vec(), shape.to_vec()] })
    }

    /// The same product with the reason for its gate, or for having none, as [`Operator::factors`] tells it.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

impl<T: Scalar> Operator<T> for Mul {
    fn kind(&self) -> Kind {
        Kind::Mul
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        match xs {
            [a, b] => *a * *b,
            _ => crate::tensor::empty(),
        }
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        match io.inputs {
            [a, b] => vec![g * *b, g * *a],
            _ => Vec::new(),
        }
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn gate_input(&self) -> Option<usize> {
        self.gate
    }

    fn factors(&self) -> Option<String> {
        let decided = self.gate.map_or_else(|| "uniform".to_owned(), |gate| format!("input {gate} is the gate"));
        Some(if self.reason.is_empty() { decided } else { format!("{decided}: {}", self.reason) })
    }

    fn fixed(&self) -> Fixed {
        let name = if self.gate.is_some() { "gate" } else { "uniform" };
        Fixed::Own { name, needs: Needs::NOTHING }
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let none = || Tensor::zeros(r.raw_dim());
        Propagated::lossless(match self.gate {
            Some(0) => vec![none(), r.clone()],
            Some(_) => vec![r.clone(), none()],
            None => vec![r * T::of(0.5); 2],
        })
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        // Without a gate and without a reason, there is nothing to tell.
        let told = self.gate.is_some() || !self.reason.is_empty();
        Operator::<T>::factors(self).filter(|_| told).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_signal_takes_all_or_each_takes_half() {
        let (a, b) = (array![[2.0, -3.0]].into_dyn(), array![[0.5, 0.25]].into_dyn());
        let z = array![[1.0, -0.75]].into_dyn();
        let io = Io { inputs: &[&a, &b], output: &z };
        let gated = Mul::new(Some(1), &[2]).unwrap();
        assert_eq!(gated.forward(&[&a, &b]), z);
        assert_eq!(gated.propagate(io, &z).relevance, vec![z.clone(), array![[0.0, 0.0]].into_dyn()]);
        let uniform = Mul::new(None, &[2]).unwrap();
        assert_eq!(uniform.propagate(io, &z).relevance, vec![&z * 0.5, &z * 0.5]);
        assert!(Mul::new(Some(2), &[2]).is_err());
    }

    #[test]
    fn what_was_decided_is_told() {
        let told = |op: &dyn Operator<f64>| (op.factors().unwrap(), op.detail());
        let mul = |gate| Mul::new(gate, &[2]).unwrap();
        assert_eq!(told(&mul(None)), ("uniform".into(), String::new()));
        assert_eq!(told(&mul(Some(1))), ("input 1 is the gate".into(), "input 1 is the gate".into()));
        let text = "input 0 is the gate: a sigmoid";
        assert_eq!(told(&mul(Some(0)).because("a sigmoid")), (text.into(), text.into()));
        assert_eq!(told(&mul(None).because("no gate")).1, "uniform: no gate");
    }
}
