//! Drops what does nothing: identities, dropout, sums of one, and reshapes, transposes and pads that change nothing.

use lrp_core::Scalar;
use lrp_core::operator::Kind;

use super::Passed;
use crate::graph::{Graph, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let mut new = Rewrite::default();
    for node in graph.nodes {
        match node.inputs.first() {
            Some(&input) if does_nothing(&node) => {
                new.changes.push(format!("'{}'", node.name));
                new.alias(input);
            }
            _ => new.keep(node),
        }
    }
    new.finish(graph.output)
}

fn does_nothing<T: Scalar>(node: &Node<T>) -> bool {
    match (node.kind(), node.origin()) {
        (Some(Kind::Identity), _) => true,
        (Some(Kind::Reshape), _) => node.op().is_some_and(|op| op.input_shapes().first() == Some(&node.shape)),
        (_, Some(Origin::Sum)) => node.inputs.len() == 1,
        (_, Some(Origin::Transpose(permutation))) => permutation.is_sorted(),
        (_, Some(Origin::Pad(pad))) => {
            let (begin, end) = pad.pads();
            begin.iter().chain(end).all(|&p| p == 0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    #[test]
    fn only_what_does_nothing_goes() {
        let mut net = Net::new(&[2, 3]);
        let mut x = net.op("Identity", &["x"], &[]);
        x = net.op("Dropout", &[&x], &[]);
        let same = net.ints(&[0, 2, -1]);
        x = net.op("Reshape", &[&x, &same], &[]);
        x = net.op("Transpose", &[&x], &[("perm", Attr::Ints(&[0, 1, 2]))]);
        let none = net.ints(&[0; 6]);
        x = net.op("Pad", &[&x, &none], &[]);
        x = net.op("Cast", &[&x], &[("to", Attr::Int(1))]);
        x = net.op("Sum", &[&x], &[]);
        let kept = check_pass(run, &net, &[2, 3], 7);
        assert!(kinds(&kept).is_empty());
        x = net.op("Transpose", &[&x], &[("perm", Attr::Ints(&[0, 2, 1]))]);
        let crop = net.ints(&[0, 1, 0, 0, -1, 0]);
        x = net.op("Pad", &[&x, &crop], &[]);
        net.op("Flatten", &[&x], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[2, 3], 7)), ["transpose", "pad", "reshape"]);
    }
}
