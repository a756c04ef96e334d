//! The w² rule: relevance in proportion to squared weights, whatever the input.

use lrp_core::formula::{BiasMode, FixedWeights, STABILIZER};
use lrp_core::parameter::{nonnegative, number};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// w² (Montavon et al. 2017, eq. 12): `R_j = Σ_k w²_jk / Σ_j w²_jk · R_k`, for first layers with real-valued input.
///
/// The bias is ignored by default, as in the paper; otherwise `b²` is part of the denominator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "w²: by squared weights, whatever the input.", extend("x-source" = "Montavon et al. 2017, eq. 12"))]
pub struct WSquare {
    /// Added to denominators, with their sign.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    pub stabilizer: f64,
    /// Treatment of the bias's share.
    #[schemars(example = BiasMode::Distribute)]
    pub bias: BiasMode,
}

impl WSquare {
    /// Fails when the stabilizer is negative or not finite.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer)
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::fixed(FixedWeights::Squares, self.stabilizer, self.bias)
    }
}

rule!("w-square", WSquare { stabilizer: STABILIZER, bias: BiasMode::Ignore });

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::rule::Needs;

    #[test]
    fn parameters_are_checked_and_printed() {
        assert!(WSquare { stabilizer: -1.0, ..WSquare::default() }.check().is_err());
        assert_eq!(WSquare::default().to_string(), "w-square { stabilizer = 1e-6 }");
    }

    #[test]
    fn the_input_does_not_matter() {
        let formula = WSquare { bias: BiasMode::Absorb, ..WSquare::default() }.formula();
        assert!(formula.claims().input_independent && formula.needs() == Needs::NOTHING);
    }
}
