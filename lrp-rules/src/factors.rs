//! Factors: the division between the inputs of a product.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The division of relevance between the factors of a product: to the signal (Arras et al. 2017), or half to each (Achtibat et al. 2024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Factors {
    /// All of it to the signal, nothing to the gate that the importer found.
    #[default]
    Gate,
    /// Half to each.
    Uniform,
}
