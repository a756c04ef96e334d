//! What happens to the bias's share of the relevance.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, apply_to_ones};
use lrp_core::tensor::{add, dots};
use lrp_core::{Scalar, Tensor};

use crate::quotient::safe_divide;

/// What a rule does with the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BiasMode {
    /// It takes part in the denominator, and its share is booked as absorbed.
    #[default]
    Absorb,
    /// It is left out of the denominator.
    Ignore,
    /// It takes part in the denominator, and its share is spread evenly over the inputs that the output is connected to, so
    /// that the layer conserves relevance.
    Distribute,
}

impl BiasMode {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            BiasMode::Absorb => "absorb",
            BiasMode::Ignore => "ignore",
            BiasMode::Distribute => "distribute",
        }
    }

    /// Whether an input gets no share of the bias for its own sake: none if it is zero.
    pub(crate) fn vanishes(self) -> bool {
        self != BiasMode::Distribute
    }

    /// As a parameter to print, unless it is `default`.
    pub(crate) fn parameter(self, default: BiasMode) -> Option<(&'static str, String)> {
        (self != default).then(|| ("bias", format!("{:?}", self.name())))
    }
}

impl fmt::Display for BiasMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One operator's bias, and how its share is settled.
pub(crate) struct Bias<T: Scalar> {
    /// The bias where it takes part.
    value: Option<Tensor<T>>,
    /// For `distribute`: the operator with all weights one, and the number of inputs of each output, `[1, …]`.
    spread: Option<(Arc<dyn Affine<T>>, Tensor<T>)>,
}

impl<T: Scalar> Bias<T> {
    pub(crate) fn new(op: &dyn Affine<T>, mode: BiasMode) -> Self {
        let value = if mode == BiasMode::Ignore { None } else { op.bias().cloned() };
        let spread = (mode == BiasMode::Distribute && value.is_some()).then(|| {
            let connected = op.map_weights(&|_| T::one());
            let inputs = apply_to_ones(connected.as_ref());
            (connected, inputs)
        });
        Self { value, spread }
    }

    /// The bias mapped through `f`, if it takes part.
    pub(crate) fn map(&self, f: impl FnMut(T) -> T) -> Option<Tensor<T>> {
        self.value.as_ref().map(|b| b.mapv(f))
    }

    /// Whether it gives to inputs what it takes.
    pub(crate) fn is_distributed(&self) -> bool {
        self.spread.is_some()
    }

    /// `z` as this mode sees it, from the recorded output `z = A x + b`.
    pub(crate) fn denominator<'a>(&self, op: &dyn Affine<T>, z: &'a Tensor<T>) -> Cow<'a, Tensor<T>> {
        match (&self.value, op.bias()) {
            (None, Some(b)) => Cow::Owned(z - b),
            _ => Cow::Borrowed(z),
        }
    }

    /// Settles the shares `b·s` of a bias `b`, one per output (`[N, …]`): absorbs them or spreads them over `relevance`. Their sums may be
    /// known. Returns what was absorbed, per sample.
    pub(crate) fn settle(
        &self,
        s: &Tensor<T>,
        b: &Tensor<T>,
        known: Option<Vec<f64>>,
        relevance: &mut [Tensor<T>],
    ) -> Vec<f64> {
        match &self.spread {
            None => known.unwrap_or_else(|| dots(s, b)),
            Some((connected, inputs)) => {
                let (each, lost) = safe_divide(&(s * b), inputs);
                for (r, part) in relevance.iter_mut().zip(connected.adjoint(&each)) {
                    add(r, &part);
                }
                lost
            }
        }
    }

    /// Settles the shares of the bias as it is; see [`settle`](Bias::settle).
    pub(crate) fn settle_for(&self, s: &Tensor<T>, relevance: &mut [Tensor<T>]) -> Vec<f64> {
        match &self.value {
            Some(b) => self.settle(s, b, None, relevance),
            None => vec![0.0; lrp_core::tensor::samples(s)],
        }
    }
}
