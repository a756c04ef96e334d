//! DeconvNet: relevance at a ReLU in that method.

use std::fmt;

use lrp_core::{Behaviour, Rule, Scalar};

/// DeconvNet (Zeiler and Fergus 2014) for activations: positive relevance `R⁺`, whatever the input was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deconvnet;

impl fmt::Display for Deconvnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("deconvnet")
    }
}

impl<T: Scalar> Rule<T> for Deconvnet {
    fn behaviour(&self) -> Behaviour {
        Behaviour::Deconvnet
    }
}
