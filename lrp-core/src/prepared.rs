//! A layer, and a rule that is prepared for it.

use std::sync::Arc;

use crate::error::RuleError;
use crate::operator::{Affine, Io, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// The layer that a rule is prepared for.
#[derive(Debug)]
pub struct Layer<'a, T: Scalar> {
    /// The node's name.
    pub name: &'a str,
    /// Its operator.
    pub op: &'a Arc<dyn Operator<T>>,
    /// Whether the graph guarantees that no input is negative (it comes from a ReLU, say).
    pub nonnegative_inputs: bool,
    /// Whether outputs below zero have no relevance: a ReLU comes next, and the layers after it propagate none to its zeros.
    pub nonnegative_outputs: bool,
    /// For a sum: which input is the skip connection, where the graph tells.
    pub skip_input: Option<usize>,
}

impl<T: Scalar> Layer<'_, T> {
    /// The operator as an affine one.
    ///
    /// # Errors
    /// When it is not affine, naming its kind.
    pub fn affine(&self) -> Result<Arc<dyn Affine<T>>, RuleError> {
        Arc::clone(self.op).into_affine().ok_or_else(|| {
            RuleError::new(format!(
                "the rule is for affine operators (dense, conv, avg-pool, add, …), and this is '{}'",
                self.op.kind()
            ))
        })
    }
}

/// A rule prepared for one operator, ready to propagate any number of batches from any thread.
pub trait PreparedRule<T: Scalar>: Send + Sync {
    /// The recorded activations that [`propagate`](PreparedRule::propagate) reads.
    fn needs(&self) -> Needs;

    /// Redistributes the relevance `r` at the output (`[N, …]`) over the inputs and records the accounts of the rest.
    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T>;
}
