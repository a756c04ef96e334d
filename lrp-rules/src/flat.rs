//! The flat rule: every connected input gets the same.

use std::fmt;

use lrp_core::rule::{Layer, PreparedRule};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar};

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::w_square::Shares;

/// Flat (Lapuschkin et al. 2019): `R_j = Σ_k 1_jk / Σ_j 1_jk · R_k` over the inputs that output `k` is connected to.
///
/// Padded positions are no inputs; the bias never takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flat {
    stabilizer: f64,
}

impl Flat {
    /// The rule with this stabilizer.
    ///
    /// # Errors
    /// When the stabilizer is negative or not finite.
    pub fn new(stabilizer: f64) -> Result<Self, ParameterError> {
        Ok(Self { stabilizer: nonnegative("stabilizer", stabilizer)? })
    }
}

impl fmt::Display for Flat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rule(f, "flat", &[("stabilizer", number(self.stabilizer))])
    }
}

impl<T: Scalar> Rule<T> for Flat {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let op = layer.affine()?;
        let bias = Bias::new(op.as_ref(), BiasMode::Ignore);
        Ok(Box::new(Shares::new(op.map_weights(&|_| T::one()), self.stabilizer, bias)))
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
