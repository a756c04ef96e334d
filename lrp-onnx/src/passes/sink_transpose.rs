//! Moves transpositions behind elementwise operators, and drops those that undo each other: exporters that change the
//! order of axes (tf2onnx) leave pairs of them around single operators, which hide patterns.

use lrp_core::Scalar;
use lrp_core::ops::{Activation, Transpose, shared};

use super::Passed;
use super::pattern::{function_of, numbers};
use crate::graph::{Graph, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let uses = graph.uses();
    let mut new = Rewrite::default();
    for node in graph.nodes {
        if let Some((source, joined)) = joined(&new, &node) {
            new.changes.push(format!("'{}' and the transposition before it", node.name));
            match joined {
                Some(joined) => new.replace(joined),
                None => new.alias_to(source),
            }
        } else if let Some((moved, transposed)) = swapped(&new, &node, &uses) {
            new.changes.push(format!("'{}' behind '{}'", transposed.name, moved.name));
            let id = new.graph.push(moved);
            new.replace(Node { inputs: vec![id], ..transposed });
        } else {
            new.keep(node);
        }
    }
    new.finish(graph.output)
}

/// The permutation of a node that is nothing else.
fn permutation<T: Scalar>(node: &Node<T>) -> Option<&[usize]> {
    match node.origin()? {
        Origin::Transpose(permutation) => Some(permutation),
        _ => None,
    }
}

/// For two transpositions in a row: the new id of what they transpose, and the single one they are, if it does anything.
fn joined<T: Scalar>(new: &Rewrite<T>, node: &Node<T>) -> Option<(usize, Option<Node<T>>)> {
    let (second, &[input]) = (permutation(node)?, node.inputs.as_slice()) else { return None };
    let before = new.node(input)?;
    let (first, &[source]) = (permutation(before)?, before.inputs.as_slice()) else { return None };
    let both: Vec<usize> = second.iter().map(|&axis| first.get(axis).copied()).collect::<Option<_>>()?;
    if both.is_sorted() {
        return Some((source, None));
    }
    let op = Transpose::new(&both, before.op()?.input_shapes().first()?).ok()?;
    Some((source, Some(node.with(shared(op), Origin::Transpose(both), vec![source]))))
}

/// For an elementwise operator behind a transposition: the operator on what is transposed, and the transposition, whose
/// input is still to be set.
fn swapped<T: Scalar>(new: &Rewrite<T>, node: &Node<T>, uses: &[usize]) -> Option<(Node<T>, Node<T>)> {
    let &[input] = node.inputs.as_slice() else { return None };
    let before = new.node(input).filter(|_| uses.get(input) == Some(&1))?;
    permutation(before)?;
    let source = before.op()?.input_shapes().first()?;
    let mut moved = match node.origin() {
        Some(Origin::Scale(constants)) if numbers(node).is_some() => {
            // A number in a shape of its own could have more axes than there are.
            let op = constants.build(source).ok()?;
            node.with(shared(op), Origin::Scale(constants.clone()), before.inputs.clone())
        }
        _ => {
            let (function, _) = function_of(node)?;
            let op = Activation::new(function, source).ok()?;
            node.with(shared(op), Origin::Activation(function), before.inputs.clone())
        }
    };
    moved.shape.clone_from(source);
    Some((moved, before.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    #[test]
    fn pairs_around_elementwise_operators_go() {
        let mut net = Net::new(&[2, 3, 4]);
        let (three, half) = (net.floats(&[], &[3.0]), net.floats(&[1], &[0.5]));
        let y = net.op("Transpose", &["x"], &[("perm", Attr::Ints(&[0, 2, 3, 1]))]);
        let y = net.op("Pow", &[&y, &three], &[]);
        let y = net.op("Mul", &[&y, &half], &[]);
        let y = net.op("Tanh", &[&y], &[]);
        net.op("Transpose", &[&y], &[("perm", Attr::Ints(&[0, 3, 1, 2]))]);
        assert_eq!(kinds(&check_pass(run, &net, &[2, 3, 4], 4)), ["power", "scale", "tanh"]);
    }

    #[test]
    fn two_become_one() {
        let mut net = Net::new(&[2, 3, 4]);
        let y = net.op("Transpose", &["x"], &[("perm", Attr::Ints(&[0, 2, 3, 1]))]);
        let y = net.op("Transpose", &[&y], &[("perm", Attr::Ints(&[0, 1, 3, 2]))]);
        net.op("Flatten", &[&y], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[2, 3, 4], 1)), ["transpose", "reshape"]);
    }

    #[test]
    fn one_that_is_used_elsewhere_stays() {
        let mut net = Net::new(&[2, 3]);
        let y = net.op("Transpose", &["x"], &[("perm", Attr::Ints(&[0, 2, 1]))]);
        let z = net.op("Relu", &[&y], &[]);
        net.op("Add", &[&y, &z], &[]);
        check_pass(run, &net, &[2, 3], 0);
    }
}
