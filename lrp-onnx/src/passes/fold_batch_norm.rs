//! Folds batch normalisation, and products and sums with one constant per channel, into the weighted layer before or after
//! it, wherever that computes the same.
//!
//! Before: always, since outputs are scaled and shifted channel by channel. After: a shift cannot pass a padded
//! convolution (the padding stays zero), and the layer says so itself. BN → ReLU → Conv (DenseNet) stays as it is.

use std::sync::Arc;

use lrp_core::Scalar;
use lrp_core::operator::Group;
use lrp_core::ops::{Scale, shared};

use super::Passed;
use crate::graph::{Graph, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let uses = graph.uses();
    let mut new = Rewrite::default();
    for node in graph.nodes {
        if let Some((input, folded)) = into_previous(&new, &node, &uses) {
            new.changes.push(format!("'{}' into '{}' before it", node.name, folded.name));
            let id = new.id(input);
            if let Some(slot) = new.graph.nodes.get_mut(id) {
                *slot = folded;
            }
            new.alias(input);
        } else if let Some((batch_norm, folded)) = into_next(&new, &node, &uses) {
            new.changes.push(format!("'{batch_norm}' into '{}' after it", node.name));
            new.replace(folded);
        } else {
            new.keep(node);
        }
    }
    new.finish(graph.output)
}

/// Factor and summand per channel, of a node that is a batch norm or a scale.
fn channels<T: Scalar>(node: &Node<T>) -> Option<(Vec<T>, Vec<T>)> {
    match node.origin()? {
        Origin::BatchNorm(scale) => scale.per_channel(),
        Origin::Scale(constants) => constants.build(&node.shape).ok()?.per_channel(),
        _ => None,
    }
}

/// A batch norm with another one (or a scale) behind it: still a batch norm, which can be folded on.
fn rescaled<T: Scalar>(before: &Node<T>, scale: &[T], shift: &[T]) -> Option<Node<T>> {
    let (own_scale, own_shift) = channels(before)?;
    let both = own_scale.iter().zip(&own_shift).zip(scale.iter().zip(shift));
    let (scale, shift): (Vec<T>, Vec<T>) = both.map(|((&w1, &b1), (&w2, &b2))| (w1 * w2, b1 * w2 + b2)).unzip();
    let (zeros, ones) = (vec![T::zero(); scale.len()], vec![T::one(); scale.len()]);
    let op = Arc::new(Scale::batch_norm(&scale, &shift, &zeros, &ones, T::zero(), &before.shape).ok()?);
    Some(before.with(shared(op.clone()), Origin::BatchNorm(op), before.inputs.clone()))
}

/// For a batch norm or scale: its input, and what the layer there becomes with it folded in.
fn into_previous<T: Scalar>(new: &Rewrite<T>, node: &Node<T>, uses: &[usize]) -> Option<(usize, Node<T>)> {
    let (scale, shift) = channels(node)?;
    let &[input] = node.inputs.as_slice() else { return None };
    let before = new.node(input).filter(|_| uses.get(input) == Some(&1))?;
    if let Some(Origin::BatchNorm(_)) = before.origin() {
        return Some((input, rescaled(before, &scale, &shift)?));
    }
    let op = before.op().filter(|op| op.kind().group() == Group::Weighted)?;
    let folded = op.as_rescale()?.rescale_output(&scale, &shift)?;
    Some((input, before.with(folded, Origin::Other, before.inputs.clone())))
}

