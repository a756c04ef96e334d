//! The network: a directed acyclic graph of named nodes, each with one output.
//!
//! Nodes stand in topological order (a node's inputs come before it), and every shape is a *sample shape*: the batch axis
//! is not part of it and can have any length when the model runs.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, OperatorError};
use crate::operator::{Group, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// A node's position in its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// The position in topological order, inputs included.
    pub fn index(self) -> usize {
        self.0
    }
}

/// The kind of a node.
#[derive(Debug, Clone)]
pub enum Body<T: Scalar> {
    /// An input of the model.
    Input,
    /// A constant of this sample shape, the same for every sample. Its relevance is recorded as bias.
    Constant(Tensor<T>),
    /// An operator on other nodes.
    Operator(Arc<dyn Operator<T>>),
}

/// A named node of the graph.
#[derive(Debug, Clone)]
pub struct Node<T: Scalar> {
    /// The name by which recipes and errors address it.
    pub name: String,
    /// Other names by which recipes can address it: in the file, or in the program that the file was exported from. Nodes may share one.
    pub other_names: Vec<String>,
    /// Its value: an input, a constant or an operator.
    pub body: Body<T>,
    /// Where its inputs come from.
    pub inputs: Vec<NodeId>,
    /// Sample shape of its output.
    pub shape: Vec<usize>,
}

impl<T: Scalar> Node<T> {
    /// All names of the node, the one that is shown first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.other_names).map(String::as_str)
    }

    /// The operator, unless the node is an input or a constant.
    pub fn op(&self) -> Option<&Arc<dyn Operator<T>>> {
        match &self.body {
            Body::Operator(op) => Some(op),
            Body::Input | Body::Constant(_) => None,
        }
    }

    /// The operator's kind.
    pub fn kind(&self) -> Option<Kind> {
        self.op().map(|op| op.kind())
    }

    /// The operator as printed: its kind, or `input` and `constant`.
    pub fn kind_name(&self) -> &'static str {
        match &self.body {
            Body::Input => "input",
            Body::Constant(_) => "constant",
            Body::Operator(op) => op.kind().name(),
        }
    }
}

/// Builds a model node by node.
///
/// ```
/// use lrp_core::{graph::Builder, ops::{Activation, Dense, Function}, tensor::Tensor};
///
/// let mut net = Builder::<f64>::new();
/// let x = net.input("x", &[2]);
/// let w = Tensor::from_shape_vec(vec![1, 2], vec![1.0, -1.0])?;
/// let z = net.add("dense", Dense::new(w, None, &[2])?, &[x])?;
/// let y = net.add("relu", Activation::new(Function::Relu, net.shape(z))?, &[z])?;
/// let model = net.finish(y)?;
/// assert_eq!(model.layers().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder<T: Scalar> {
    nodes: Vec<Node<T>>,
}

impl<T: Scalar> Default for Builder<T> {
    fn default() -> Self {
        Self { nodes: Vec::new() }
    }
}

impl<T: Scalar> Builder<T> {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a model input of this sample shape.
    pub fn input(&mut self, name: impl Into<String>, shape: &[usize]) -> NodeId {
        self.push(name.into(), Body::Input, Vec::new(), shape.to_vec())
    }

    /// Adds a constant, `value` having a sample shape.
    pub fn constant(&mut self, name: impl Into<String>, value: Tensor<T>) -> NodeId {
        let shape = value.shape().to_vec();
        self.push(name.into(), Body::Constant(value), Vec::new(), shape)
    }

    /// Adds an operator.
    ///
    /// # Errors
    /// When the inputs do not have the shapes that the operator was made for.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        op: impl Operator<T> + 'static,
        inputs: &[NodeId],
    ) -> Result<NodeId, Error> {
        self.add_shared(name, Arc::new(op), inputs)
    }

    /// Adds an operator that is shared already.
    ///
    /// # Errors
    /// As [`add`](Builder::add).
    pub fn add_shared(
        &mut self,
        name: impl Into<String>,
        op: Arc<dyn Operator<T>>,
        inputs: &[NodeId],
    ) -> Result<NodeId, Error> {
        let name = name.into();
        check_inputs(&self.nodes, &name, op.as_ref(), inputs)?;
        let shape = op.output_shape().to_vec();
        Ok(self.push(name, Body::Operator(op), inputs.to_vec(), shape))
    }

    /// Gives a node other names, by which recipes can address it as well.
    pub fn also_name(&mut self, node: NodeId, names: Vec<String>) {
        if let Some(node) = self.nodes.get_mut(node.0) {
            node.other_names.extend(names);
        }
    }

    /// Sample shape of a node's output.
    pub fn shape(&self, node: NodeId) -> &[usize] {
        self.nodes.get(node.0).map_or(&[], |n| &n.shape)
    }

    /// The name and the value of a constant.
    pub fn constant_of(&self, node: NodeId) -> Option<(&str, &Tensor<T>)> {
        match self.nodes.get(node.0).map(|node| (&node.body, node)) {
            Some((Body::Constant(value), node)) => Some((&node.name, value)),
            _ => None,
        }
    }

    /// Whether a name is in use.
    pub fn contains(&self, name: &str) -> bool {
        self.nodes.iter().any(|n| n.name == name)
    }

    /// The model that computes `output`; nodes that it does not depend on are dropped.
    ///
    /// # Errors
    /// When names are not unique or the output depends on no input.
    pub fn finish(self, output: NodeId) -> Result<Model<T>, Error> {
        Model::new(self.nodes, output)
    }

    fn push(&mut self, name: String, body: Body<T>, inputs: Vec<NodeId>, shape: Vec<usize>) -> NodeId {
        self.nodes.push(Node { name, other_names: Vec::new(), body, inputs, shape });
        NodeId(self.nodes.len() - 1)
    }
}

