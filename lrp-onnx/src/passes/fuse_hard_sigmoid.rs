//! Recognises a straight line that is cut off at 0 and 1, `clip(x + 3, 0, 6) / 6`, as the hard sigmoid that it is.

use lrp_core::Scalar;
use lrp_core::ops::Function;

use super::Passed;
use super::pattern::{activation, close, function_of, lines, rewrite};
use crate::graph::Graph;

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    rewrite(graph, "is a hard sigmoid", |graph, node| {
        let (weight, bias) = super::pattern::numbers(node)?;
        let (Function::Clip { low, high }, line) = function_of(graph.nodes.get(*node.inputs.first()?)?)? else {
            return None;
        };
        // The ends of the clip become 0 and 1.
        if !close(weight * low + bias, 0.0) || !close(weight * high + bias, 1.0) {
            return None;
        }
        let line = *lines(graph, line).last()?;
        let function = Function::HardSigmoid { alpha: exact(weight * line.weight), beta: weight * line.bias + bias };
        activation(node, function, line.id)
    })
}

/// A sixth and a half as they are meant, where the file has them rounded.
fn exact(alpha: f64) -> f64 {
    if close(alpha, 1.0 / 6.0) { 1.0 / 6.0 } else { alpha }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, check_pass_to, kinds};

    #[test]
    fn as_mobile_networks_write_it() {
        for divide in [false, true] {
            let mut net = Net::new(&[3]);
            let (three, sixth, six) = (net.floats(&[], &[3.0]), net.floats(&[], &[1.0 / 6.0]), net.floats(&[], &[6.0]));
            let x = net.op("Add", &["x", &three], &[]);
            let x = net.op("Clip", &[&x], &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))]);
            if divide {
                net.op("Div", &[&x, &six], &[])
            } else {
                net.op("Mul", &[&x, &sixth], &[])
            };
            // The sixth in the file is rounded.
            assert_eq!(kinds(&check_pass_to(1e-7, run, &net, &[3], 1)), ["hard-sigmoid"]);
        }
    }

    #[test]
    fn other_clips_stay() {
        let mut net = Net::new(&[3]);
        let x = net.op("Clip", &["x"], &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))]);
        let half = net.floats(&[], &[0.5]);
        net.op("Mul", &[&x, &half], &[]);
        check_pass(run, &net, &[3], 0);
    }
}
