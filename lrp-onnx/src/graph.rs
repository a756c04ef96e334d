//! The graph while it is being imported: what the passes rewrite before it becomes a [`Model`].
//!
//! It differs from the model in two ways: its node ids are plain indices, and a node can remember what it was made from
//! ([`Origin`]) so that a pass can recognise it, or make it anew with other parameters.

use std::collections::HashMap;
use std::sync::Arc;

use lrp_core::graph::Builder;
use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::{Kind, Operator};
use lrp_core::ops::{Conv, Dense, Folded, Function, LayerNorm, Pad, Scale, shared};
use lrp_core::{Model, NodeId, OperatorError, Scalar, Tensor, Weights};

use crate::error::ErrorKind;
use crate::tensor::Constant;

/// A graph in topological order: every node's inputs come before it.
#[derive(Debug, Clone)]
pub(crate) struct Graph<T: Scalar> {
    pub nodes: Vec<Node<T>>,
    /// Index of the node that is explained.
    pub output: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Node<T: Scalar> {
    pub name: String,
    pub body: Body<T>,
    pub inputs: Vec<usize>,
    /// Sample shape of the output.
    pub shape: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) enum Body<T: Scalar> {
    /// An input, which carries relevance if it is explained.
    Input {
        explained: bool,
    },
    Constant(Tensor<T>),
    Operator(Arc<dyn Operator<T>>, Origin<T>),
    /// The input, `[K, …]`, whose first axis counts samples for the nodes that follow: `[…]`.
    Fold(usize),
    /// The input, `[…]`, after [`Fold`](Self::Fold) with that axis again: `[K, …]`.
    Unfold,
}

/// The source of an operator, for passes that need more than the trait `Operator` offers.
#[derive(Debug, Clone)]
pub(crate) enum Origin<T: Scalar> {
    /// Nothing that a pass wants to know.
    Other,
    Dense(Linear),
    Conv(Convolution),
    Pad(Arc<Pad>),
    BatchNorm(Arc<Scale<T>>),
    Scale(Constants<T>),
    Preprocessing(Constants<f64>),
    Transpose(Vec<usize>),
    Activation(Function),
    /// A sum of activations.
    Sum,
    /// The first input without the second.
    Difference,
    /// Whether two values are equal.
    Equal,
    /// A mean over these axes (counted from the batch, ascending), which keep length one.
    Mean(Vec<usize>),
    LayerNorm(Normalization<T>),
    /// Weighted sums of elements of one input: the weights of each have this sum, and are positive but for parts whose
    /// absolute values sum up to `overshoot` (cubic interpolation).
    Combination {
        total: f64,
        overshoot: f64,
    },
}

/// A product with a constant, a sum with a constant, or both: `weight ⊙ x + bias`, as every sample sees them.
#[derive(Debug, Clone)]
pub(crate) struct Constants<T: Scalar> {
    pub weight: Option<Tensor<T>>,
    pub bias: Option<Tensor<T>>,
}

impl<T: Scalar> Constants<T> {
    /// The operator on inputs of this sample shape.
    ///
    /// # Errors
    /// When a constant does not broadcast to it.
    pub fn build(&self, input: &[usize]) -> Result<Scale<T>, OperatorError> {
        Scale::new(self.weight.clone(), self.bias.clone(), input)
    }
}

/// Layer normalisation over the last axes.
#[derive(Debug, Clone)]
pub(crate) struct Normalization<T: Scalar> {
    /// The number of axes.
    pub axes: usize,
    pub gamma: Vec<T>,
    pub beta: Option<Vec<T>>,
    pub epsilon: T,
}

impl<T: Scalar> Normalization<T> {
    /// The operator on inputs of this sample shape.
    ///
    /// # Errors
    /// When sizes disagree.
    pub fn build(&self, input: &[usize]) -> Result<LayerNorm<T>, OperatorError> {
        LayerNorm::new(self.axes, self.gamma.clone(), self.beta.clone(), self.epsilon, input)
    }
}

/// A dense layer as the file states it. Its weights still lie in the file.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    /// `[O, K]`, or `[K, O]` where `transposed`.
    pub weights: Constant,
    pub transposed: bool,
    /// Factor on all weights (Gemm's alpha).
    pub alpha: f64,
    /// One number per output.
    pub bias: Option<Vec<f64>>,
}

impl Linear {
    /// The layer on inputs of this sample shape.
    ///
    /// # Errors
    /// When sizes disagree or a value is not finite.
    pub fn build<T: Scalar>(&self, input: &[usize]) -> Result<Dense<T>, OperatorError> {
        let damaged = |e| OperatorError::new(format!("its weight {e}"));
        let bias = self.bias.as_ref().map(|b| b.iter().map(|&v| T::of(v)).collect());
        if !self.transposed && self.alpha == 1.0 {
            return Dense::new(self.weights.weights::<T>().map_err(damaged)?, bias, input);
        }
        Dense::new(self.weights.matrix::<T>(self.transposed, self.alpha).map_err(damaged)?, bias, input)
    }
}

