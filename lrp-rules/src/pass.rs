//! Pass: relevance goes through unchanged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Passes relevance on unchanged, whatever the operator does; its input and output must have the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "crate::rule::NoParameters")]
#[schemars(description = "Relevance unchanged.", extend("x-source" = "–"))]
pub struct Pass;

bare!("pass", Pass);
