//! Marks what scales the input before the first layers as preprocessing: `(x − μ) / σ`, `x / 255`, a batch norm on the input.
//!
//! As a layer, such an operator would share relevance between `x` and its constants, multiplying it with `x / (x − μ)`: without bound near
//! `μ`, and with the wrong sign below it. Merged into the first layer, it would change what that layer's rule sees. A picture should get
//! one map, whether it is normalised inside the model or before; so relevance passes these operators, and neither the merging of scales
//! nor the folding of batch norms sees them.
//!
//! An operator counts if it is elementwise and affine with constants (one for all, for each channel or for each element), if all of its
//! data comes from the inputs through such operators and through what only moves, pools or clips elements, and if a layer comes after it.
//! Several in a row become one.

use lrp_core::Scalar;
use lrp_core::operator::{Group, Kind};
use lrp_core::ops::{Preprocessing, shared};

use super::Passed;
use super::merge_scale::in_a_row;
use crate::graph::{Body, Constants, Graph, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let uses = graph.uses();
    let marked = marked(&graph);
    let mut new = Rewrite::default();
    for (node, marked) in graph.nodes.into_iter().zip(marked) {
        match constants(&node).filter(|_| marked).and_then(|constants| preprocessing(&new, &node, constants, &uses)) {
            Some((found, merged)) => {
                let merged = merged.map(|before| format!(", '{before}' before it in one with it")).unwrap_or_default();
                new.changes.push(format!("'{}'{merged}", node.name));
                new.replace(found);
            }
            None => new.keep(node),
        }
    }
    new.finish(graph.output)
}

/// For each node whether it is to be marked.
fn marked<T: Scalar>(graph: &Graph<T>) -> Vec<bool> {
    let mut entrance: Vec<bool> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let fed = || node.inputs.iter().all(|&input| entrance.get(input) == Some(&true));
        entrance.push(match &node.body {
            Body::Input { .. } | Body::Constant(_) => true,
            Body::Fold(_) | Body::Unfold => fed(),
            Body::Operator(..) => (is_elementwise(node) || is_passage(node)) && fed(),
        });
    }
    let candidate: Vec<bool> =
        graph.nodes.iter().zip(&entrance).map(|(node, entrance)| *entrance && is_elementwise(node)).collect();
    // A layer comes after.
    let mut leads = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        if leads.get(id) == Some(&true) || (is_layer(node) && candidate.get(id) == Some(&false)) {
            for &input in &node.inputs {
                if let Some(leads) = leads.get_mut(input) {
                    *leads = true;
                }
            }
        }
    }
    candidate.iter().zip(&leads).map(|(candidate, leads)| *candidate && *leads).collect()
}

/// Whether a node is a product with a constant, a sum with a constant, or both.
fn is_elementwise<T: Scalar>(node: &Node<T>) -> bool {
    matches!(node.origin(), Some(Origin::Scale(_) | Origin::BatchNorm(_)))
}

/// Whether a node has no weights, and makes of pixels what can still be called pixels: moved, padded, resized, pooled, clipped.
fn is_passage<T: Scalar>(node: &Node<T>) -> bool {
    node.kind().is_some_and(|kind| match kind {
        Kind::Clip | Kind::Relu | Kind::Resize | Kind::AvgPool => true,
        // Rows of a table were learned, and so was what is added to them.
        Kind::Embedding => false,
        _ => kind.group() == Group::Structural,
    })
}

fn is_layer<T: Scalar>(node: &Node<T>) -> bool {
    node.kind().is_some_and(|kind| matches!(kind.group(), Group::Weighted | Group::Recurrent))
}

/// The constants of a product or sum with constants, in double precision.
fn constants<T: Scalar>(node: &Node<T>) -> Option<Constants<f64>> {
    let wide = |constant: &Option<lrp_core::Tensor<T>>| constant.as_ref().map(|c| c.mapv(T::wide));
    match node.origin()? {
        Origin::Scale(Constants { weight, bias }) => Some(Constants { weight: wide(weight), bias: wide(bias) }),
        Origin::BatchNorm(op) => {
            let (weight, bias) = op.constants();
            Some(Constants { weight: Some(weight.mapv(T::wide)), bias: bias.map(|b| b.mapv(T::wide)) })
        }
        _ => None,
    }
}

