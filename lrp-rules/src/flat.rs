//! The flat rule: every connected input receives the same relevance.

use lrp_core::formula::{BiasMode, FixedWeights, STABILIZER};
use lrp_core::parameter::{nonnegative, number};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Flat (Lapuschkin et al. 2019): `R_j = Σ_k 1_jk / Σ_j 1_jk · R_k` over the inputs that output `k` is connected to.
///
/// Padded positions are no inputs; the bias is never part of the denominator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "Flat: evenly over the connected inputs.", extend("x-source" = "Lapuschkin et al. 2019"))]
pub struct Flat {
    /// Added to denominators, with their sign.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    pub stabilizer: f64,
}

impl Flat {
    /// Fails when the stabilizer is negative or not finite.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer)
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::fixed(FixedWeights::Ones, self.stabilizer, BiasMode::Ignore)
    }
}

rule!("flat", Flat { stabilizer: STABILIZER });

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::rule::Needs;

    #[test]
    fn parameters_are_checked() {
        assert!(Flat { stabilizer: 0.0 }.check().is_ok() && Flat { stabilizer: f64::NAN }.check().is_err());
    }

    #[test]
    fn the_input_does_not_matter() {
        let formula = Flat::default().formula();
        assert!(formula.claims().input_independent && formula.needs() == Needs::NOTHING);
    }
}
