//! The activations that a rule reads at a layer, and its result: the relevance of every input, and the accounts of the rest.

use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples};

/// The recorded activations that a prepared rule reads; the others are dropped during the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The operator's inputs.
    pub inputs: bool,
    /// The operator's output.
    pub output: Outputs,
}

/// The elements of an operator's output that a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Nothing.
    Nothing,
    /// Elements with nonzero relevance. Elsewhere the rule may be given any finite number, and propagates the same relevance: so the
    /// output of a ReLU suffices, if the rules after it are [vanishing](crate::Claims::vanishing), and the values before it need not
    /// be kept.
    Relevant,
    /// Every element.
    All,
}

impl Needs {
    /// Neither inputs nor output.
    pub const NOTHING: Needs = Needs { inputs: false, output: Outputs::Nothing };
    /// The inputs only.
    pub const INPUTS: Needs = Needs { inputs: true, output: Outputs::Nothing };
    /// The inputs, and the output where relevance is nonzero.
    pub const RELEVANT: Needs = Needs { inputs: true, output: Outputs::Relevant };
    /// Inputs and output.
    pub const BOTH: Needs = Needs { inputs: true, output: Outputs::All };
}

/// Relevance propagated to the inputs, and the accounts of the rest: one number per sample and account.
///
/// The ledger of a layer: `Σ r = Σ relevance + bias + stabilizer + rule`, per sample.
#[derive(Debug, Clone)]
pub struct Propagated<T: Scalar> {
    /// Relevance of every input, `[N, …]` each.
    pub relevance: Vec<Tensor<T>>,
    /// Relevance absorbed by the bias (or another constant).
    pub bias: Vec<f64>,
    /// Relevance absorbed by the stabilizer.
    pub stabilizer: Vec<f64>,
    /// Relevance lost (positive) or created (negative) by the rule itself: zero denominators, gradients, masks.
    pub rule: Vec<f64>,
}

impl<T: Scalar> Propagated<T> {
    /// Relevance that is propagated in full: nothing is absorbed.
    pub fn lossless(relevance: Vec<Tensor<T>>) -> Self {
        let n = relevance.first().map_or(0, |r| samples(r));
        Self { relevance, bias: vec![0.0; n], stabilizer: vec![0.0; n], rule: vec![0.0; n] }
    }
}
