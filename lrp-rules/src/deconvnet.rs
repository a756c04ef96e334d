//! DeconvNet: relevance at a ReLU in that method.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DeconvNet (Zeiler and Fergus 2014) for activations: positive relevance `R⁺`, whatever the input was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "crate::rule::NoParameters")]
#[schemars(description = "At activations: the gradient where it is positive.", extend("x-source" = "Zeiler and Fergus 2014"))]
pub struct Deconvnet;

bare!("deconvnet", Deconvnet);
