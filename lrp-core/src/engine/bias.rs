//! One operator's bias, and what happens to its share of the relevance.

use std::borrow::Cow;
use std::sync::Arc;

use super::quotient::divide_exactly;
use crate::formula::BiasMode;
use crate::operator::{Affine, apply_to_ones};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, add, dots, samples};

pub(super) struct Bias<T: Scalar> {
    /// The bias, if it is part of denominators.
    value: Option<Tensor<T>>,
    /// For `distribute`: the operator with all weights one, and the number of inputs of each output, `[1, …]`.
    spread: Option<(Arc<dyn Affine<T>>, Tensor<T>)>,
}

impl<T: Scalar> Bias<T> {
    pub(super) fn new(op: &dyn Affine<T>, mode: BiasMode) -> Self {
        let value = if mode == BiasMode::Ignore { None } else { op.bias().cloned() };
        let spread = (mode == BiasMode::Distribute && value.is_some()).then(|| {
            let connected = op.map_weights(&|_| T::one());
            let inputs = apply_to_ones(connected.as_ref());
            (connected, inputs)
        });
        Self { value, spread }
    }

    /// The bias mapped through `f`, if it is part of denominators.
    pub(super) fn map(&self, f: impl FnMut(T) -> T) -> Option<Tensor<T>> {
        self.value.as_ref().map(|b| b.mapv(f))
    }

    /// Whether its share is spread over inputs.
    pub(super) fn is_distributed(&self) -> bool {
        self.spread.is_some()
    }

    /// `z` as this mode sees it, from the recorded output `A x + b`.
    pub(super) fn z<'a>(&self, op: &dyn Affine<T>, output: &'a Tensor<T>) -> Cow<'a, Tensor<T>> {
        match (&self.value, op.bias()) {
            (None, Some(b)) => Cow::Owned(output - b),
            _ => Cow::Borrowed(output),
        }
    }

    /// Settles the shares `b·s` of a bias `b`, one per output (`[N, …]`): absorbs them or spreads them over `relevance`. Their sums may be
    /// known. Returns what was absorbed, per sample.
    pub(super) fn settle(
        &self,
        s: &Tensor<T>,
        b: &Tensor<T>,
        known: Option<Vec<f64>>,
        relevance: &mut [Tensor<T>],
    ) -> Vec<f64> {
        match &self.spread {
            None => known.unwrap_or_else(|| dots(s, b)),
            Some((connected, inputs)) => {
                let each = divide_exactly(&(s * b), inputs);
                for (r, part) in relevance.iter_mut().zip(connected.adjoint(&each.s)) {
                    add(r, &part);
                }
                each.zero_denominator
            }
        }
    }

    /// Settles the shares of the bias as it is; see [`settle`](Bias::settle).
    pub(super) fn settle_unmapped(&self, s: &Tensor<T>, relevance: &mut [Tensor<T>]) -> Vec<f64> {
        match &self.value {
            Some(b) => self.settle(s, b, None, relevance),
            None => vec![0.0; samples(s)],
        }
    }
}
