//! LRP-αβ: positive and negative contributions on separate accounts.

use lrp_core::formula::{BiasMode, Branch, STABILIZER, Stabilizer};
use lrp_core::parameter::{nonnegative, number};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// LRP-αβ (Bach et al. 2015, eq. 60).
///
/// `R_j = Σ_k (α·(x⁺w⁺ + x⁻w⁻)_jk / z⁺_k − β·(x⁺w⁻ + x⁻w⁺)_jk / z⁻_k) R_k` with `α − β = 1`. `b⁺` belongs to `z⁺` and `b⁻` to `z⁻`:
/// a full bias in both would explode where they nearly cancel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "LRP-αβ: positive and negative contributions apart.", extend("x-source" = "Bach et al. 2015, eq. 60"))]
pub struct AlphaBeta {
    /// Weight of the positive contributions, from 1; always `beta` + 1.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 1), example = 1)]
    pub alpha: f64,
    /// Weight of the negative contributions, from 0; always `alpha` − 1.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 0)]
    pub beta: f64,
    /// Added to denominators, with their sign.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    pub stabilizer: f64,
    /// Treatment of the bias's share.
    #[schemars(example = BiasMode::Distribute)]
    pub bias: BiasMode,
}

impl AlphaBeta {
    /// Fails when α < 1, β < 0, α − β ≠ 1, or the stabilizer is negative; or when one of them is not finite.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        let Self { alpha, beta, .. } = *self;
        nonnegative("beta", beta)?;
        nonnegative("stabilizer", self.stabilizer)?;
        if !alpha.is_finite() || alpha < 1.0 {
            return Err(ParameterError::new("alpha", format!("alpha must be a finite number ≥ 1, got {alpha}")));
        }
        if (alpha - beta - 1.0).abs() > 1e-9 * alpha {
            return Err(ParameterError::new("beta", format!("alpha − beta must be 1, got {alpha} − {beta}")));
        }
        Ok(())
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        let positive = Branch { coefficient: self.alpha, ..Branch::all(1.0, 0.0) };
        let negative = Branch { coefficient: -self.beta, ..Branch::all(0.0, 1.0) };
        Formula::branches([positive, negative], Stabilizer::Absolute(self.stabilizer), self.bias)
    }
}

rule!("alpha-beta", AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer: STABILIZER, bias: BiasMode::Absorb });

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::Rule;
    use lrp_core::{Claims, Positive};

    #[test]
    fn parameters_are_checked() {
        let new = |alpha, beta| AlphaBeta { alpha, beta, ..AlphaBeta::default() }.check();
        assert!(new(2.0, 1.0).is_ok() && new(1.0, 0.0).is_ok() && new(1.3, 0.3).is_ok());
        assert_eq!(new(2.0, 2.0).unwrap_err().message, "alpha − beta must be 1, got 2 − 2");
        assert!(new(0.5, -0.5).is_err() && new(f64::NAN, 1.0).is_err() && new(f64::INFINITY, f64::INFINITY).is_err());
    }

    #[test]
    fn claims_follow_from_alpha_and_beta() {
        let claims = |alpha, beta, bias| Rule::<f64>::claims(&AlphaBeta { alpha, beta, bias, ..AlphaBeta::default() });
        let expected = |alpha, beta, positive, vanishing| Claims {
            conserving: true,
            beta,
            positive,
            amplification: Some(alpha + beta),
            vanishing,
            ..Claims::default()
        };
        assert_eq!(claims(1.3, 0.3, BiasMode::Ignore), expected(1.3, 0.3, Positive::Never, true));
        assert_eq!(claims(1.0, 0.0, BiasMode::Distribute), expected(1.0, 0.0, Positive::Always, false));
    }
}
