//! The relevance that is put on the target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `start = …`: the relevance that the walk starts with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// The target's own value.
    #[default]
    Logit,
    /// One.
    One,
}

impl From<Start> for lrp_core::Start {
    fn from(start: Start) -> Self {
        match start {
            Start::Logit => lrp_core::Start::Logit,
            Start::One => lrp_core::Start::One,
        }
    }
}
