//! Taylor: a softmax by its expansion.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The first-order Taylor expansion of a softmax `s` (Achtibat et al. 2024, Proposition 3.1): `R_i = x_i (R_i − s_i Σ_j R_j)`. The constant term of
/// the expansion is in the account of the rule. It is what a softmax inside a model does without a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "crate::rule::NoParameters")]
#[schemars(
    description = "The Taylor expansion of a softmax, its default.",
    extend("x-source" = "Achtibat et al. 2024, Proposition 3.1")
)]
pub struct Taylor;

bare!("taylor", Taylor);