fn check_inputs<T: Scalar>(
    nodes: &[Node<T>],
    name: &str,
    op: &dyn Operator<T>,
    inputs: &[NodeId],
) -> Result<(), Error> {
    let fail = |reason: String| Err(Error::Node { node: name.to_owned(), reason });
    let expected = op.input_shapes();
    if inputs.len() != expected.len() {
        return fail(format!("takes {} inputs, got {}", expected.len(), inputs.len()));
    }
    for (id, shape) in inputs.iter().zip(expected) {
        match nodes.get(id.0) {
            Some(node) if node.shape == *shape => {}
            Some(node) => {
                return fail(format!("was made for {shape:?}, its input '{}' gives {:?}", node.name, node.shape));
            }
            None => return fail("an input does not stand before it".to_owned()),
        }
    }
    Ok(())
}

/// A checked network, immutable and shareable between threads.
#[derive(Debug, Clone)]
pub struct Model<T: Scalar> {
    nodes: Vec<Node<T>>,
    inputs: Vec<NodeId>,
    output: NodeId,
    layers: Vec<NodeId>,
    nonnegative: Vec<bool>,
    consumers: Vec<Vec<NodeId>>,
}

impl<T: Scalar> Model<T> {
    /// Checks nodes in topological order and keeps what `output` depends on (and every input).
    ///
    /// # Errors
    /// When names are not unique, shapes disagree, or the output depends on no input.
    pub fn new(nodes: Vec<Node<T>>, output: NodeId) -> Result<Self, Error> {
        let (nodes, output) = without_dead_nodes(nodes, output)?;
        let mut names = HashSet::new();
        let mut nonnegative = Vec::with_capacity(nodes.len());
        let mut consumers = vec![Vec::new(); nodes.len()];
        let mut depends = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            if !names.insert(node.name.as_str()) {
                return Err(Error::Node { node: node.name.clone(), reason: "the name is used twice".into() });
            }
            if node.inputs.iter().any(|id| id.0 >= i) {
                return Err(Error::Node {
                    node: node.name.clone(),
                    reason: "an input does not stand before it".into(),
                });
            }
            let facts: Vec<bool> = node.inputs.iter().map(|id| nonnegative[id.0]).collect();
            nonnegative.push(match &node.body {
                Body::Input => false,
                Body::Constant(value) => crate::tensor::is_nonnegative(value),
                Body::Operator(op) => {
                    check_inputs(&nodes[..i], &node.name, op.as_ref(), &node.inputs)?;
                    op.nonnegative(&facts)
                }
            });
            depends.push(matches!(node.body, Body::Input) || node.inputs.iter().any(|id| depends[id.0]));
            for id in &node.inputs {
                consumers[id.0].push(NodeId(i));
            }
        }
        if !depends.get(output.0).copied().unwrap_or(false) {
            return Err(Error::Model { reason: "has an output that does not depend on any input".into() });
        }
        let ids = |f: &dyn Fn(&Node<T>) -> bool| -> Vec<NodeId> {
            nodes.iter().enumerate().filter(|(_, n)| f(n)).map(|(i, _)| NodeId(i)).collect()
        };
        let inputs = ids(&|n| matches!(n.body, Body::Input));
        let layers = ids(&|n| n.kind().is_some_and(|k| k.group() == Group::Weighted));
        Ok(Self { inputs, layers, output, nonnegative, consumers, nodes })
    }

    /// The same network with every operator computed in the [fastest](Operator::fastest) way. Outputs keep their bits; relevance
    /// differs by rounding errors.
    #[must_use]
    pub fn fastest(&self) -> Self {
        self.with_operators(|op| op.fastest())
    }

    /// The same network with operators that are slower and use less memory: weights are packed for each call
    /// ([`thrifty`](Operator::thrifty)).
    #[must_use]
    pub fn low_memory(&self) -> Self {
        self.with_operators(|op| op.thrifty())
    }

    /// The same network with other copies of its operators, where there are any.
    fn with_operators(&self, copy: impl Fn(&dyn Operator<T>) -> Option<Arc<dyn Operator<T>>>) -> Self {
        let mut model = self.clone();
        for node in &mut model.nodes {
            if let Body::Operator(op) = &mut node.body
                && let Some(copy) = copy(op.as_ref())
            {
                *op = copy;
            }
        }
        model
    }

    /// All nodes, in topological order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node<T>)> + DoubleEndedIterator {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i), n))
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node<T> {
        &self.nodes[id.0]
    }

    /// The inputs, in the order in which they were added.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The node whose value is explained.
    pub fn output(&self) -> NodeId {
        self.output
    }

    /// The weighted layers in topological order: the layers that recipe indices count.
    pub fn layers(&self) -> &[NodeId] {
        &self.layers
    }

    /// The index of a weighted layer.
    pub fn layer_index(&self, id: NodeId) -> Option<usize> {
        self.layers.binary_search(&id).ok()
    }

    /// The nodes that use a node's value, once per use.
    pub fn consumers(&self, id: NodeId) -> &[NodeId] {
        &self.consumers[id.0]
    }

    /// Whether a node's value is known to have no negative element.
    pub fn is_nonnegative(&self, id: NodeId) -> bool {
        self.nonnegative[id.0]
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        self.nodes.iter().filter_map(Node::op).map(|op| op.parameters()).sum()
    }

    /// The preprocessing between the inputs and the first layers, in topological order.
    pub fn preprocessing(&self) -> impl Iterator<Item = NodeId> {
        self.nodes().filter(|(_, node)| node.kind() == Some(Kind::Preprocessing)).map(|(id, _)| id)
    }

    /// Whether the model scales its input itself: `(x − μ) / σ`, `x / 255` and the like.
    pub fn has_preprocessing(&self) -> bool {
        self.preprocessing().next().is_some()
    }

    /// The weighted layers that an input reaches without passing another one.
    pub fn first_layers(&self) -> Vec<NodeId> {
        // Whether a node's value depends on an input through weightless nodes only.
        let mut bare = vec![false; self.nodes.len()];
        let mut first = Vec::new();
        for (id, node) in self.nodes() {
            let reached = node.inputs.iter().any(|i| bare[i.0]);
            if self.layer_index(id).is_some() {
                if reached {
                    first.push(id);
                }
            } else {
                bare[id.0] = reached || matches!(node.body, Body::Input);
            }
        }
        first
    }

    /// The weighted layers from which the output is reached without passing another one.
    pub fn last_layers(&self) -> Vec<NodeId> {
        let mut bare = vec![false; self.nodes.len()];
        let mut last = Vec::new();
        for (id, _) in self.nodes().rev() {
            let reached = id == self.output || self.consumers(id).iter().any(|c| bare[c.0]);
            if self.layer_index(id).is_some() {
                if reached {
                    last.push(id);
                }
            } else {
                bare[id.0] = reached;
            }
        }
        last.reverse();
        last
    }

    /// For a sum: the input with the fewest weighted layers behind it (on its longest path), if one has fewer than all
    /// others. In a residual block this is the skip connection.
    pub fn skip_input(&self, id: NodeId) -> Option<usize> {
        let depths = self.depths();
        let inputs: Vec<usize> = self.node(id).inputs.iter().map(|i| depths[i.0]).collect();
        let least = *inputs.iter().min()?;
        let mut candidates = inputs.iter().enumerate().filter(|(_, d)| **d == least).map(|(i, _)| i);
        let skip = candidates.next()?;
        candidates.next().is_none().then_some(skip)
    }

    /// Number of weighted layers on the longest path to each node, itself included.
    fn depths(&self) -> Vec<usize> {
        let mut depths = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes() {
            let own = usize::from(self.layer_index(id).is_some());
            depths.push(own + node.inputs.iter().map(|i| depths[i.0]).max().unwrap_or(0));
        }
        depths
    }
}