/// A convolution as the file states it. Its weights still lie in the file.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    /// `[O, C / groups, taps…]`
    pub weights: Constant,
    pub bias: Option<Constant>,
    pub spec: WindowSpec,
    pub groups: usize,
}

impl Convolution {
    /// The convolution on inputs of this sample shape.
    ///
    /// # Errors
    /// When sizes disagree or a value is not finite.
    pub fn build<T: Scalar>(&self, input: &[usize]) -> Result<Conv<T>, OperatorError> {
        let (weights, bias) = parameters(&self.weights, self.bias.as_ref())?;
        Conv::new(weights, bias, &self.spec, self.groups, input)
    }
}

/// Weights and bias in the model's precision.
pub(crate) fn parameters<T: Scalar>(
    weights: &Constant,
    bias: Option<&Constant>,
) -> Result<(Weights<T>, Option<Vec<T>>), OperatorError> {
    let weights = weights.weights::<T>().map_err(|e| OperatorError::new(format!("its weight {e}")))?;
    let bias = bias.map(Constant::tensor::<T>).transpose();
    let bias = bias.map_err(|e| OperatorError::new(format!("its bias {e}")))?;
    Ok((weights, bias.map(|b| b.iter().copied().collect())))
}

impl<T: Scalar> Node<T> {
    /// The operator, unless the node is an input or a constant.
    pub fn op(&self) -> Option<&Arc<dyn Operator<T>>> {
        match &self.body {
            Body::Operator(op, _) => Some(op),
            _ => None,
        }
    }

    /// The origin of the operator.
    pub fn origin(&self) -> Option<&Origin<T>> {
        match &self.body {
            Body::Operator(_, origin) => Some(origin),
            _ => None,
        }
    }

    /// The operator's kind.
    pub fn kind(&self) -> Option<Kind> {
        self.op().map(|op| op.kind())
    }

    /// Whether it only changes the shape.
    pub fn is_reshape(&self) -> bool {
        self.kind() == Some(Kind::Reshape)
    }

    /// The same node with another operator (of the same output shape) on other inputs.
    pub fn with(&self, op: Arc<dyn Operator<T>>, origin: Origin<T>, inputs: Vec<usize>) -> Self {
        let shape = op.output_shape().to_vec();
        Self { name: self.name.clone(), body: Body::Operator(op, origin), inputs, shape }
    }
}

impl<T: Scalar> Default for Graph<T> {
    fn default() -> Self {
        Self { nodes: Vec::new(), output: 0 }
    }
}

impl<T: Scalar> Graph<T> {
    /// Adds a node; its index.
    pub fn push(&mut self, node: Node<T>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Sample shape of a node's output; empty for one that is not there.
    pub fn shape(&self, id: usize) -> Vec<usize> {
        self.nodes.get(id).map(|node| node.shape.clone()).unwrap_or_default()
    }

    /// The number of uses of each node's value; being the output counts as a use.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0usize; self.nodes.len()];
        for &id in self.nodes.iter().flat_map(|n| &n.inputs).chain([&self.output]) {
            if let Some(count) = uses.get_mut(id) {
                *count += 1;
            }
        }
        uses
    }

    /// Without the nodes that the output does not depend on; inputs stay.
    pub fn compact(self) -> Self {
        let mut live = vec![false; self.nodes.len()];
        if let Some(slot) = live.get_mut(self.output) {
            *slot = true;
        }
        for (id, node) in self.nodes.iter().enumerate().rev() {
            if live.get(id) == Some(&true) {
                for &input in &node.inputs {
                    if let Some(slot) = live.get_mut(input) {
                        *slot = true;
                    }
                }
            }
        }
        let mut compact = Rewrite::default();
        for (id, node) in self.nodes.into_iter().enumerate() {
            if live.get(id) == Some(&true) || matches!(node.body, Body::Input { .. }) {
                compact.keep(node);
            } else {
                compact.map.push(usize::MAX);
            }
        }
        let output = compact.id(self.output);
        Graph { nodes: compact.graph.nodes, output }
    }

    /// The finished model.
    ///
    /// # Errors
    /// When shapes do not fit, or the model does not depend on its inputs.
    pub fn into_model(self) -> Result<Model<T>, ErrorKind> {
        self.into_model_named(&HashMap::new())
    }

