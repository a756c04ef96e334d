//! Errors of a graph, a plan or a walk. Every variant names the node and a fix.

use thiserror::Error;

use crate::text::shown;

/// Why an operator cannot be built from these shapes and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct OperatorError(pub String);

impl OperatorError {
    /// An error from anything that can be written down.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<lrp_kernels::window::WindowError> for OperatorError {
    fn from(error: lrp_kernels::window::WindowError) -> Self {
        Self(error.0)
    }
}

/// Why a rule cannot be prepared for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct RuleError(pub String);

impl RuleError {
    /// An error from anything that can be written down.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A parameter of a rule that is out of range, or that contradicts another one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ParameterError {
    /// The parameter's name, as in recipes.
    pub parameter: &'static str,
    /// The error, as a sentence.
    pub message: String,
}

impl ParameterError {
    /// An error of this parameter.
    pub fn new(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { parameter, message: message.into() }
    }
}

/// Errors of models, plans and explanations.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A node's operator and its inputs do not fit together.
    #[error("node '{}': {reason}", shown(node))]
    Node {
        /// The node's name.
        node: String,
        /// The mismatch.
        reason: String,
    },
    /// The graph as a whole is not usable.
    #[error("the model {reason}")]
    Model {
        /// The error.
        reason: String,
    },
    /// An operator without a relevance behaviour of its own was given no rule.
    #[error("no rule for {}: {}; affine operators need one, and those whose relevance behaviour nobody defined, so assign \
        a rule to {}",
        if nodes.len() == 1 { "this layer" } else { "these layers" }, nodes.join(", "),
        if nodes.len() == 1 { "it" } else { "each" })]
    Unassigned {
        /// The nodes without a rule, in topological order.
        nodes: Vec<String>,
    },
    /// A rule cannot be used on the operator it was assigned to.
    #[error("rule '{}' on node '{}': {reason}", shown(rule), shown(node))]
    Rule {
        /// The node's name.
        node: String,
        /// The rule as it was assigned.
        rule: String,
        /// Why they do not go together.
        reason: String,
    },
    /// A parameter of a rule is not allowed.
    #[error("rule '{}' on node '{}': {error}", shown(rule), shown(node))]
    Parameter {
        /// The node's name.
        node: String,
        /// The rule as it was assigned.
        rule: String,
        /// The parameter, and its error.
        #[source]
        error: ParameterError,
    },
    /// The input has the wrong shape.
    #[error("the model expects input of shape [N, {}], got {got:?}",
        expected.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))]
    InputShape {
        /// The sample shape that the model expects.
        expected: Vec<usize>,
        /// The actual shape.
        got: Vec<usize>,
    },
    /// An input or a value of the forward pass is not finite.
    #[error("{place} has a value that is not finite (NaN or infinite) in sample {sample}")]
    NotFinite {
        /// The location of the value.
        place: String,
        /// Index of the sample within the batch.
        sample: usize,
    },
    /// A number that selects a row of a table is not one of its rows.
    #[error("sample {sample} has the id {id} at {position:?}, and the table of the embedding '{}' has the rows 0 to {}", shown(node), rows - 1)]
    NoRow {
        /// The node of the embedding.
        node: String,
        /// Index of the sample within the batch.
        sample: usize,
        /// The position of the number in the sample.
        position: Vec<usize>,
        /// The number.
        id: String,
        /// The number of rows, at least one.
        rows: usize,
    },
    /// Relevance became NaN or infinite on its way: a denominator came too close to zero, or numbers became too large.
    #[error("the relevance that leaves node '{}' is not finite (NaN or infinite) in sample {sample}", shown(node))]
    RelevanceNotFinite {
        /// The name of the node that the walk passed when it happened.
        node: String,
        /// Index of the sample within the batch.
        sample: usize,
    },
    /// The target does not exist.
    #[error("target {target} does not exist: the model has {classes} outputs (0 to {})", classes.saturating_sub(1))]
    Target {
        /// The class that was asked for.
        target: usize,
        /// The number of outputs.
        classes: usize,
    },
    /// The target does not go with the shape of the output.
    #[error("the target {reason}, and the model's output has the shape {shape:?}")]
    TargetShape {
        /// What the target asks for: a part of a sentence.
        reason: String,
        /// The shape of a sample's output.
        shape: Vec<usize>,
    },
}