/// Drops nodes that the output does not depend on; inputs stay.
fn without_dead_nodes<T: Scalar>(nodes: Vec<Node<T>>, output: NodeId) -> Result<(Vec<Node<T>>, NodeId), Error> {
    if output.0 >= nodes.len() {
        return Err(Error::Model { reason: "has no output".into() });
    }
    let mut live = vec![false; nodes.len()];
    live[output.0] = true;
    for (i, node) in nodes.iter().enumerate().rev() {
        if live[i] {
            for id in &node.inputs {
                match live.get_mut(id.0) {
                    Some(slot) if id.0 < i => *slot = true,
                    _ => {
                        let reason = "an input does not stand before it".into();
                        return Err(Error::Node { node: node.name.clone(), reason });
                    }
                }
            }
        }
    }
    let mut new_ids = vec![NodeId(usize::MAX); nodes.len()];
    let mut kept = Vec::new();
    for (i, mut node) in nodes.into_iter().enumerate() {
        if live[i] || matches!(node.body, Body::Input) {
            node.inputs.iter_mut().for_each(|id| *id = new_ids[id.0]);
            new_ids[i] = NodeId(kept.len());
            kept.push(node);
        }
    }
    Ok((kept, new_ids[output.0]))
}

impl From<OperatorError> for Error {
    fn from(error: OperatorError) -> Self {
        Error::Node { node: "(new)".into(), reason: error.0 }
    }
}
