//! LRP-γ: positive contributions favoured by a factor 1 + γ.

use lrp_core::formula::{BiasMode, Branch, STABILIZER, Side, Stabilizer};
use lrp_core::parameter::{nonnegative, number};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// LRP-γ (Montavon et al. 2019), generalized to inputs and outputs of either sign (Andéol et al. 2021).
///
/// Where `z ≥ 0`, contributions are `x⁺(w + γw⁺) + x⁻(w + γw⁻)` and the bias `b + γb⁺`; where `z < 0`, they are
/// `x⁺(w + γw⁻) + x⁻(w + γw⁺)` and `b + γb⁻`. Each input gets its contribution over the stabilized sum. For `x ≥ 0` and `z ≥ 0` this is the
/// paper's `x(w + γw⁺) / Σ x(w + γw⁺)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "LRP-γ: favours positive contributions.")]
#[schemars(extend("x-source" = "Montavon et al. 2019, Table 10.1; generalized by Andéol et al. 2021"))]
pub struct Gamma {
    /// Weight γ of the preference for positive contributions, from 0.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 0.5)]
    pub gamma: f64,
    /// Added to denominators, with their sign.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    pub stabilizer: f64,
    /// Treatment of the bias's share.
    #[schemars(example = BiasMode::Distribute)]
    pub bias: BiasMode,
}

impl Gamma {
    /// Fails when γ or the stabilizer is negative or not finite.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        nonnegative("gamma", self.gamma)?;
        nonnegative("stabilizer", self.stabilizer)
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        let favoured = 1.0 + self.gamma;
        let above = Branch { outputs: Side::Nonnegative, ..Branch::all(favoured, 1.0) };
        let below = Branch { outputs: Side::Negative, ..Branch::all(1.0, favoured) };
        Formula::branches([above, below], Stabilizer::Absolute(self.stabilizer), self.bias)
    }
}

rule!("gamma", Gamma { gamma: 0.25, stabilizer: STABILIZER, bias: BiasMode::Absorb });

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::{Claims, Rule};

    #[test]
    fn parameters_are_checked() {
        let check = |gamma, stabilizer| Gamma { gamma, stabilizer, ..Gamma::default() }.check();
        assert!(check(0.0, 0.0).is_ok());
        assert!(check(-0.1, 0.0).is_err() && check(f64::NAN, 0.0).is_err());
        assert_eq!(check(0.25, -1.0).unwrap_err().parameter, "stabilizer");
    }

    #[test]
    fn claims_are_bounded_by_gamma() {
        for bias in [BiasMode::Absorb, BiasMode::Ignore, BiasMode::Distribute] {
            let claims = |gamma| Rule::<f64>::claims(&Gamma { gamma, bias, ..Gamma::default() });
            let vanishing = bias != BiasMode::Distribute;
            let expected = Claims { conserving: true, vanishing, ..Claims::default() };
            assert_eq!(claims(0.0), expected);
            let amplification = (bias != BiasMode::Ignore).then_some(1.0 + 2.0 / 0.5);
            assert_eq!(claims(0.5), Claims { amplification, ..expected });
        }
    }
}
