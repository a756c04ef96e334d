//! LRP-γ: positive contributions favoured by a factor 1 + γ.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, Branch, Side, Stabilizer};

use crate::parameter::{ParameterError, bias_parameter, nonnegative, number, write_rule};

/// LRP-γ (Montavon et al. 2019), generalized to inputs and outputs of either sign (Andéol et al. 2021).
///
/// Where `z ≥ 0`, contributions are `x⁺(w + γw⁺) + x⁻(w + γw⁻)` and the bias `b + γb⁺`; where `z < 0`, they are
/// `x⁺(w + γw⁻) + x⁻(w + γw⁺)` and `b + γb⁻`. Each input gets its contribution over the stabilized sum. For `x ≥ 0` and `z ≥ 0` this is the
/// paper's `x(w + γw⁺) / Σ x(w + γw⁺)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gamma {
    gamma: f64,
    stabilizer: f64,
    bias: BiasMode,
}

impl Gamma {
    /// The rule with this γ.
    ///
    /// # Errors
    /// When γ or the stabilizer is negative or not finite.
    pub fn new(gamma: f64, stabilizer: f64, bias: BiasMode) -> Result<Self, ParameterError> {
        nonnegative("gamma", gamma)?;
        nonnegative("stabilizer", stabilizer)?;
        Ok(Self { gamma, stabilizer, bias })
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        let favoured = 1.0 + self.gamma;
        let above = Branch { outputs: Side::Nonnegative, ..Branch::all(favoured, 1.0) };
        let below = Branch { outputs: Side::Negative, ..Branch::all(1.0, favoured) };
        Formula::branches([above, below], Stabilizer::Absolute(self.stabilizer), self.bias)
    }
}

impl fmt::Display for Gamma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = [("gamma", number(self.gamma)), ("stabilizer", number(self.stabilizer))];
        write_rule(f, "gamma", parameters.into_iter().chain(bias_parameter(self.bias, BiasMode::Absorb)))
    }
}

crate::is_formula!(Gamma);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::{Claims, Rule};

    #[test]
    fn parameters_are_checked() {
        assert!(Gamma::new(0.0, 0.0, BiasMode::Absorb).is_ok());
        assert!(
            Gamma::new(-0.1, 0.0, BiasMode::Absorb).is_err() && Gamma::new(f64::NAN, 0.0, BiasMode::Absorb).is_err()
        );
        assert_eq!(Gamma::new(0.25, -1.0, BiasMode::Absorb).unwrap_err().parameter, "stabilizer");
    }

    #[test]
    fn claims_are_bounded_by_gamma() {
        for bias in [BiasMode::Absorb, BiasMode::Ignore, BiasMode::Distribute] {
            let claims = |gamma| Rule::<f64>::claims(&Gamma::new(gamma, 1e-6, bias).unwrap());
            let vanishing = bias != BiasMode::Distribute;
            let expected = Claims { conserving: true, vanishing, ..Claims::default() };
            assert_eq!(claims(0.0), expected);
            let amplification = (bias != BiasMode::Ignore).then_some(1.0 + 2.0 / 0.5);
            assert_eq!(claims(0.5), Claims { amplification, ..expected });
        }
    }
}
