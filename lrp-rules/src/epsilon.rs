//! LRP-ε: `R_j = x_j Σ_k w_jk R_k / stab(z_k)`.

use lrp_core::formula::{BiasMode, STABILIZER, Stabilizer};
use lrp_core::parameter::nonnegative;
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The size of ε.
pub use lrp_core::formula::Stabilizer as EpsilonValue;

/// LRP-ε (Bach et al. 2015, eq. 58): a stabilizer absorbs the relevance of weak or contradictory contributions.
///
/// `R_j = x_j Σ_k w_jk R_k / (z_k + ε·s(z_k))`, `s(z) = +1` for `z ≥ 0`, else `−1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "LRP-ε: absorbs weak and contradictory contributions.", extend("x-source" = "Bach et al. 2015, eq. 58"))]
pub struct Epsilon {
    /// The size of ε, or with `relative` its ratio to the root mean square of the layer's output.
    #[schemars(example = 0.1, example = Stabilizer::Relative(0.25))]
    pub epsilon: EpsilonValue,
    /// Treatment of the bias's share.
    #[schemars(example = BiasMode::Distribute)]
    pub bias: BiasMode,
}

impl Epsilon {
    /// Fails when ε is negative or not finite.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        nonnegative("epsilon", self.epsilon.size())
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::proportional(self.epsilon, self.bias)
    }
}

rule!("epsilon", Epsilon { epsilon: Stabilizer::Absolute(STABILIZER), bias: BiasMode::Absorb });

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::rule::Needs;
    use lrp_core::{Claims, Rule};

    #[test]
    fn parameters_are_checked() {
        assert!(Epsilon { epsilon: Stabilizer::Relative(0.25), bias: BiasMode::Ignore }.check().is_ok());
        for wrong in [-1e-9, f64::NAN, f64::INFINITY] {
            assert!(Epsilon { epsilon: wrong.into(), ..Epsilon::default() }.check().is_err());
        }
    }

    #[test]
    fn a_relative_stabilizer_reads_all_outputs() {
        let rule = |epsilon| Epsilon { epsilon, bias: BiasMode::Distribute };
        let [absolute, relative] = [Stabilizer::Absolute(0.1), Stabilizer::Relative(0.1)].map(rule);
        assert_eq!(Rule::<f64>::claims(&absolute), Claims { conserving: true, ..Claims::default() });
        assert_eq!([absolute, relative].map(|rule| rule.formula().needs()), [Needs::RELEVANT, Needs::BOTH]);
    }
}
