//! Cuts a softmax off the end of the model: what is explained is the logit. (The probability of a class also depends on
//! what speaks for all other classes, and its relevance mixes both up.)

use lrp_core::Scalar;
use lrp_core::operator::Kind;

use super::Passed;
use crate::graph::{Graph, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    // The softmax may be followed by reshapes.
    let mut last = graph.output;
    while let Some(node) = graph.nodes.get(last)
        && matches!(node.kind(), Some(Kind::Reshape | Kind::Identity))
        && let Some(&input) = node.inputs.first()
    {
        last = input;
    }
    let mut new = Rewrite::default();
    for (id, node) in graph.nodes.into_iter().enumerate() {
        let op_type = match node.kind() {
            Some(Kind::Softmax) => Some("Softmax"),
            Some(Kind::LogSoftmax) => Some("LogSoftmax"),
            _ => None,
        };
        match (op_type.filter(|_| id == last), node.inputs.first()) {
            (Some(op_type), Some(&input)) => {
                new.changes.push(format!("{op_type} ('{}')", node.name));
                new.alias(input);
            }
            _ => new.keep(node),
        }
    }
    new.finish(graph.output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, kinds};

    #[test]
    fn a_softmax_goes_and_what_stood_behind_it_stays() {
        let mut net = Net::new(&[2, 3]);
        let x = net.op("Softmax", &["x"], &[("axis", Attr::Int(1))]);
        net.op("Flatten", &[&x], &[]);
        let (graph, what) = run(net.raw());
        assert_eq!(what, ["Softmax ('softmax0')"]);
        assert_eq!(kinds(&graph), ["reshape"]);
        assert_eq!(
            net.import().unwrap().notes,
            ["the model ends in Softmax ('softmax0'); the logits before it are explained"]
        );
    }

    #[test]
    fn a_softmax_in_the_middle_stays() {
        let mut net = Net::new(&[3]);
        let x = net.op("LogSoftmax", &["x"], &[]);
        net.op("Relu", &[&x], &[]);
        assert_eq!(kinds(&run(net.raw()).0), ["log-softmax", "relu"]);
    }

    #[test]
    fn an_old_softmax_takes_all_axes_after_its_own_as_one() {
        let mut net = Net::new(&[2, 2]).opset(11);
        let y = net.op("Softmax", &["x"], &[]);
        net.op("Relu", &[&y], &[]);
        assert_eq!(kinds(&net.raw()), ["reshape", "softmax", "reshape", "relu"]);
        let y = net.run(&ndarray::array![[[0.0, 0.0], [0.0, 3f64.ln()]]].into_dyn());
        assert!(y.iter().zip([1.0, 1.0, 1.0, 3.0]).all(|(y, expected)| (y - expected / 6.0).abs() < 1e-12), "{y:?}");
        // At the end it goes.
        let mut net = Net::new(&[2, 2]).opset(11);
        net.op("Softmax", &["x"], &[]);
        assert_eq!(run(net.raw()).1, ["Softmax ('softmax0/rows')"]);
    }
}
