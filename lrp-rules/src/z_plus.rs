//! The z⁺ rule: positive contributions only.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, Branch, Stabilizer};

use crate::parameter::{ParameterError, bias_parameter, nonnegative, number, write_rule};

/// z⁺ (Montavon et al. 2017, eq. 15): [`AlphaBeta`](crate::AlphaBeta) with α = 1 and β = 0.
///
/// `R_j = Σ_k (x⁺w⁺ + x⁻w⁻)_jk / z⁺_k · R_k`; never negative if the relevance received is not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZPlus {
    stabilizer: f64,
    bias: BiasMode,
}

impl ZPlus {
    /// The rule with this stabilizer and treatment of biases.
    ///
    /// # Errors
    /// When the stabilizer is negative or not finite.
    pub fn new(stabilizer: f64, bias: BiasMode) -> Result<Self, ParameterError> {
        Ok(Self { stabilizer: nonnegative("stabilizer", stabilizer)?, bias })
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::branches([Branch::all(1.0, 0.0)], Stabilizer::Absolute(self.stabilizer), self.bias)
    }
}

impl fmt::Display for ZPlus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stabilizer = [("stabilizer", number(self.stabilizer))];
        write_rule(f, "z-plus", stabilizer.into_iter().chain(bias_parameter(self.bias, BiasMode::Absorb)))
    }
}

crate::is_formula!(ZPlus);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlphaBeta;

    #[test]
    fn parameters_are_checked() {
        assert!(ZPlus::new(0.0, BiasMode::Absorb).is_ok() && ZPlus::new(-1.0, BiasMode::Absorb).is_err());
    }

    #[test]
    fn it_claims_what_alpha_beta_claims_with_alpha_1() {
        for bias in [BiasMode::Absorb, BiasMode::Ignore, BiasMode::Distribute] {
            let alpha_beta = AlphaBeta::new(1.0, 0.0, 1e-6, bias).unwrap();
            assert_eq!(ZPlus::new(1e-6, bias).unwrap().formula().claims(), alpha_beta.formula().claims());
        }
    }
}
