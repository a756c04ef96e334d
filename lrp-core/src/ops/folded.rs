//! An operator on each of several parts of a sample: frames of a video, windows of an image, heads of attention.

use std::sync::Arc;

use super::check_shape;
use crate::error::OperatorError;
use crate::kernels::conv::Limits;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::prepared::PreparedRule;
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements};

/// An operator that is applied to each of the parts that the first axis of a sample counts: `[K, …]` where the operator takes `[…]`.
///
/// The parts are samples to the operator, and to the rule that is assigned to it: `[N, K, …]` is `[N·K, …]` to them. So a rule at a folded
/// layer is the rule at the layer, part by part.
#[derive(Debug, Clone)]
pub struct Folded<T: Scalar> {
    op: Arc<dyn Operator<T>>,
    parts: usize,
    input_shapes: Vec<Vec<usize>>,
    output_shape: Vec<usize>,
}

impl<T: Scalar> Folded<T> {
    /// An operator on this number of parts.
    ///
    /// # Errors
    /// When there is no part, or absurdly many.
    pub fn new(op: Arc<dyn Operator<T>>, parts: usize) -> Result<Self, OperatorError> {
        let folded = |shape: &[usize]| batch_shape(parts, shape);
        let input_shapes: Vec<Vec<usize>> = op.input_shapes().iter().map(|shape| folded(shape)).collect();
        let output_shape = folded(op.output_shape());
        input_shapes.iter().chain([&output_shape]).try_for_each(|shape| check_shape(shape))?;
        Ok(Self { op, parts, input_shapes, output_shape })
    }

    fn unfold(&self, tensor: Tensor<T>) -> Tensor<T> {
        unfolded(tensor, self.parts)
    }
}

/// `[N·K, …]` for `[N, K, …]`. Activations that nobody asked for stay empty.
fn folded<T: Scalar>(tensor: &Tensor<T>) -> Tensor<T> {
    match tensor.shape() {
        [n, parts, rest @ ..] => from_elements(&batch_shape(n * parts, rest), elements(tensor).into_owned()),
        _ => tensor.clone(),
    }
}

/// `[N, K, …]` for `[N·K, …]`.
fn unfolded<T: Scalar>(tensor: Tensor<T>, parts: usize) -> Tensor<T> {
    let shape = match tensor.shape() {
        [all, rest @ ..] => batch_shape(all / parts, &batch_shape(parts, rest)),
        [] => return tensor,
    };
    from_elements(&shape, elements(&tensor).into_owned())
}

/// The accounts of samples, for those of their parts.
fn summed(parts: &[f64], count: usize) -> Vec<f64> {
    parts.chunks(count).map(|parts| parts.iter().sum()).collect()
}

/// What was propagated in each part, as that of the samples.
fn joined<T: Scalar>(propagated: Propagated<T>, parts: usize) -> Propagated<T> {
    let Propagated { relevance, bias, stabilizer, rule } = propagated;
    Propagated {
        relevance: relevance.into_iter().map(|r| unfolded(r, parts)).collect(),
        bias: summed(&bias, parts),
        stabilizer: summed(&stabilizer, parts),
        rule: summed(&rule, parts),
    }
}

/// Calls `then` with inputs and output whose parts are samples.
fn on_parts<T: Scalar, R>(io: Io<'_, T>, then: impl FnOnce(Io<'_, T>) -> R) -> R {
    let inputs: Vec<Tensor<T>> = io.inputs.iter().map(|x| folded(x)).collect();
    let output = folded(io.output);
    then(Io { inputs: &inputs.iter().collect::<Vec<_>>(), output: &output })
}

impl<T: Scalar> Operator<T> for Folded<T> {
    fn kind(&self) -> Kind {
        self.op.kind()
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let xs: Vec<Tensor<T>> = xs.iter().map(|x| folded(x)).collect();
        self.unfold(self.op.forward(&xs.iter().collect::<Vec<_>>()))
    }

    fn forward_clamped(&self, xs: &[&Tensor<T>], limits: Limits<T>) -> Tensor<T> {
        let xs: Vec<Tensor<T>> = xs.iter().map(|x| folded(x)).collect();
        self.unfold(self.op.forward_clamped(&xs.iter().collect::<Vec<_>>(), limits))
    }

