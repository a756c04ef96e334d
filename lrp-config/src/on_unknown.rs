//! The rule of nodes that no entry reaches and that have no relevance behaviour of their own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use lrp_core::{Rule, Scalar};
use lrp_rules::{Gradient, Pass};

/// The explicit way past operators that nobody has given a relevance behaviour, and past weighted layers without a rule.
/// Neither conserves by itself; the ledger shows the relevance that the gradient creates or loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// They get the rule `gradient`.
    Gradient,
    /// They get the rule `pass`, for which input and output must have the same shape.
    Pass,
}

impl OnUnknown {
    /// The rule that such nodes get.
    pub(crate) fn rule<T: Scalar>(self) -> Arc<dyn Rule<T>> {
        match self {
            OnUnknown::Gradient => Arc::new(Gradient),
            OnUnknown::Pass => Arc::new(Pass),
        }
    }
}

impl fmt::Display for OnUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OnUnknown::Gradient => "gradient",
            OnUnknown::Pass => "pass",
        })
    }
}

impl FromStr for OnUnknown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "gradient" => Ok(OnUnknown::Gradient),
            "pass" => Ok(OnUnknown::Pass),
            _ => Err("expected gradient or pass".to_owned()),
        }
    }
}
