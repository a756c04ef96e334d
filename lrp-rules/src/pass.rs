//! Pass: relevance goes through unchanged.

use std::fmt;

use lrp_core::operator::Io;
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

/// Hands relevance on unchanged, whatever the operator does; its input and output must have the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass;

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("pass")
    }
}

impl<T: Scalar> Rule<T> for Pass {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        match layer.op.input_shapes() {
            [input] if input == layer.op.output_shape() => Ok(Box::new(Pass)),
            [input] => Err(RuleError::new(format!(
                "input {input:?} and output {:?} must have the same shape",
                layer.op.output_shape()
            ))),
            inputs => Err(RuleError::new(format!("it takes one input, this operator has {}", inputs.len()))),
        }
    }

    fn claims(&self) -> Claims {
        Claims {
            conserving: true,
            positive: Positive::Always,
            input_independent: true,
            amplification: Some(1.0),
            ..Claims::default()
        }
    }
}

impl<T: Scalar> PreparedRule<T> for Pass {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated::lossless(vec![r.clone()])
    }
}