    fn limits(&self) -> Option<Limits<T>> {
        self.op.limits()
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let gradients = on_parts(io, |io| self.op.vjp(io, &folded(g)));
        gradients.into_iter().map(|gradient| self.unfold(gradient)).collect()
    }

    fn vjp_needs_inputs(&self) -> bool {
        self.op.vjp_needs_inputs()
    }

    fn folded(&self) -> Option<(&Arc<dyn Operator<T>>, usize)> {
        Some((&self.op, self.parts))
    }

    fn constant_share(&self, r: &Tensor<T>) -> Vec<f64> {
        summed(&self.op.constant_share(&folded(r)), self.parts)
    }

    fn fixed(&self) -> Fixed {
        self.op.fixed()
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        joined(on_parts(io, |io| self.op.propagate(io, &folded(r))), self.parts)
    }

    fn gate_input(&self) -> Option<usize> {
        self.op.gate_input()
    }

    fn factors(&self) -> Option<String> {
        self.op.factors()
    }

    fn exponent(&self) -> Option<f64> {
        self.op.exponent()
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        self.op.nonnegative(inputs)
    }

    fn parameters(&self) -> usize {
        self.op.parameters()
    }

    fn algorithm(&self) -> Option<crate::kernels::conv::Algorithm> {
        self.op.algorithm()
    }

    fn fastest(&self) -> Option<Arc<dyn Operator<T>>> {
        Some(Arc::new(Self { op: self.op.fastest()?, ..self.clone() }))
    }

    fn thrifty(&self) -> Option<Arc<dyn Operator<T>>> {
        Some(Arc::new(Self { op: self.op.thrifty()?, ..self.clone() }))
    }

    fn detail(&self) -> String {
        let detail = self.op.detail();
        let separator = if detail.is_empty() { "" } else { ", " };
        format!("{detail}{separator}on each of {} parts", self.parts)
    }
}

/// A rule that was prepared for the operator of a [`Folded`] one: it gets the parts as samples.
pub(crate) struct FoldedRule<T: Scalar> {
    /// The rule.
    pub prepared: Box<dyn PreparedRule<T>>,
    /// The number of parts.
    pub parts: usize,
}

impl<T: Scalar> PreparedRule<T> for FoldedRule<T> {
    fn needs(&self) -> Needs {
        self.prepared.needs()
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        joined(on_parts(io, |io| self.prepared.propagate(io, &folded(r))), self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Dense;
    use ndarray::array;

    fn dense() -> Arc<dyn Operator<f64>> {
        let weights = array![[1.0, 2.0], [-3.0, 0.5], [0.0, 4.0]].into_dyn();
        Arc::new(Dense::new(weights, Some(vec![1.0, 2.0, 3.0]), &[2]).unwrap())
    }

    #[test]
    fn parts_are_samples() {
        let (inner, op) = (dense(), Folded::new(dense(), 2).unwrap());
        assert_eq!((op.input_shapes(), op.output_shape()), (&[vec![2, 2]][..], &[2, 3][..]));
        let x = Tensor::from_shape_fn(vec![3, 2, 2], |i| (i[0] * 5 + i[1] * 2 + i[2]) as f64 - 4.0);
        let parts = x.clone().into_shape_with_order(vec![6, 2]).unwrap();
        let y = op.forward(&[&x]);
        assert_eq!(y.clone().into_shape_with_order(vec![6, 3]).unwrap(), inner.forward(&[&parts]));
        let io = Io { inputs: &[&x], output: &y };
        let gradient = op.vjp(io, &y).remove(0);
        let of_parts = inner.vjp(Io { inputs: &[&parts], output: &folded(&y) }, &folded(&y)).remove(0);
        assert_eq!(gradient.into_shape_with_order(vec![6, 2]).unwrap(), of_parts);
    }

    #[test]
    fn accounts_of_parts_add_up() {
        let part = Tensor::<f64>::ones(vec![4, 1]);
        let mut propagated = Propagated::lossless(vec![part]);
        propagated.bias = vec![1.0, 2.0, 3.0, 4.0];
        let joined = joined(propagated, 2);
        assert_eq!((joined.bias, joined.relevance[0].shape()), (vec![3.0, 7.0], &[2, 2, 1][..]));
    }

    #[test]
    fn no_parts_are_refused() {
        assert!(Folded::new(dense(), 0).is_err());
    }
}
