//! Which values carry relevance.

use crate::graph::{Body, Model, Node, NodeId};
use crate::operator::Group;
use crate::scalar::Scalar;

/// For each node, whether its value carries relevance: it depends on an input, and on the way there is neither a step function nor a node whose
/// output counts as a constant.
pub fn carriers<T: Scalar>(model: &Model<T>, is_constant: &dyn Fn(NodeId) -> bool) -> Vec<bool> {
    let mut carries: Vec<bool> = Vec::new();
    for (id, node) in model.nodes() {
        carries.push(match &node.body {
            Body::Input => true,
            Body::Constant(_) => false,
            Body::Operator(op) => reached(node, &carries) && !is_constant(id) && op.kind().group() != Group::Step,
        });
    }
    carries
}

/// Whether one of the inputs of a node carries relevance.
pub fn reached<T: Scalar>(node: &Node<T>, carriers: &[bool]) -> bool {
    node.inputs.iter().any(|input| carriers[input.index()])
}
