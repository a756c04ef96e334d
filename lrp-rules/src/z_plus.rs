//! The z⁺ rule: positive contributions only.

use lrp_core::formula::{BiasMode, Branch, STABILIZER, Stabilizer};
use lrp_core::parameter::{nonnegative, number};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// z⁺ (Montavon et al. 2017, eq. 15): [`AlphaBeta`](crate::AlphaBeta) with α = 1 and β = 0.
///
/// `R_j = Σ_k (x⁺w⁺ + x⁻w⁻)_jk / z⁺_k · R_k`; never negative if the relevance received is not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "z⁺: positive contributions only, which is alpha-beta with α = 1, β = 0.")]
#[schemars(extend("x-source" = "Montavon et al. 2017, eq. 15"))]
pub struct ZPlus {
    /// Added to denominators, with their sign.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    pub stabilizer: f64,
    /// Treatment of the bias's share.
    #[schemars(example = BiasMode::Distribute)]
    pub bias: BiasMode,
}

impl ZPlus {
    /// Fails when the stabilizer is negative or not finite.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer)
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::branches([Branch::all(1.0, 0.0)], Stabilizer::Absolute(self.stabilizer), self.bias)
    }
}

rule!("z-plus", ZPlus { stabilizer: STABILIZER, bias: BiasMode::Absorb });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlphaBeta;

    #[test]
    fn parameters_are_checked() {
        let check = |stabilizer| ZPlus { stabilizer, ..ZPlus::default() }.check();
        assert!(check(0.0).is_ok() && check(-1.0).is_err());
    }

    #[test]
    fn it_claims_what_alpha_beta_claims_with_alpha_1() {
        for bias in [BiasMode::Absorb, BiasMode::Ignore, BiasMode::Distribute] {
            let alpha_beta = AlphaBeta { alpha: 1.0, beta: 0.0, bias, ..AlphaBeta::default() };
            assert_eq!(ZPlus { bias, ..ZPlus::default() }.formula().claims(), alpha_beta.formula().claims());
        }
    }
}
