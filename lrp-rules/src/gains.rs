//! Any signed rule: branches with a gain for positive contributions and one for negative ones.

use lrp_core::formula::{BiasMode, Branch, STABILIZER, Stabilizer};
use lrp_core::parameter::{fields, nonnegative};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// `R_j = Σ_b coefficient_b · Σ_k (g₊c⁺ + g₋c⁻)_jk / stab(g₊P + g₋N)_k · R_k` over the branches `b` to which output `k` belongs, for contributions
/// `c_jk = x_j w_jk`, the sum `P_k` of the positive ones and the sum `N_k` of the negative ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Any signed rule, as branches with gains of positive and negative contributions.")]
#[schemars(extend("x-source" = "–"))]
pub struct Gains {
    /// The sums that relevance is divided over: contributions with their gains, over the sum of the same.
    #[schemars(title = "list of branches", example = json!([{ "positive": 1.0, "negative": -1.0 }]))]
    pub branches: Vec<Branch>,
    /// Added to denominators, with their sign, or with `relative` its ratio to the root mean square of the layer's output.
    #[serde(default)]
    #[schemars(example = 1e-9)]
    pub stabilizer: Stabilizer,
    /// Treatment of the bias's share.
    #[serde(default)]
    #[schemars(example = BiasMode::Distribute)]
    pub bias: BiasMode,
}

impl Gains {
    /// Fails when no branch has a coefficient that is not 0, or one has no gain that is not 0; when a number is not finite, or the stabilizer is negative.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer.size())?;
        let error = |message| Err(ParameterError::new("branches", message));
        if !self.branches.iter().flat_map(|b| [b.coefficient, b.positive, b.negative]).all(f64::is_finite) {
            return error("gains and coefficients must be finite numbers");
        }
        if self.branches.iter().any(|branch| branch.positive == 0.0 && branch.negative == 0.0) {
            return error("a branch needs a gain that is not 0, positive or negative");
        }
        if self.branches.iter().all(|branch| branch.coefficient == 0.0) {
            return error("there must be a branch with a coefficient that is not 0");
        }
        Ok(())
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::branches(self.branches.clone(), self.stabilizer, self.bias)
    }
}

/// Branches without their defaults.
fn parameters(gains: &Gains) -> Vec<(String, String)> {
    let branches = gains.branches.iter().map(Branch::to_string).collect::<Vec<_>>().join(", ");
    let other = fields(gains).into_iter().filter(|(name, _)| name != "branches");
    std::iter::once(("branches".to_owned(), format!("[{branches}]"))).chain(other).collect()
}

rule!(
    "gains",
    Gains { branches: Vec::new(), stabilizer: Stabilizer::Absolute(STABILIZER), bias: BiasMode::Absorb },
    parameters
);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::formula::Side;

    #[test]
    fn parameters_are_checked() {
        let new = |branches| Gains { branches, ..Gains::default() }.check();
        let nothing = Branch { coefficient: 0.0, ..Branch::all(1.0, 1.0) };
        assert!(new(vec![Branch::all(1.0, -1.0), nothing]).is_ok());
        for wrong in [vec![], vec![nothing], vec![Branch::all(0.0, 0.0)], vec![Branch::all(f64::INFINITY, 1.0)]] {
            assert_eq!(new(wrong).unwrap_err().parameter, "branches");
        }
        let stabilizer = Stabilizer::Relative(-1.0);
        let error =
            Gains { branches: vec![Branch::all(1.0, 0.0)], stabilizer, bias: BiasMode::Absorb }.check().unwrap_err();
        assert_eq!(error.parameter, "stabilizer");
    }

    #[test]
    fn it_prints_as_a_recipe_writes_it() {
        let print = |branches, stabilizer, bias| Gains { branches, stabilizer, bias }.to_string();
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
