//! The w² rule: relevance in proportion to squared weights, whatever the input.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, FixedWeights};

use crate::parameter::{ParameterError, bias_parameter, nonnegative, number, write_rule};

/// w² (Montavon et al. 2017, eq. 12): `R_j = Σ_k w²_jk / Σ_j w²_jk · R_k`, for first layers with real-valued input.
///
/// The bias is ignored by default, as in the paper; otherwise `b²` is part of the denominator.
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

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::fixed(FixedWeights::Squares, self.stabilizer, self.bias)
    }
}

impl fmt::Display for WSquare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stabilizer = [("stabilizer", number(self.stabilizer))];
        write_rule(f, "w-square", stabilizer.into_iter().chain(bias_parameter(self.bias, BiasMode::Ignore)))
    }
}

crate::is_formula!(WSquare);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::rule::Needs;

    #[test]
    fn parameters_are_checked_and_printed() {
        assert!(WSquare::new(-1.0, BiasMode::Ignore).is_err());
        assert_eq!(WSquare::new(1e-6, BiasMode::Ignore).unwrap().to_string(), "w-square { stabilizer = 1e-6 }");
    }

    #[test]
    fn the_input_does_not_matter() {
        let formula = WSquare::new(1e-6, BiasMode::Absorb).unwrap().formula();
        assert!(formula.claims().input_independent && formula.needs() == Needs::NOTHING);
    }
}
