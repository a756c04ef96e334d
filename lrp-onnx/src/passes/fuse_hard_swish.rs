//! Recognises `x · hard-sigmoid(x)` with slope 1/6 and offset 1/2, and `x · clip(x + 3, 0, 6) / 6`, as hard-swish.

use lrp_core::Scalar;
use lrp_core::ops::Function;

use super::Passed;
use super::pattern::{activation, close, function_of, gated, polynomial, rewrite};
use crate::graph::Graph;

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    rewrite(graph, "is a hard-swish", |graph, node| {
        activation(node, Function::HardSwish, gated(graph, node, (1.0, 0.0), gate)?)
    })
}

/// Whether a node is a number times the hard sigmoid of `x` that hard-swish is made with.
fn gate<T: Scalar>(graph: &Graph<T>, id: usize, x: usize) -> Option<(f64, f64)> {
    let (function, argument) = function_of(graph.nodes.get(id)?)?;
    // The height of the gate, and the line it follows, as a part of that height.
    let (height, slope, offset) = match function {
        Function::HardSigmoid { alpha, beta } => (1.0, alpha, beta),
        Function::Clip { low: 0.0, high } => (high, high.recip(), 0.0),
        _ => return None,
    };
    let [constant, linear, 0.0, 0.0] = polynomial(graph, argument, x)? else { return None };
    (close(slope * linear, 1.0 / 6.0) && close(slope * constant + offset, 0.5)).then_some((height, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    #[test]
    fn in_every_order() {
        let ends = [("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))];
        for order in 0..4 {
            let mut net = Net::new(&[3]);
            let (three, six) = (net.floats(&[], &[3.0]), net.floats(&[1], &[6.0]));
            if order == 3 {
                let gate = net.op("HardSigmoid", &["x"], &[("alpha", Attr::Float(1.0 / 6.0))]);
                net.op("Mul", &[&gate, "x"], &[]);
            } else {
                let z = net.op("Add", &[&three, "x"], &[]);
                let z = net.op("Clip", &[&z], &ends);
                match order {
                    0 => {
                        let z = net.op("Mul", &["x", &z], &[]);
                        net.op("Div", &[&z, &six], &[]);
                    }
                    1 => {
                        let z = net.op("Div", &[&z, &six], &[]);
                        net.op("Mul", &[&z, "x"], &[]);
                    }
                    _ => {
                        let x = net.op("Div", &["x", &six], &[]);
                        net.op("Mul", &[&x, &z], &[]);
                    }
                }
            }
            assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["hard-swish"], "{order}");
        }
    }

    #[test]
    fn other_gates_stay() {
        let mut net = Net::new(&[3]);
        let gate = net.op("HardSigmoid", &["x"], &[]);
        net.op("Mul", &[&gate, "x"], &[]);
        check_pass(run, &net, &[3], 0);
    }
}
