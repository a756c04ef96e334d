//! LRP-ε: `R_j = x_j Σ_k w_jk R_k / stab(z_k)`.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, Stabilizer};

use crate::parameter::{ParameterError, bias_parameter, nonnegative, write_rule};

/// The size of ε.
pub use lrp_core::formula::Stabilizer as EpsilonValue;

/// LRP-ε (Bach et al. 2015, eq. 58): a stabilizer absorbs the relevance of weak or contradictory contributions.
///
/// `R_j = x_j Σ_k w_jk R_k / (z_k + ε·s(z_k))`, `s(z) = +1` for `z ≥ 0`, else `−1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epsilon {
    epsilon: EpsilonValue,
    bias: BiasMode,
}

impl Epsilon {
    /// The rule with this ε and treatment of biases.
    ///
    /// # Errors
    /// When ε is negative or not finite.
    pub fn new(epsilon: EpsilonValue, bias: BiasMode) -> Result<Self, ParameterError> {
        let (Stabilizer::Absolute(value) | Stabilizer::Relative(value)) = epsilon;
        nonnegative("epsilon", value)?;
        Ok(Self { epsilon, bias })
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::proportional(self.epsilon, self.bias)
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bias = bias_parameter(self.bias, BiasMode::Absorb);
        write_rule(f, "epsilon", [("epsilon", self.epsilon.to_string())].into_iter().chain(bias))
    }
}

crate::is_formula!(Epsilon);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::rule::Needs;
    use lrp_core::{Claims, Rule};

    #[test]
    fn parameters_are_checked() {
        assert!(Epsilon::new(Stabilizer::Relative(0.25), BiasMode::Ignore).is_ok());
        for wrong in [-1e-9, f64::NAN, f64::INFINITY] {
            assert!(Epsilon::new(Stabilizer::Absolute(wrong), BiasMode::Absorb).is_err());
        }
    }

    #[test]
    fn a_relative_stabilizer_reads_all_outputs() {
        let rule = |epsilon| Epsilon::new(epsilon, BiasMode::Distribute).unwrap();
        let [absolute, relative] = [Stabilizer::Absolute(0.1), Stabilizer::Relative(0.1)].map(rule);
        assert_eq!(Rule::<f64>::claims(&absolute), Claims { conserving: true, ..Claims::default() });
        assert_eq!([absolute, relative].map(|rule| rule.formula().needs()), [Needs::RELEVANT, Needs::BOTH]);
    }
}