    /// As [`into_model`](Self::into_model), where nodes have other names as well, by their name.
    pub fn into_model_named(self, other_names: &HashMap<String, Vec<String>>) -> Result<Model<T>, ErrorKind> {
        let mut builder = Builder::new();
        let mut ids: Vec<NodeId> = Vec::new();
        let mut folds = Folds::default();
        let mut output = None;
        for (index, node) in self.nodes.into_iter().enumerate() {
            let mut inputs: Vec<NodeId> = node.inputs.iter().filter_map(|&i| ids.get(i).copied()).collect();
            let others = other_names.get(&node.name).cloned().unwrap_or_default();
            let parts = folds.parts(&node)?;
            let id = match node.body {
                Body::Input { .. } => builder.input(node.name, &node.shape),
                Body::Constant(value) => builder.constant(node.name, value),
                Body::Operator(op, _) if parts == 1 => {
                    builder.add_shared(node.name, op, &inputs).map_err(ErrorKind::Model)?
                }
                Body::Operator(op, _) => {
                    folds.repeat_constants(&mut builder, &node.inputs, &mut inputs, parts);
                    let op = Folded::new(op, parts).map_err(|error| ErrorKind::Model(error.into()))?;
                    builder.add_shared(node.name, shared(op), &inputs).map_err(ErrorKind::Model)?
                }
                // In the model, the axis is there all the time.
                Body::Fold(_) | Body::Unfold => match inputs.first() {
                    Some(&input) => {
                        ids.push(input);
                        if index == self.output {
                            output = Some(input);
                        }
                        continue;
                    }
                    None => return Err(ErrorKind::Graph("a part of the graph has no input".into())),
                },
            };
            builder.also_name(id, others);
            ids.push(id);
            if index == self.output {
                output = Some(id);
            }
        }
        let output = output.ok_or_else(|| ErrorKind::Graph("the graph has no output".into()))?;
        builder.finish(output).map_err(ErrorKind::Model)
    }
}

/// The first axes that count samples for some nodes while a model is built.
#[derive(Debug, Default)]
struct Folds {
    /// For each node, how many parts of a sample it is computed for; `None` for constants, which are the same for all.
    parts: Vec<Option<usize>>,
    /// The number of copies of constants.
    copies: usize,
}

impl Folds {
    /// The number of parts that the next node is computed for.
    fn parts<T: Scalar>(&mut self, node: &Node<T>) -> Result<usize, ErrorKind> {
        let mut inputs = node.inputs.iter().filter_map(|&input| self.parts.get(input).copied().flatten());
        let parts = match node.body {
            Body::Input { .. } | Body::Unfold => Some(1),
            Body::Constant(_) => None,
            Body::Fold(parts) => Some(parts),
            Body::Operator(..) => {
                let first = inputs.next();
                if inputs.any(|other| Some(other) != first) {
                    let reason = "the inputs of a node have different numbers of parts".to_owned();
                    return Err(ErrorKind::Model(lrp_core::Error::Node { node: node.name.clone(), reason }));
                }
                first
            }
        };
        self.parts.push(parts);
        Ok(parts.unwrap_or(1))
    }

    /// Lets the inputs that are constants have a copy of their value for each part.
    fn repeat_constants<T: Scalar>(
        &mut self,
        builder: &mut Builder<T>,
        nodes: &[usize],
        inputs: &mut [NodeId],
        parts: usize,
    ) {
        for (&node, input) in nodes.iter().zip(inputs) {
            if self.parts.get(node) != Some(&None) {
                continue;
            }
            if let Some((name, value)) = builder.constant_of(*input) {
                let shape: Vec<usize> = std::iter::once(parts).chain(value.shape().iter().copied()).collect();
                if let Some(repeated) = value.broadcast(shape).map(|value| value.to_owned()) {
                    self.copies += 1;
                    let name = format!("{name}/parts{}", self.copies);
                    *input = builder.constant(name, repeated);
                }
            }
        }
    }
}

/// A pass over a graph: nodes are taken from the old graph one by one, in order, and put into a new one, changed or not.
#[derive(Debug)]
pub(crate) struct Rewrite<T: Scalar> {
    pub graph: Graph<T>,
    /// For each old node the new one that has its value.
    map: Vec<usize>,
    /// The changes, in words.
    pub changes: Vec<String>,
}

impl<T: Scalar> Default for Rewrite<T> {
    fn default() -> Self {
        Self { graph: Graph::default(), map: Vec::new(), changes: Vec::new() }
    }
}

impl<T: Scalar> Rewrite<T> {
    /// Where the value of an old node is now.
    pub fn id(&self, old: usize) -> usize {
        self.map.get(old).copied().unwrap_or(usize::MAX)
    }

    /// The new node that has the value of an old one.
    pub fn node(&self, old: usize) -> Option<&Node<T>> {
        self.graph.nodes.get(self.id(old))
    }

    /// An old node with the ids of the new graph as its inputs.
    pub fn moved(&self, mut node: Node<T>) -> Node<T> {
        node.inputs.iter_mut().for_each(|i| *i = self.id(*i));
        node
    }

    /// Puts the next old node into the new graph as it is.
    pub fn keep(&mut self, node: Node<T>) {
        let node = self.moved(node);
        self.replace(node);
    }

    /// Puts a node whose inputs are ids of the new graph in the place of the next old one.
    pub fn replace(&mut self, node: Node<T>) {
        let id = self.graph.push(node);
        self.map.push(id);
    }

    /// Lets an earlier old node's value stand for the next old node.
    pub fn alias(&mut self, old: usize) {
        self.map.push(self.id(old));
    }

    /// Lets a node of the new graph stand for the next old node.
    pub fn alias_to(&mut self, id: usize) {
        self.map.push(id);
    }

    /// The new graph, and what was changed.
    pub fn finish(mut self, old_output: usize) -> (Graph<T>, Vec<String>) {
        self.graph.output = self.id(old_output);
        (self.graph.compact(), self.changes)
    }
}
