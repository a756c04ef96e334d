//! DeconvNet: what a ReLU does to relevance in that method.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Group, Io, Operator};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{positive, sums};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

/// DeconvNet (Zeiler and Fergus 2014) for activations: what is positive, `R⁺`, whatever the input was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deconvnet;

impl fmt::Display for Deconvnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("deconvnet")
    }
}

impl<T: Scalar> Rule<T> for Deconvnet {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        activation(layer)?;
        Ok(Box::new(Deconvnet))
    }

    fn claims(&self) -> Claims {
        Claims {
            linear: false,
            positive: Positive::Always,
            input_independent: true,
            amplification: Some(1.0),
            ..Claims::default()
        }
    }
}

impl<T: Scalar> PreparedRule<T> for Deconvnet {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        masked(r, vec![positive(r)])
    }
}

/// The layer's operator, if it is an activation.
pub(crate) fn activation<T: Scalar>(layer: &Layer<'_, T>) -> Result<Arc<dyn Operator<T>>, RuleError> {
    if layer.op.kind().group() == Group::Activation {
        Ok(Arc::clone(layer.op))
    } else {
        Err(RuleError::new(format!("the rule is for activations (relu, …), and this is '{}'", layer.op.kind())))
    }
}

/// `relevance`, with what is missing from `r` element by element booked as lost by the rule.
pub(crate) fn masked<T: Scalar>(r: &Tensor<T>, relevance: Vec<Tensor<T>>) -> Propagated<T> {
    let mut result = Propagated::lossless(relevance);
    if let [kept] = result.relevance.as_slice() {
        result.rule = sums(&(r - kept));
    }
    result
}
