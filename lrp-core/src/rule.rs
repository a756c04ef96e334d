//! What a rule is. The rules themselves live in `lrp-rules`, and in anybody's own crate.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use crate::behaviour::Behaviour;
use crate::error::RuleError;
use crate::operator::{Affine, Io, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples};

/// A propagation rule: a small value that holds its checked parameters.
///
/// `Display` prints it the way a recipe writes it, for plans and manifests.
pub trait Rule<T: Scalar>: Debug + Display + Send + Sync {
    /// What the rule does. The other methods follow from it, unless it is [`Behaviour::Custom`]: then the rule has a `prepare` of its own.
    fn behaviour(&self) -> Behaviour {
        Behaviour::Custom
    }

    /// Makes the rule ready for one operator: modified weights are made here, once.
    ///
    /// # Errors
    /// When the rule and the operator do not go together (`norm` on a layer with weights, say).
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        self.behaviour().prepare(layer)
    }

    /// What this rule promises, to be verified by `lrp_testing::verify_rule`. A custom rule promises nothing in particular.
    fn claims(&self) -> Claims {
        self.behaviour().claims()
    }
}

/// What a rule promises beyond what holds for every rule (books that balance, batches that are their samples, …), on every
/// operator that it can be prepared for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claims {
    /// Relevance is linear in the relevance that arrives. Holds for every rule but those that cut off one sign of it
    /// (guided backpropagation).
    pub linear: bool,
    /// What is not handed on went to the bias or to the stabilizer: the rule's own account is nil, but for the relevance of
    /// outputs with a denominator of exactly zero. And stabilizers absorb: of the relevance `R > 0` of one output, they
    /// take no less than nothing and no more than `R` (see [`beta`](Claims::beta)).
    pub conserving: bool,
    /// Relevance is handed on in two parts over two denominators, `1 + β` times what arrives and `−β` times (Bach et al. 2015,
    /// eq. 60), each of which a stabilizer can absorb and a dead denominator lose. Zero for rules with one denominator.
    pub beta: f64,
    /// For which inputs relevance `R ≥ 0` gives relevance `≥ 0`.
    pub positive: Positive,
    /// The relevance handed on does not depend on the operator's inputs.
    pub input_independent: bool,
    /// An input of zero gets no relevance: each gets its contribution, which has the input as a factor. What only scales relevance that
    /// arrives at such inputs need not be known there ([`Outputs::Relevant`]).
    pub vanishing: bool,
    /// `Σ|R|` of what is handed on is at most this many times `Σ|R|` of what arrives, however contributions cancel.
    pub amplification: Option<f64>,
}

impl Default for Claims {
    /// Nothing but linearity.
    fn default() -> Self {
        Self {
            linear: true,
            conserving: false,
            beta: 0.0,
            positive: Positive::Never,
            input_independent: false,
            vanishing: false,
            amplification: None,
        }
    }
}

/// For which inputs of the operator positive relevance stays positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Positive {
    /// Not in general.
    Never,
    /// For all.
    Always,
    /// For inputs with all elements within these limits.
    Between {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
    },
}

/// The layer that a rule is prepared for.
#[derive(Debug)]
pub struct Layer<'a, T: Scalar> {
    /// The node's name.
    pub name: &'a str,
    /// Its operator.
    pub op: &'a Arc<dyn Operator<T>>,
    /// Whether the graph guarantees that no input is negative (it comes from a ReLU, say).
    pub nonnegative_inputs: bool,
    /// Whether relevance arrives at no output below zero: a ReLU comes next, and what is after it gives nothing to its zeros.
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

/// A rule prepared for one operator, ready to propagate any number of batches from any thread.
pub trait PreparedRule<T: Scalar>: Send + Sync {
    /// Which recorded activations [`propagate`](PreparedRule::propagate) reads.
    fn needs(&self) -> Needs;

    /// Redistributes the relevance `r` at the output (`[N, …]`) over the inputs and books what did not arrive.
    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T>;
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
