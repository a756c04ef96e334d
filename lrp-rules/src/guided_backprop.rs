//! Guided backpropagation: what a ReLU does to relevance in that method.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Io, Operator};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::positive;
use lrp_core::{Claims, Rule, RuleError, Scalar, Tensor};

use crate::deconvnet::{activation, masked};

/// Guided backpropagation (Springenberg et al. 2015) for activations: the gradient of what is positive, `φ′(x)·R⁺`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuidedBackprop;

impl fmt::Display for GuidedBackprop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("guided-backprop")
    }
}

impl<T: Scalar> Rule<T> for GuidedBackprop {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Ok(Box::new(Prepared { op: activation(layer)? }))
    }

    fn claims(&self) -> Claims {
        Claims { linear: false, ..Claims::default() }
    }
}

struct Prepared<T: Scalar> {
    op: Arc<dyn Operator<T>>,
}

impl<T: Scalar> PreparedRule<T> for Prepared<T> {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        masked(r, self.op.vjp(io, &positive(r)))
    }
}
