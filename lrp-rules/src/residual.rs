//! The policies for residual sums.

use lrp_core::behaviour::{Behaviour, Shares};
use lrp_core::formula::{BiasMode, Branch, Formula, Stabilizer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Policy for dividing relevance among the summands of a residual sum. It has no effect at other operators.
///
/// A summand `a` gets `a / stab(Σ a)` (signed), `|a| / stab(Σ |a|)` (absolute), or a fixed share; several branches get equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Residual {
    /// In proportion to the summands.
    #[default]
    Signed,
    /// In proportion to their absolute values.
    Absolute,
    /// The same to each.
    Equal,
    /// All of it to the skip connection.
    SkipOnly,
    /// All of it to the branch.
    BranchOnly,
}

impl Residual {
    /// The behaviour at a residual sum.
    pub(crate) fn behaviour(self, stabilizer: f64) -> Behaviour {
        let formula = |branch| Formula::branches([branch], Stabilizer::Absolute(stabilizer), BiasMode::Absorb);
        match self {
            Residual::Signed => Behaviour::Formula(formula(Branch::all(1.0, 1.0))),
            Residual::Absolute => Behaviour::Formula(formula(Branch::all(1.0, -1.0))),
            Residual::Equal => Behaviour::Shares(Shares::Equal),
            Residual::SkipOnly => Behaviour::Shares(Shares::SkipOnly),
            Residual::BranchOnly => Behaviour::Shares(Shares::BranchOnly),
        }
    }
}
