//! LRP-αβ: positive and negative contributions on separate accounts.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, Branch, Stabilizer};

use crate::parameter::{ParameterError, bias_parameter, nonnegative, number, write_rule};

/// LRP-αβ (Bach et al. 2015, eq. 60).
///
/// `R_j = Σ_k (α·(x⁺w⁺ + x⁻w⁻)_jk / z⁺_k − β·(x⁺w⁻ + x⁻w⁺)_jk / z⁻_k) R_k` with `α − β = 1`. `b⁺` belongs to `z⁺` and `b⁻` to `z⁻`:
/// a full bias in both would explode where they nearly cancel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlphaBeta {
    alpha: f64,
    beta: f64,
    stabilizer: f64,
    bias: BiasMode,
}

impl AlphaBeta {
    /// The rule with these weights of positive and negative contributions.
    ///
    /// # Errors
    /// When α < 1, β < 0, α − β ≠ 1, or the stabilizer is negative; or when one of them is not finite.
    pub fn new(alpha: f64, beta: f64, stabilizer: f64, bias: BiasMode) -> Result<Self, ParameterError> {
        nonnegative("beta", beta)?;
        nonnegative("stabilizer", stabilizer)?;
        if !alpha.is_finite() || alpha < 1.0 {
            return Err(ParameterError::new("alpha", format!("alpha must be a finite number ≥ 1, got {alpha}")));
        }
        if (alpha - beta - 1.0).abs() > 1e-9 * alpha {
            return Err(ParameterError::new("beta", format!("alpha − beta must be 1, got {alpha} − {beta}")));
        }
        Ok(Self { alpha, beta, stabilizer, bias })
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        let positive = Branch { coefficient: self.alpha, ..Branch::all(1.0, 0.0) };
        let negative = Branch { coefficient: -self.beta, ..Branch::all(0.0, 1.0) };
        Formula::branches([positive, negative], Stabilizer::Absolute(self.stabilizer), self.bias)
    }
}

impl fmt::Display for AlphaBeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [("alpha", self.alpha), ("beta", self.beta), ("stabilizer", self.stabilizer)];
        let parameters = numbers.map(|(name, value)| (name, number(value)));
        write_rule(f, "alpha-beta", parameters.into_iter().chain(bias_parameter(self.bias, BiasMode::Absorb)))
    }
}

crate::is_formula!(AlphaBeta);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::Rule;
    use lrp_core::{Claims, Positive};

    #[test]
    fn parameters_are_checked() {
        let new = |a, b| AlphaBeta::new(a, b, 1e-6, BiasMode::Absorb);
        assert!(new(2.0, 1.0).is_ok() && new(1.0, 0.0).is_ok() && new(1.3, 0.3).is_ok());
        assert_eq!(new(2.0, 2.0).unwrap_err().message, "alpha − beta must be 1, got 2 − 2");
        assert!(new(0.5, -0.5).is_err() && new(f64::NAN, 1.0).is_err() && new(f64::INFINITY, f64::INFINITY).is_err());
    }

    #[test]
    fn claims_follow_from_alpha_and_beta() {
        let claims = |alpha, beta, bias| Rule::<f64>::claims(&AlphaBeta::new(alpha, beta, 1e-6, bias).unwrap());
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
