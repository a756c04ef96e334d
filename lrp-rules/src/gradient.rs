//! The plain gradient, for gradient × input and comparisons. Never chosen silently.

use std::fmt;

use lrp_core::{Behaviour, Rule, Scalar};

/// The vector-Jacobian product `Σ_k R_k ∂z_k/∂x_j`, on any operator. It does not conserve: the ledger records the relevance that it creates or
/// loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gradient;

impl fmt::Display for Gradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("gradient")
    }
}

impl<T: Scalar> Rule<T> for Gradient {
    fn behaviour(&self) -> Behaviour {
        Behaviour::Gradient
    }
}
