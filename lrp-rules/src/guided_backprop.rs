//! Guided backpropagation: relevance at a ReLU in that method.

use std::fmt;

use lrp_core::{Behaviour, Rule, Scalar};

/// Guided backpropagation (Springenberg et al. 2015) for activations: the gradient of positive relevance, `φ′(x)·R⁺`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuidedBackprop;

impl fmt::Display for GuidedBackprop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("guided-backprop")
    }
}

impl<T: Scalar> Rule<T> for GuidedBackprop {
    fn behaviour(&self) -> Behaviour {
        Behaviour::GuidedBackprop
    }
}
