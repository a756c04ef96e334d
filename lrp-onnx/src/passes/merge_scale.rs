//! Makes one node of products and sums with constants that follow each other (normalisation of the input, say).

use lrp_core::ops::shared;
use lrp_core::{Scalar, Tensor};

use super::Passed;
use crate::consteval::joint_shape;
use crate::graph::{Constants, Graph, Node, Origin, Rewrite};
use crate::tensor::volume;

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let uses = graph.uses();
    let mut new = Rewrite::default();
    for node in graph.nodes {
        match merged(&new, &node, &uses) {
            Some((merged, before)) => {
                new.changes.push(format!("'{before}' into '{}' after it", node.name));
                new.replace(merged);
            }
            None => new.keep(node),
        }
    }
    new.finish(graph.output)
}

/// The node with the one before it merged, and that one's name.
fn merged<T: Scalar>(new: &Rewrite<T>, node: &Node<T>, uses: &[usize]) -> Option<(Node<T>, String)> {
    let (Origin::Scale(second), &[input]) = (node.origin()?, node.inputs.as_slice()) else { return None };
    let before = new.node(input).filter(|_| uses.get(input) == Some(&1))?;
    let Origin::Scale(first) = before.origin()? else { return None };
    let constants = in_a_row(first, second)?;
    let op = constants.build(&node.shape).ok()?;
    Some((node.with(shared(op), Origin::Scale(constants), before.inputs.clone()), before.name.clone()))
}

/// A product and sum behind another, as one: `w₂ (w₁ x + b₁) + b₂`. None where its constants would be larger than theirs.
pub(super) fn in_a_row<T: Scalar>(first: &Constants<T>, second: &Constants<T>) -> Option<Constants<T>> {
    let weight = combined(first.weight.as_ref(), second.weight.as_ref(), |a, b| a * b)?;
    let shifted = match (&first.bias, &second.weight) {
        (Some(bias), Some(weight)) => combined(Some(bias), Some(weight), |a, b| a * b)?,
        (bias, _) => bias.clone(),
    };
    let bias = combined(shifted.as_ref(), second.bias.as_ref(), |a, b| a + b)?;
    Some(Constants { weight, bias })
}

/// Two constants made one; either may be missing. None where the result would be larger than both.
fn combined<T: Scalar>(
    a: Option<&Tensor<T>>,
    b: Option<&Tensor<T>>,
    f: fn(&Tensor<T>, &Tensor<T>) -> Tensor<T>,
) -> Option<Option<Tensor<T>>> {
    let (Some(a), Some(b)) = (a, b) else { return Some(a.or(b).cloned()) };
    let shape = joint_shape(a.shape(), b.shape()).ok()?;
    (volume(&shape)? <= a.len().max(b.len())).then(|| Some(f(a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Net, check_pass, kinds};

    #[test]
    fn a_chain_becomes_one_node() {
        let mut net = Net::new(&[3, 4]);
        let (a, b, d) = (net.weight(&[3, 1]), net.weight(&[1]), net.weight(&[]));
        let x = net.op("Mul", &["x", &a], &[]);
        let x = net.op("Add", &[&x, &b], &[]);
        let x = net.op("Div", &[&x, &d], &[]);
        net.op("Sub", &[&d, &x], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3, 4], 3)), ["scale"]);
        // Not where that makes a table of two vectors.
        let mut net = Net::new(&[3, 4]);
        let (a, c) = (net.weight(&[3, 1]), net.weight(&[4]));
        let x = net.op("Mul", &["x", &a], &[]);
        net.op("Mul", &[&x, &c], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3, 4], 0)), ["scale", "scale"]);
    }

    #[test]
    fn values_that_are_used_elsewhere_are_left_alone() {
        let mut net = Net::new(&[3]);
        let a = net.weight(&[3]);
        let x = net.op("Mul", &["x", &a], &[]);
        let y = net.op("Add", &[&x, &a], &[]);
        net.op("Add", &[&x, &y], &[]);
        check_pass(run, &net, &[3], 0);
    }
}
