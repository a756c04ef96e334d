//! Layer-wise relevance propagation: tensors, operators, graphs, the recorded forward pass, the relevance walk and
//! its ledger.
//!
//! This crate knows no rule by name (they are in `lrp-rules`), no file format (`lrp-onnx`, `lrp-config`) and no screen
//! (`lrp-cli`). The flow is `Model -> Plan -> explain(batch) -> Explanation`.
//!
//! Method: Bach et al. 2015, "On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
//! propagation", PLoS ONE 10(7); Montavon et al. 2019, "Layer-Wise Relevance Propagation: An Overview".

pub mod behaviour;
mod bounds;
mod carriers;
mod claims;
pub mod engine;
pub mod entrance;
pub mod error;
pub mod file;
pub mod formula;
pub mod graph;
pub mod ledger;
pub mod operator;
pub mod ops;
pub mod parameter;
mod plan;
mod prepared;
pub mod profile;
mod propagated;
pub mod rule;
pub mod target;
#[cfg(test)]
mod testing;
pub mod text;

pub use lrp_kernels::{self as kernels, blocks, memory, quotient, scalar, tensor, weights};

pub use behaviour::Behaviour;
pub use carriers::{carriers, reached};
pub use error::{Error, OperatorError, ParameterError, RuleError};
pub use formula::Formula;
pub use graph::{Builder, Model, NodeId};
pub use ledger::{Accounts, Ledger};
pub use operator::fused;
pub use plan::{Assignment, Explanation, Plan, Record};
pub use rule::{Claims, Positive, PreparedRule, Rule};
pub use scalar::Scalar;
pub use target::{Chosen, Pick, Start, Target};
pub use tensor::Tensor;
pub use weights::Weights;
