//! The w² rule: relevance in proportion to squared weights, whatever the input.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, Io, apply_to_ones};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::quotient::{Quotient, constant, quotient};

/// w² (Montavon et al. 2017, eq. 12): `R_j = Σ_k w²_jk / Σ_j w²_jk · R_k`, for first layers with real-valued input.
///
/// The bias is ignored by default, as in the paper; otherwise `b²` takes part in the denominator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WSquare {
    stabilizer: f64,
    bias: BiasMode,
}

impl WSquare {
    /// The rule with this stabilizer and treatment of biases.
    ///
    /// # Errors
    /// When the stabilizer is negative or not finite.
    pub fn new(stabilizer: f64, bias: BiasMode) -> Result<Self, ParameterError> {
        Ok(Self { stabilizer: nonnegative("stabilizer", stabilizer)?, bias })
    }
}

impl fmt::Display for WSquare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parameters = vec![("stabilizer", number(self.stabilizer))];
        parameters.extend(self.bias.parameter(BiasMode::Ignore));
        write_rule(f, "w-square", &parameters)
    }
}

impl<T: Scalar> Rule<T> for WSquare {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let op = layer.affine()?;
        Ok(Box::new(Shares::new(op.map_weights(&|w| w * w), self.stabilizer, Bias::new(op.as_ref(), self.bias))))
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

/// Relevance in proportion to fixed positive weights: `R_j = Σ_k v_jk / stab(Σ_j v_jk + b²_k) · R_k`, for w² and flat.
pub(crate) struct Shares<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    /// `Σ_j v_jk` (+ b²), `[1, …]`: the same for every input.
    sums: Tensor<T>,
    /// `b²`, where the bias takes part.
    squared_bias: Option<Tensor<T>>,
    bias: Bias<T>,
    stabilizer: f64,
}

impl<T: Scalar> Shares<T> {
    /// `op` has the weights `v`.
    pub(crate) fn new(op: Arc<dyn Affine<T>>, stabilizer: f64, bias: Bias<T>) -> Self {
        let squared_bias = bias.map(|b| b * b);
        let mut sums = apply_to_ones(op.as_ref());
        if let Some(b) = &squared_bias {
            sums += b;
        }
        Self { op, sums, squared_bias, bias, stabilizer }
    }
}

impl<T: Scalar> PreparedRule<T> for Shares<T> {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let Quotient { s, stabilizer, dead } = quotient(r, &self.sums, constant(self.stabilizer));
        let mut result = Propagated::lossless(self.op.adjoint(&s));
        if let Some(b) = &self.squared_bias {
            result.bias = self.bias.settle(&s, b, None, &mut result.relevance);
        }
        Propagated { stabilizer, rule: dead, ..result }
    }
}
