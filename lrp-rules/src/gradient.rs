//! The plain gradient, for gradient × input and comparisons. Never chosen silently.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The vector-Jacobian product `Σ_k R_k ∂z_k/∂x_j`, on any operator. It does not conserve: the ledger records the relevance that it creates or
/// loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "crate::rule::NoParameters")]
#[schemars(description = "The plain gradient.", extend("x-source" = "–"))]
pub struct Gradient;

bare!("gradient", Gradient);