/// For a layer: the name of the batch norm or scale before it, and what the layer becomes with that folded in.
fn into_next<T: Scalar>(new: &Rewrite<T>, node: &Node<T>, uses: &[usize]) -> Option<(String, Node<T>)> {
    let &[input] = node.inputs.as_slice() else { return None };
    let before = new.node(input).filter(|_| uses.get(input) == Some(&1))?;
    let (scale, shift) = channels(before)?;
    node.op().filter(|op| op.kind().group() == Group::Weighted)?;
    if let Some(Origin::BatchNorm(_)) = node.origin() {
        let (own_scale, own_shift) = channels(node)?;
        let folded = rescaled(before, &own_scale, &own_shift)?;
        return Some((
            before.name.clone(),
            node.with(folded.op()?.clone(), folded.origin()?.clone(), before.inputs.clone()),
        ));
    }
    let folded = node.op()?.as_rescale()?.rescale_input(&scale, &shift)?;
    Some((before.name.clone(), node.with(folded, Origin::Other, before.inputs.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    #[test]
    fn into_the_layer_before() {
        for (op, weight, out, group) in
            [("Conv", [3, 2, 3, 3], 3, 1), ("ConvTranspose", [2, 3, 3, 3], 3, 1), ("Conv", [4, 1, 3, 3], 4, 2)]
        {
            let mut net = Net::new(&[2, 5, 6]);
            let (w, b) = (net.weight(&weight), net.weight(&[out]));
            let attributes = [("pads", Attr::Ints(&[1, 1, 1, 1])), ("group", Attr::Int(group))];
            let z = net.op(op, &["x", &w, &b], &attributes);
            net.batch_norm(&z, out);
            assert_eq!(kinds(&check_pass(run, &net, &[2, 5, 6], 1)).len(), 1);
        }
        let mut net = Net::new(&[4]);
        let w = net.weight(&[4, 3]);
        let z = net.op("Gemm", &["x", &w], &[]);
        let z = net.batch_norm(&z, 3);
        net.batch_norm(&z, 3);
        assert_eq!(kinds(&check_pass(run, &net, &[4], 2)), ["dense"]);
    }

    fn before_conv(pads: &[i64], between: Option<&str>) -> Net {
        let mut net = Net::new(&[2, 5, 6]);
        let w = net.weight(&[3, 2, 3, 3]);
        let mut x = net.batch_norm("x", 2);
        if let Some(op) = between {
            x = net.op(op, &[&x], &[]);
        }
        net.op("Conv", &[&x, &w], &[("pads", Attr::Ints(pads))]);
        net
    }

    #[test]
    fn into_the_layer_after_where_that_is_exact() {
        assert_eq!(kinds(&check_pass(run, &before_conv(&[0; 4], None), &[2, 5, 6], 1)), ["conv"]);
        assert_eq!(kinds(&check_pass(run, &before_conv(&[0, 1, 0, 0], None), &[2, 5, 6], 0)), ["batch-norm", "conv"]);
        let mut net = Net::new(&[4]);
        let (w, b) = (net.weight(&[4, 3]), net.weight(&[3]));
        let x = net.batch_norm("x", 4);
        net.op("Gemm", &[&x, &w, &b], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[4], 1)), ["dense"]);
    }

    #[test]
    fn batch_norms_and_scales_in_a_row() {
        // One after the other, before a convolution without padding.
        let mut net = Net::new(&[2, 5, 6]);
        let (w, c, d) = (net.weight(&[3, 2, 3, 3]), net.weight(&[2, 1, 1]), net.weight(&[1]));
        let x = net.batch_norm("x", 2);
        let x = net.batch_norm(&x, 2);
        let x = net.op("Mul", &[&x, &c], &[]);
        let x = net.op("Conv", &[&x, &w], &[]);
        net.op("Add", &[&x, &d], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[2, 5, 6], 4)), ["conv"]);
        // A scale before a batch norm.
        let mut net = Net::new(&[2, 5, 6]);
        let x = net.op("Mul", &["x", &c], &[]);
        let c = net.weight(&[2, 1, 1]);
        net.graph().node[0].input[1] = c;
        net.batch_norm(&x, 2);
        assert_eq!(kinds(&check_pass(run, &net, &[2, 5, 6], 1)), ["batch-norm"]);
        // Constants that differ within a channel stay.
        let mut net = Net::new(&[2, 5, 6]);
        let (w, c) = (net.weight(&[3, 2, 3, 3]), net.weight(&[5, 1]));
        let x = net.op("Mul", &["x", &c], &[]);
        net.op("Conv", &[&x, &w], &[]);
        check_pass(run, &net, &[2, 5, 6], 0);
    }

    #[test]
    fn the_order_of_densenet_stays() {
        let kept = check_pass(run, &before_conv(&[0; 4], Some("Relu")), &[2, 5, 6], 0);
        assert_eq!(kinds(&kept), ["batch-norm", "relu", "conv"]);
    }

    #[test]
    fn values_that_are_used_elsewhere_are_left_alone() {
        let mut net = Net::new(&[2, 5, 6]);
        let w = net.weight(&[2, 2, 1, 1]);
        let z = net.op("Conv", &["x", &w], &[]);
        let y = net.batch_norm(&z, 2);
        net.op("Add", &[&y, &z], &[]);
        check_pass(run, &net, &[2, 5, 6], 0);
        let mut net = Net::new(&[2, 5, 6]);
        let w = net.weight(&[2, 2, 1, 1]);
        let y = net.batch_norm("x", 2);
        let z = net.op("Conv", &[&y, &w], &[]);
        net.op("Add", &[&y, &z], &[]);
        check_pass(run, &net, &[2, 5, 6], 0);
    }
}
