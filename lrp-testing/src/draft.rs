//! A network as data: it can be built in any scalar type, and printed as the code that builds it.

use std::fmt;
use std::sync::Arc;

use lrp_core::{Builder, Model, NodeId, OperatorError, Scalar};

use crate::code;
use crate::op::Op;

/// A node's place in its [`Draft`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

#[derive(Clone)]
struct Node {
    name: String,
    /// The operator and its inputs; none for an input of the network.
    op: Option<(Op, Vec<Place>)>,
    shape: Vec<usize>,
}

/// A network to be built, node by node as with [`Builder`]. `Debug` and `Display` print the code that builds it.
#[derive(Clone, Default)]
pub struct Draft {
    nodes: Vec<Node>,
}

impl Draft {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input of this sample shape.
    pub fn input(&mut self, name: impl Into<String>, shape: &[usize]) -> Place {
        self.push(Node { name: name.into(), op: None, shape: shape.to_vec() })
    }

    /// Adds an operator.
    ///
    /// # Errors
    /// When the operator does not fit the shapes of its inputs.
    pub fn add(&mut self, name: impl Into<String>, op: Op, inputs: &[Place]) -> Result<Place, OperatorError> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|&i| self.shape(i)).collect();
        let shape = op.build::<f64>(&shapes)?.output_shape().to_vec();
        Ok(self.push(Node { name: name.into(), op: Some((op, inputs.to_vec())), shape }))
    }

    /// Sample shape of a node's output.
    pub fn shape(&self, place: Place) -> &[usize] {
        &self.nodes[place.0].shape
    }

    /// Sample shapes of the inputs, in the order in which they were added.
    pub fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.nodes.iter().filter(|n| n.op.is_none()).map(|n| n.shape.clone()).collect()
    }

    /// The operators, with the places of their inputs and their own, in order.
    pub fn ops(&self) -> impl Iterator<Item = (&str, &Op, &[Place], Place)> {
        self.nodes.iter().enumerate().filter_map(|(i, n)| {
            let (op, inputs) = n.op.as_ref()?;
            Some((n.name.as_str(), op, inputs.as_slice(), Place(i)))
        })
    }

    /// The same network with operators mapped, the shapes of their outputs being what the new ones give.
    ///
    /// # Errors
    /// When a new operator does not fit its inputs.
    pub fn map(&self, mut f: impl FnMut(&str, &Op) -> Op) -> Result<Self, OperatorError> {
        let mut mapped = Self::new();
        for node in &self.nodes {
            match &node.op {
                Some((op, inputs)) => mapped.add(node.name.clone(), f(&node.name, op), inputs)?,
                None => mapped.input(node.name.clone(), &node.shape),
            };
        }
        Ok(mapped)
    }

    /// The model, whose output is the last node.
    ///
    /// # Panics
    /// When the last node depends on no input, or a name is used twice.
    pub fn model<T: Scalar>(&self) -> Model<T> {
        let mut builder = Builder::new();
        let mut ids: Vec<NodeId> = Vec::new();
        for node in &self.nodes {
            ids.push(match &node.op {
                Some((op, inputs)) => {
                    let shapes: Vec<&[usize]> = inputs.iter().map(|&i| self.shape(i)).collect();
                    let op = op.build(&shapes).expect("it was built before");
                    let inputs: Vec<NodeId> = inputs.iter().map(|i| ids[i.0]).collect();
                    builder.add_shared(node.name.clone(), op, &inputs).expect("shapes fit")
                }
                None => builder.input(node.name.clone(), &node.shape),
            });
        }
        builder.finish(*ids.last().expect("a network has nodes")).expect("a draft is a network")
    }

    /// As [`model`](Draft::model), shared.
    pub fn shared<T: Scalar>(&self) -> Arc<Model<T>> {
        Arc::new(self.model())
    }

    fn push(&mut self, node: Node) -> Place {
        self.nodes.push(node);
        Place(self.nodes.len() - 1)
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variable = |place: &Place| code::variable(&self.nodes[place.0].name);
        let kinds = self.nodes.iter().filter_map(|n| n.op.as_ref());
        f.write_str(&code::imports(kinds.map(|(op, _)| op), &["Builder"]))?;
        writeln!(f, "let mut net = Builder::<f64>::new();")?;
        for (i, node) in self.nodes.iter().enumerate() {
            let (variable_name, name, shape) = (variable(&Place(i)), &node.name, &node.shape);
            match &node.op {
                None => writeln!(f, "let {variable_name} = net.input({name:?}, &{shape:?});")?,
                Some((op, inputs)) => {
                    let shapes: Vec<&[usize]> = inputs.iter().map(|&i| self.shape(i)).collect();
                    let inputs: Vec<String> = inputs.iter().map(variable).collect();
                    let op = code::op(op, &shapes);
                    writeln!(f, "let {variable_name} = net.add({name:?}, {op}, &[{}])?;", inputs.join(", "))?;
                }
            }
        }
        match self.nodes.len().checked_sub(1) {
            Some(last) => writeln!(f, "let model = net.finish({})?;", variable(&Place(last))),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}
