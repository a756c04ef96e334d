//! Recognises `x · σ(x)`, which exporters write as two nodes, as SiLU. (As a product it would be a signal and its gate,
//! which comes to the same for relevance; as an activation it also takes the rules for those.)

use lrp_core::Scalar;
use lrp_core::ops::Function;

use super::Passed;
use super::pattern::{activation, function_of, gated, rewrite};
use crate::graph::Graph;

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    rewrite(graph, "is a SiLU", |graph, node| {
        let x = gated(graph, node, (1.0, 0.0), |graph, gate, x| {
            (function_of(graph.nodes.get(gate)?)? == (Function::Sigmoid, x)).then_some((1.0, 0.0))
        })?;
        activation(node, Function::Silu, x)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Net, check_pass, kinds};

    #[test]
    fn a_product_with_its_own_sigmoid() {
        for swapped in [false, true] {
            let mut net = Net::new(&[3]);
            let x = net.op("Tanh", &["x"], &[]);
            let gate = net.op("Sigmoid", &[&x], &[]);
            net.op("Mul", &if swapped { [&gate, &x] } else { [&x, &gate] }, &[]);
            assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["tanh", "silu"]);
        }
    }

    #[test]
    fn a_signal_that_is_a_product_itself() {
        let mut net = Net::new(&[3]);
        let a = net.op("Tanh", &["x"], &[]);
        let x = net.op("Mul", &[&a, "x"], &[]);
        let gate = net.op("Sigmoid", &[&x], &[]);
        net.op("Mul", &[&x, &gate], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["tanh", "mul", "silu"]);
    }

    #[test]
    fn a_sigmoid_of_something_else_is_a_gate() {
        let mut net = Net::new(&[3]);
        let two = net.floats(&[], &[2.0]);
        let x = net.op("Mul", &["x", &two], &[]);
        let gate = net.op("Sigmoid", &[&x], &[]);
        net.op("Mul", &["x", &gate], &[]);
        check_pass(run, &net, &[3], 0);
        // x² σ(x) is none either.
        let mut net = Net::new(&[3]);
        let square = net.op("Mul", &["x", "x"], &[]);
        let gate = net.op("Sigmoid", &["x"], &[]);
        net.op("Mul", &[&square, &gate], &[]);
        check_pass(run, &net, &[3], 0);
    }
}
