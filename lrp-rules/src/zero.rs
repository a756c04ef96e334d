//! LRP-0: `R_j = x_j Σ_k w_jk R_k / z_k`.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, Stabilizer};

use crate::parameter::{bias_parameter, write_rule};

/// LRP-0 (Bach et al. 2015, eq. 56): relevance in proportion to the contributions, nothing added to the denominator.
///
/// `R_j = x_j Σ_k w_jk R_k / z_k`. The relevance of an output with `z_k = 0` exactly cannot be divided and is recorded as lost by
/// the rule. Used on every layer of a ReLU network this is gradient × input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Zero {
    bias: BiasMode,
}

impl Zero {
    /// The rule with this treatment of biases.
    pub fn new(bias: BiasMode) -> Self {
        Self { bias }
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::proportional(Stabilizer::Absolute(0.0), self.bias)
    }
}

impl fmt::Display for Zero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rule(f, "zero", bias_parameter(self.bias, BiasMode::Absorb))
    }
}

crate::is_formula!(Zero);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::{Claims, Rule};

    #[test]
    fn it_prints_as_a_recipe_writes_it() {
        assert_eq!(Zero::default().to_string(), "zero");
        assert_eq!(Zero::new(BiasMode::Distribute).to_string(), "zero { bias = \"distribute\" }");
    }

    #[test]
    fn inputs_of_zero_get_nothing_unless_the_bias_gives_them_something() {
        let claims = |bias| Rule::<f64>::claims(&Zero::new(bias));
        let conserving = Claims { conserving: true, ..Claims::default() };
        assert_eq!(claims(BiasMode::Absorb), Claims { vanishing: true, ..conserving });
        assert_eq!(claims(BiasMode::Distribute), conserving);
    }
}
