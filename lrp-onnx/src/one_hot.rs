//! Recognises one-hot vectors that are written as a comparison: ids of the input, repeated along a last axis, that are equal to 0, 1, 2, …. As
//! embeddings they carry the relevance of the ids, which a comparison does not.

use lrp_core::Scalar;
use lrp_core::operator::{Group, Kind};
use lrp_core::ops::{Embedding, shared};

use crate::graph::{Body, Graph, Node, Origin};

/// Puts embeddings in the place of such comparisons.
pub(crate) fn recognise<T: Scalar>(graph: &mut Graph<T>) {
    for id in 0..graph.nodes.len() {
        if let Some(found) = graph.nodes.get(id).and_then(|node| one_hot(graph, node))
            && let Some(node) = graph.nodes.get_mut(id)
        {
            *node = found;
        }
    }
}

/// The largest number of classes: a table of them all is made.
const MOST_CLASSES: usize = 1 << 10;

fn one_hot<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Node<T>> {
    let (Origin::Equal, &[a, b]) = (node.origin()?, node.inputs.as_slice()) else { return None };
    let depth = node.shape.last().copied().filter(|depth| (2..=MOST_CLASSES).contains(depth))?;
    let [a, b] = [unrepeated(graph, a)?, unrepeated(graph, b)?];
    let ids = match (counts(graph, a, depth), counts(graph, b, depth)) {
        (true, false) => b,
        (false, true) => a,
        _ => return None,
    };
    let shape = &graph.nodes.get(ids)?.shape;
    let same = shape.split_last()?.1 == node.shape.split_last()?.1;
    if !same || !is_moved_input(graph, ids) {
        return None;
    }
    let op = Embedding::one_hot(depth, shape).ok()?;
    Some(node.with(shared(op), Origin::Other, vec![ids]))
}

/// Whether a constant holds 0, 1, … along its last axis, and nothing else.
fn counts<T: Scalar>(graph: &Graph<T>, id: usize, depth: usize) -> bool {
    let Some(Body::Constant(values)) = graph.nodes.get(id).map(|node| &node.body) else { return false };
    let along = values.shape().last() == Some(&depth);
    along && values.iter().enumerate().all(|(i, v)| v.wide() == (i % depth) as f64)
}

/// The input that a node repeats, or the node itself.
fn unrepeated<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<usize> {
    let node = graph.nodes.get(id)?;
    if node.kind() == Some(Kind::Broadcast) { node.inputs.first().copied() } else { Some(id) }
}

/// Whether a value is an input, but for steps that move elements.
fn is_moved_input<T: Scalar>(graph: &Graph<T>, id: usize) -> bool {
    let mut next = Some(id);
    while let Some(node) = next.and_then(|id| graph.nodes.get(id)) {
        match node.kind() {
            None => return matches!(node.body, Body::Input { .. }),
            // Inputs of a node stand before it, so this ends.
            Some(kind) if kind.group() == Group::Structural => next = node.inputs.first().copied(),
            Some(_) => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::inputs::Role;
    use crate::testing::{Attr, Net, kinds};
    use ndarray::array;

    fn net(values: &[i64], repeat: bool) -> Net {
        let mut net = Net::new(&[2]);
        net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
        let (axes, numbers, w) = (net.ints(&[-1]), net.ints(values), net.floats(&[3, 1], &[1.0, 10.0, 100.0]));
        let mut ids = net.op("Unsqueeze", &["x", &axes], &[]);
        if repeat {
            let shape = net.ints(&[1, 2, 3]);
            ids = net.op("Expand", &[&ids, &shape], &[]);
        }
        let equal = net.op("Equal", &[&ids, &numbers], &[]);
        let hot = net.op("Cast", &[&equal], &[("to", Attr::Int(1))]);
        net.op("MatMul", &[&hot, &w], &[]);
        net
    }

    /// As PyTorch and JAX write one-hot vectors.
    #[test]
    fn a_comparison_with_a_range_is_an_embedding() {
        for repeat in [false, true] {
            let net = net(&[0, 1, 2], repeat);
            assert!(kinds(&net.raw()).contains(&"embedding"), "{:?}", kinds(&net.raw()));
            assert_eq!(net.run(&array![[2.0, 7.0]].into_dyn()), array![[[100.0], [0.0]]].into_dyn());
            assert_eq!(net.import().unwrap().inputs[0].role, Role::Explained);
        }
    }

    #[test]
    fn other_comparisons_stay() {
        assert!(!kinds(&net(&[0, 2, 1], false).raw()).contains(&"embedding"));
    }
}
