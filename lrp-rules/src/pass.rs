//! Pass: relevance goes through unchanged.

use std::fmt;

use lrp_core::{Behaviour, Rule, Scalar};

/// Passes relevance on unchanged, whatever the operator does; its input and output must have the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass;

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("pass")
    }
}

impl<T: Scalar> Rule<T> for Pass {
    fn behaviour(&self) -> Behaviour {
        Behaviour::Pass
    }
}
