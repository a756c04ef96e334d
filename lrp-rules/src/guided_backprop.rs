//! Guided backpropagation: relevance at a ReLU in that method.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Guided backpropagation (Springenberg et al. 2015) for activations: the gradient of positive relevance, `φ′(x)·R⁺`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "crate::rule::NoParameters")]
#[schemars(description = "At activations: the gradient where input and gradient are positive.", extend("x-source" = "Springenberg et al. 2015"))]
pub struct GuidedBackprop;

bare!("guided-backprop", GuidedBackprop);
