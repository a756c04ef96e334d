//! The z⁺ rule: positive contributions only.

use std::fmt;

use lrp_core::rule::{Layer, PreparedRule};
use lrp_core::{Claims, Rule, RuleError, Scalar};

use crate::alpha_beta::AlphaBeta;
use crate::bias::BiasMode;
use crate::parameter::{ParameterError, number, write_rule};

/// z⁺ (Montavon et al. 2017, eq. 15): [`AlphaBeta`] with α = 1 and β = 0.
///
/// `R_j = Σ_k (x⁺w⁺ + x⁻w⁻)_jk / z⁺_k · R_k`; never negative where the relevance that arrives is not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZPlus {
    rule: AlphaBeta,
    stabilizer: f64,
    bias: BiasMode,
}

impl ZPlus {
    /// The rule with this stabilizer and treatment of biases.
    ///
    /// # Errors
    /// When the stabilizer is negative or not finite.
    pub fn new(stabilizer: f64, bias: BiasMode) -> Result<Self, ParameterError> {
        Ok(Self { rule: AlphaBeta::new(1.0, 0.0, stabilizer, bias)?, stabilizer, bias })
    }
}

impl fmt::Display for ZPlus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parameters = vec![("stabilizer", number(self.stabilizer))];
        parameters.extend(self.bias.parameter(BiasMode::Absorb));
        write_rule(f, "z-plus", &parameters)
    }
}

impl<T: Scalar> Rule<T> for ZPlus {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        self.rule.prepare(layer)
    }

    fn claims(&self) -> Claims {
        Rule::<T>::claims(&self.rule)
    }
}
