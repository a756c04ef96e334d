//! The policies for residual sums.

use lrp_core::behaviour::{Behaviour, Shares};
use lrp_core::formula::{BiasMode, Branch, Formula, Stabilizer};

/// Policy for dividing relevance among the summands of a residual sum. It has no effect at other operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residual {
    /// In proportion to the signed summands: `a / stab(Σ a)`.
    #[default]
    Signed,
    /// By magnitude: `|a| / stab(Σ |a|)`.
    Absolute,
    /// The same to each.
    Equal,
    /// All to the skip connection.
    SkipOnly,
    /// All to the branches, in equal parts.
    BranchOnly,
}

impl Residual {
    /// The name used in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Residual::Signed => "signed",
            Residual::Absolute => "absolute",
            Residual::Equal => "equal",
            Residual::SkipOnly => "skip-only",
            Residual::BranchOnly => "branch-only",
        }
    }

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
