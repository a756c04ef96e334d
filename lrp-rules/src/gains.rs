//! Any signed rule: branches with a gain for positive contributions and one for negative ones.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, Branch, Stabilizer};

use crate::parameter::{ParameterError, bias_parameter, nonnegative, write_rule};

/// `R_j = Σ_b coefficient_b · Σ_k (g₊c⁺ + g₋c⁻)_jk / stab(g₊P + g₋N)_k · R_k` over the branches `b` to which output `k` belongs, for contributions
/// `c_jk = x_j w_jk`, the sum `P_k` of the positive ones and the sum `N_k` of the negative ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Gains {
    branches: Vec<Branch>,
    stabilizer: Stabilizer,
    bias: BiasMode,
}

impl Gains {
    /// The rule with these branches.
    ///
    /// # Errors
    /// When no branch has a coefficient that is not 0, or one has no gain that is not 0; when a number is not finite, or the stabilizer is negative.
    pub fn new(branches: Vec<Branch>, stabilizer: Stabilizer, bias: BiasMode) -> Result<Self, ParameterError> {
        let (Stabilizer::Absolute(value) | Stabilizer::Relative(value)) = stabilizer;
        nonnegative("stabilizer", value)?;
        let error = |message: &str| Err(ParameterError::new("branches", message.to_owned()));
        if !branches.iter().flat_map(|b| [b.coefficient, b.positive, b.negative]).all(f64::is_finite) {
            return error("gains and coefficients must be finite numbers");
        }
        if branches.iter().any(|branch| branch.positive == 0.0 && branch.negative == 0.0) {
            return error("a branch needs a gain that is not 0, positive or negative");
        }
        if branches.iter().all(|branch| branch.coefficient == 0.0) {
            return error("there must be a branch with a coefficient that is not 0");
        }
        Ok(Self { branches, stabilizer, bias })
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::branches(self.branches.clone(), self.stabilizer, self.bias)
    }
}

impl fmt::Display for Gains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branches = self.branches.iter().map(Branch::to_string).collect::<Vec<_>>().join(", ");
        let parameters = [("branches", format!("[{branches}]")), ("stabilizer", self.stabilizer.to_string())];
        write_rule(f, "gains", parameters.into_iter().chain(bias_parameter(self.bias, BiasMode::Absorb)))
    }
}

crate::is_formula!(Gains);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::formula::Side;

    #[test]
    fn parameters_are_checked() {
        let new = |branches| Gains::new(branches, Stabilizer::Absolute(0.0), BiasMode::Absorb);
        let nothing = Branch { coefficient: 0.0, ..Branch::all(1.0, 1.0) };
        assert!(new(vec![Branch::all(1.0, -1.0), nothing]).is_ok());
        for wrong in [vec![], vec![nothing], vec![Branch::all(0.0, 0.0)], vec![Branch::all(f64::INFINITY, 1.0)]] {
            assert_eq!(new(wrong).unwrap_err().parameter, "branches");
        }
        let stabilizer = Stabilizer::Relative(-1.0);
        let error = Gains::new(vec![Branch::all(1.0, 0.0)], stabilizer, BiasMode::Absorb).unwrap_err();
        assert_eq!(error.parameter, "stabilizer");
    }

    #[test]
    fn it_prints_as_a_recipe_writes_it() {
        let print = |branches, stabilizer, bias| Gains::new(branches, stabilizer, bias).unwrap().to_string();
        assert_eq!(
            print(vec![Branch::all(1.0, -1.0)], Stabilizer::Absolute(1e-6), BiasMode::Absorb),
            "gains { branches = [{ positive = 1.0, negative = -1.0 }], stabilizer = 1e-6 }"
        );
        let below = Branch { outputs: Side::Negative, coefficient: 0.5, ..Branch::all(1.0, 1.25) };
        let branches = "[{ outputs = \"negative\", coefficient = 0.5, positive = 1.0, negative = 1.25 }]";
        assert_eq!(
            print(vec![below], Stabilizer::Relative(0.25), BiasMode::Ignore),
            format!("gains {{ branches = {branches}, stabilizer = {{ relative = 0.25 }}, bias = \"ignore\" }}")
        );
    }
}