/// The node as preprocessing, and the name of the node before it that is now part of it.
fn preprocessing<T: Scalar>(
    new: &Rewrite<T>,
    node: &Node<T>,
    own: Constants<f64>,
    uses: &[usize],
) -> Option<(Node<T>, Option<String>)> {
    let &[input] = node.inputs.as_slice() else { return None };
    let before = new.node(input).filter(|_| uses.get(input) == Some(&1));
    let both = before.and_then(|before| match before.origin()? {
        Origin::Preprocessing(first) => Some((in_a_row(first, &own)?, before)),
        _ => None,
    });
    let (constants, inputs, merged) = match both {
        Some((constants, before)) => (constants, before.inputs.clone(), Some(before.name.clone())),
        None => (own, vec![new.id(input)], None),
    };
    let Constants { weight, bias } = constants.clone();
    let op = Preprocessing::new(weight, bias, &node.shape).ok()?;
    Some((node.with(shared(op), Origin::Preprocessing(constants), inputs), merged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    /// Adds a padded convolution.
    fn conv(net: &mut Net, x: &str, channels: i64) -> String {
        let w = net.weight(&[2, channels, 3, 3]);
        net.op("Conv", &[x, &w], &[("pads", Attr::Ints(&[1, 1, 1, 1]))])
    }

    #[test]
    fn several_in_a_row_become_one() {
        let mut net = Net::new(&[3, 5, 6]);
        let (a, b, c, d) = (net.weight(&[]), net.weight(&[3, 1, 1]), net.weight(&[1, 3, 1, 1]), net.weight(&[1]));
        let x = net.op("Div", &["x", &a], &[]);
        let x = net.op("Sub", &[&x, &b], &[]);
        let x = net.op("Div", &[&x, &c], &[]);
        let x = net.op("Neg", &[&x], &[]);
        let x = net.op("Sub", &[&d, &x], &[]);
        let x = net.batch_norm(&x, 3);
        let y = conv(&mut net, &x, 3);
        // Behind a layer, a batch norm is one.
        let y = net.op("Relu", &[&y], &[]);
        net.batch_norm(&y, 2);
        let graph = check_pass(run, &net, &[3, 5, 6], 6);
        assert_eq!(kinds(&graph), ["preprocessing", "conv", "relu", "batch-norm"]);
        assert_eq!(graph.nodes[1].name, "batchnormalization5");
        // All passes leave it where it is.
        let model = net.import().unwrap().model;
        let found: Vec<&str> = model.preprocessing().map(|id| model.node(id).name.as_str()).collect();
        assert_eq!(found, ["batchnormalization5"]);
        assert_eq!(model.layers().len(), 2);
    }

    #[test]
    fn one_for_each_element() {
        let mut net = Net::new(&[3, 4]);
        let (w, b, m) = (net.weight(&[3, 4]), net.weight(&[4]), net.weight(&[4, 2]));
        let x = net.op("Mul", &["x", &w], &[]);
        let x = net.op("Add", &[&x, &b], &[]);
        net.op("MatMul", &[&x, &m], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3, 4], 2)), ["preprocessing", "dense"]);
        // A vector along each axis does not become a table.
        let mut net = Net::new(&[3, 4]);
        let (w, b, m) = (net.weight(&[3, 1]), net.weight(&[4]), net.weight(&[4, 2]));
        let x = net.op("Mul", &["x", &w], &[]);
        let x = net.op("Mul", &[&x, &b], &[]);
        net.op("MatMul", &[&x, &m], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3, 4], 2)), ["preprocessing", "preprocessing", "dense"]);
    }

    #[test]
    fn positions_added_to_an_embedding_are_learned() {
        let mut net = Net::new(&[3]);
        net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
        let (table, positions, w) = (net.weight(&[5, 2]), net.weight(&[3, 2]), net.weight(&[2, 2]));
        let rows = net.op("Gather", &[&table, "x"], &[]);
        let sum = net.op("Add", &[&rows, &positions], &[]);
        net.op("MatMul", &[&sum, &w], &[]);
        assert_eq!(kinds(&run(net.raw()).0), ["embedding", "scale", "dense"]);
    }

    #[test]
    fn between_what_moves_elements() {
        // NHWC, as tf2onnx writes it, red and blue swapped, padded after the scale.
        let mut net = Net::new(&[5, 6, 3]);
        let (a, b) = (net.weight(&[1]), net.weight(&[3]));
        let bgr = net.ints(&[2, 1, 0]);
        let pads = net.ints(&[0, 0, 1, 1, 0, 0, 1, 1]);
        let x = net.op("Div", &["x", &a], &[]);
        let x = net.op("Gather", &[&x, &bgr], &[("axis", Attr::Int(3))]);
        let x = net.op("Sub", &[&x, &b], &[]);
        let x = net.op("Transpose", &[&x], &[("perm", Attr::Ints(&[0, 3, 1, 2]))]);
        let x = net.op("Mul", &[&x, &a], &[]);
        let x = net.op("Pad", &[&x, &pads], &[]);
        conv(&mut net, &x, 3);
        let graph = check_pass(run, &net, &[5, 6, 3], 3);
        let expected = ["preprocessing", "gather", "preprocessing", "transpose", "preprocessing", "pad", "conv"];
        assert_eq!(kinds(&graph), expected);
    }

    #[test]
    fn channel_by_channel() {
        let mut net = Net::new(&[3, 5, 6]);
        let parts: Vec<String> = (0..3)
            .map(|c| {
                let (start, end, axis) = (net.ints(&[c]), net.ints(&[c + 1]), net.ints(&[1]));
                let (mean, std) = (net.weight(&[]), net.weight(&[]));
                let part = net.op("Slice", &["x", &start, &end, &axis], &[]);
                let part = net.op("Sub", &[&part, &mean], &[]);
                net.op("Div", &[&part, &std], &[])
            })
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let x = net.op("Concat", &parts, &[("axis", Attr::Int(1))]);
        conv(&mut net, &x, 3);
        let graph = check_pass(run, &net, &[3, 5, 6], 6);
        assert_eq!(kinds(&graph).iter().filter(|kind| **kind == "preprocessing").count(), 3);
    }

    #[test]
    fn what_is_used_twice_stays_a_node() {
        let mut net = Net::new(&[2, 5, 6]);
        let (a, b) = (net.weight(&[1]), net.weight(&[2, 1, 1]));
        let half = net.op("Div", &["x", &a], &[]);
        let x = net.op("Sub", &[&half, &b], &[]);
        let y = conv(&mut net, &x, 2);
        let z = net.op("Concat", &[&y, &half, "x"], &[("axis", Attr::Int(1))]);
        conv(&mut net, &z, 6);
        let graph = check_pass(run, &net, &[2, 5, 6], 2);
        assert_eq!(kinds(&graph), ["preprocessing", "preprocessing", "conv", "concat", "conv"]);
    }

    #[test]
    fn a_scale_that_is_all_of_a_model_or_comes_later_is_no_preprocessing() {
        let mut net = Net::new(&[3]);
        let a = net.weight(&[3]);
        let x = net.op("Mul", &["x", &a], &[]);
        net.op("Relu", &[&x], &[]);
        check_pass(run, &net, &[3], 0);
        // Of two inputs, both are.
        let mut net = Net::new(&[3]);
        let (a, w) = (net.weight(&[3]), net.weight(&[3, 2]));
        let x = net.op("Mul", &["x", &a], &[]);
        let y = net.op("Tanh", &[&x], &[]);
        let y = net.op("Mul", &[&y, &a], &[]);
        net.op("MatMul", &[&y, &w], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["preprocessing", "tanh", "scale", "dense"]);
    }

    /// The division between a first layer and a scale after it stays as it was.
    #[test]
    fn behind_the_first_layer_nothing_changes() {
        let mut net = Net::new(&[2, 5, 6]);
        let y = conv(&mut net, "x", 2);
        let y = net.batch_norm(&y, 2);
        let a = net.weight(&[1]);
        net.op("Mul", &[&y, &a], &[]);
        check_pass(run, &net, &[2, 5, 6], 0);
    }
}
