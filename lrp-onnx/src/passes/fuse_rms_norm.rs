//! Recognises a division by the root mean square where an exporter wrote it out: `x / √(mean(x²) + ε)` along one axis. (Means and variances
//! belong to layer normalisation, which is recognised first.)

use lrp_core::Scalar;
use lrp_core::ops::{Divisor, Normalize, shared};

use super::Passed;
use super::pattern::rewrite;
use super::statistics::{Divided, divided_by_root, mean_square};
use crate::graph::{Graph, Node, Origin};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    rewrite(graph, "is a division by the root mean square", rms_norm)
}

fn rms_norm<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Node<T>> {
    let Divided { numerator, square, epsilon } = divided_by_root(graph, node)?;
    let (x, &[axis]) = mean_square(graph, square)? else { return None };
    if x != numerator || graph.nodes.get(x)?.shape != node.shape {
        return None;
    }
    let op = Normalize::new(Divisor::RootMeanSquare { epsilon }, axis, &node.shape).ok()?;
    Some(node.with(shared(op), Origin::Other, vec![x]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    /// As Llama's layers are exported: the square by a power or a product, the quotient by a root, by its reciprocal, or by one over it.
    #[test]
    fn every_form() {
        for (axis, power, reciprocal) in
            [(-1, true, None), (-1, false, Some(false)), (1, true, Some(false)), (-1, true, Some(true))]
        {
            let mut net = Net::new(&[3, 4]);
            let two = net.floats(&[], &[2.0]);
            let square = if power { net.op("Pow", &["x", &two], &[]) } else { net.op("Mul", &["x", "x"], &[]) };
            let mean = net.op("ReduceMean", &[&square], &[("axes", Attr::Ints(&[axis]))]);
            let epsilon = net.floats(&[], &[0.25]);
            let sum = net.op("Add", &[&mean, &epsilon], &[]);
            let root = net.op("Sqrt", &[&sum], &[]);
            if let Some(quotient) = reciprocal {
                let one = net.floats(&[], &[1.0]);
                let factor =
                    if quotient { net.op("Div", &[&one, &root], &[]) } else { net.op("Reciprocal", &[&root], &[]) };
                net.op("Mul", &["x", &factor], &[]);
            } else {
                net.op("Div", &["x", &root], &[]);
            }
            assert_eq!(kinds(&check_pass(run, &net, &[3, 4], 1)), ["rms-norm"]);
        }
    }

    #[test]
    fn the_root_mean_square_of_something_else_is_left() {
        let mut net = Net::new(&[3, 4]);
        let other = net.op("Relu", &["x"], &[]);
        let square = net.op("Mul", &[&other, &other], &[]);
        let mean = net.op("ReduceMean", &[&square], &[("axes", Attr::Ints(&[-1]))]);
        let epsilon = net.floats(&[], &[0.25]);
        let sum = net.op("Add", &[&mean, &epsilon], &[]);
        let root = net.op("Sqrt", &[&sum], &[]);
        net.op("Div", &["x", &root], &[]);
        assert!(kinds(&check_pass(run, &net, &[3, 4], 0)).contains(&"div"));
    }
}
