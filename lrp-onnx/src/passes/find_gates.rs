//! Finds out which factor of a product is a gate: one that comes from a function with values between 0 and 1 (a sigmoid,
//! a hard sigmoid, a clip), maybe moved around or repeated since. The other factor is the signal, which takes all
//! relevance. Where both or neither are, the product is left as one of equals.

use std::sync::Arc;

use lrp_core::Scalar;
use lrp_core::operator::{Group, Kind};
use lrp_core::ops::{Function, Mul};

use super::Passed;
use super::pattern::{function_of, rewrite};
use crate::graph::{Graph, Node, Origin};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    // For each node so far whether its values are those of a gate.
    let mut gates = Vec::new();
    rewrite(graph, "has a gate", |_, node| {
        gates.push(is_gate(node, &gates));
        let gate = gate_of(node, &gates)?;
        let op = Mul::new(Some(gate), &node.shape).ok()?;
        Some(node.with(Arc::new(op), Origin::Other, node.inputs.clone()))
    })
}

fn is_gate<T: Scalar>(node: &Node<T>, gates: &[bool]) -> bool {
    match (function_of(node), node.kind(), node.inputs.as_slice()) {
        (Some((Function::Sigmoid | Function::HardSigmoid { .. }, _)), ..) => true,
        (Some((Function::Clip { low, high }, _)), ..) => low >= 0.0 && high <= 1.0,
        // Padding could bring in other values.
        (None, Some(kind), &[x]) if kind.group() == Group::Structural && kind != Kind::Pad => {
            gates.get(x) == Some(&true)
        }
        _ => false,
    }
}

/// The gate of a product that has one.
fn gate_of<T: Scalar>(node: &Node<T>, gates: &[bool]) -> Option<usize> {
    node.op().filter(|op| op.kind() == Kind::Mul && op.gate_input().is_none())?;
    let &[a, b] = node.inputs.as_slice() else { return None };
    match (gates.get(a)?, gates.get(b)?) {
        (true, false) => Some(0),
        (false, true) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    #[test]
    fn squeeze_and_excitation() {
        for gate_first in [false, true] {
            let mut net = Net::new(&[2, 3, 3]);
            let gate = net.op("GlobalAveragePool", &["x"], &[]);
            let gate = net.op("Sigmoid", &[&gate], &[]);
            net.op("Mul", &if gate_first { [&gate, "x"] } else { ["x", &gate] }, &[]);
            let graph = check_pass(run, &net, &[2, 3, 3], 1);
            assert_eq!(kinds(&graph), ["mean", "sigmoid", "broadcast", "mul"]);
            let product = graph.nodes.last().unwrap().op().unwrap();
            assert_eq!(product.gate_input(), Some(usize::from(!gate_first)));
        }
    }

    #[test]
    fn products_of_equals_stay() {
        for functions in [["Tanh", "Relu"], ["Sigmoid", "HardSigmoid"]] {
            let mut net = Net::new(&[3]);
            let [a, b] = functions.map(|f| net.op(f, &["x"], &[]));
            net.op("Mul", &[&a, &b], &[]);
            check_pass(run, &net, &[3], 0);
        }
        let mut net = Net::new(&[3]);
        let clip = net.op("Clip", &["x"], &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))]);
        net.op("Mul", &[&clip, "x"], &[]);
        check_pass(run, &net, &[3], 0);
    }
}
