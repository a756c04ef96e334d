//! LRP-0: `R_j = x_j Σ_k w_jk R_k / z_k`.

use lrp_core::formula::{BiasMode, Stabilizer};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// LRP-0 (Bach et al. 2015, eq. 56): relevance in proportion to the contributions, nothing added to the denominator.
///
/// `R_j = x_j Σ_k w_jk R_k / z_k`. The relevance of an output with `z_k = 0` exactly cannot be divided and is recorded as lost by
/// the rule. Used on every layer of a ReLU network this is gradient × input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "LRP-0: relevance in proportion to the contributions.", extend("x-source" = "Bach et al. 2015, eq. 56"))]
pub struct Zero {
    /// Treatment of the bias's share.
    #[schemars(example = BiasMode::Distribute)]
    pub bias: BiasMode,
}

impl Zero {
    /// All values are allowed.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::proportional(Stabilizer::Absolute(0.0), self.bias)
    }
}

rule!("zero", Zero { bias: BiasMode::Absorb });

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::{Claims, Rule};

    #[test]
    fn it_prints_as_a_recipe_writes_it() {
        assert_eq!(Zero::default().to_string(), "zero");
        assert_eq!(Zero { bias: BiasMode::Distribute }.to_string(), "zero { bias = \"distribute\" }");
    }

    #[test]
    fn inputs_of_zero_get_nothing_unless_the_bias_gives_them_something() {
        let claims = |bias| Rule::<f64>::claims(&Zero { bias });
        let conserving = Claims { conserving: true, ..Claims::default() };
        assert_eq!(claims(BiasMode::Absorb), Claims { vanishing: true, ..conserving });
        assert_eq!(claims(BiasMode::Distribute), conserving);
    }
}
