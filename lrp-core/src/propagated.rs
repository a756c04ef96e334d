//! What a rule reads at a layer, and what it gives: relevance for every input, and the accounts of the rest.

use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples};

/// Which recorded activations a prepared rule reads; the others are dropped during the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The operator's inputs.
    pub inputs: bool,
    /// The operator's output.
    pub output: Outputs,
}

/// How much of an operator's output a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// Nothing.
    Nothing,
    /// Elements at which relevance arrives that is not zero. Elsewhere the rule may be given any finite number, and hands on the same
    /// relevance: so what a ReLU leaves serves, if the rules after it are [vanishing](Claims::vanishing), and the values before it need not
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
    /// The inputs, and the output where relevance arrives.
    pub const RELEVANT: Needs = Needs { inputs: true, output: Outputs::Relevant };
    /// Inputs and output.
    pub const BOTH: Needs = Needs { inputs: true, output: Outputs::All };
}

/// Relevance handed on to the inputs, and where the rest went: one number per sample and account.
///
/// The books of a layer: `Σ r = Σ relevance + bias + stabilizer + rule`, per sample.
#[derive(Debug, Clone)]
pub struct Propagated<T: Scalar> {
    /// Relevance of every input, `[N, …]` each.
    pub relevance: Vec<Tensor<T>>,
    /// What the bias (or another constant) took.
    pub bias: Vec<f64>,
    /// What the stabilizer took.
    pub stabilizer: Vec<f64>,
    /// What the rule itself lost (positive) or created (negative): dead denominators, gradients, masks.
    pub rule: Vec<f64>,
}

impl<T: Scalar> Propagated<T> {
    /// Relevance that arrived in full: nothing was taken.
    pub fn lossless(relevance: Vec<Tensor<T>>) -> Self {
        let n = relevance.first().map_or(0, |r| samples(r));
        Self { relevance, bias: vec![0.0; n], stabilizer: vec![0.0; n], rule: vec![0.0; n] }
    }
}
