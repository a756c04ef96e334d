//! Layer-wise relevance propagation: tensors, operators, graphs, the recorded forward pass, the relevance walk and
//! its ledger.
//!
//! This crate knows no rule by name (they are in `lrp-rules`), no file format (`lrp-onnx`, `lrp-config`) and no screen
//! (`lrp-cli`). The flow is `Model -> Plan -> explain(batch) -> Explanation`.
//!
//! Method: Bach et al. 2015, "On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
//! propagation", PLoS ONE 10(7); Montavon et al. 2019, "Layer-Wise Relevance Propagation: An Overview".

pub mod behaviour;
pub mod blocks;
mod bounds;
mod elementwise;
pub mod engine;
pub mod entrance;
pub mod error;
pub mod file;
pub mod formula;
pub mod fused;
pub mod graph;
#[cfg(all(debug_assertions, not(test)))]
mod instances;
pub mod kernels;
pub mod ledger;
pub mod memory;
pub mod operator;
pub mod ops;
mod plan;
pub mod profile;
pub mod quotient;
mod record;
pub mod rule;
pub mod scalar;
pub mod target;
pub mod tensor;
#[cfg(test)]
mod testing;
pub mod text;
mod walk;
pub mod weights;

pub use behaviour::Behaviour;
pub use error::{Error, OperatorError, RuleError};
pub use formula::Formula;
pub use graph::{Builder, Model, NodeId};
#[cfg(all(debug_assertions, not(test)))]
pub use instances::instances;
pub use ledger::{Accounts, Ledger};
pub use plan::{Assignment, Plan};
pub use record::Record;
pub use rule::{Claims, Positive, PreparedRule, Rule};
pub use scalar::Scalar;
pub use target::{Start, Target};
pub use tensor::Tensor;
pub use walk::Explanation;
pub use weights::Weights;
