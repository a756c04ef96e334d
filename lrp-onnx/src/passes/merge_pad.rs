//! Merges padding by zeros into the convolution that follows (as TensorFlow's exporters write it), where zeros outside
//! the image are what the convolution's own padding means.
//!
//! Only into convolutions: pooling treats its own padding as absent, so a merged pad would change the result.

use lrp_core::Scalar;
use lrp_core::ops::{Pad, PadMode, shared};

use super::Passed;
use crate::graph::{Convolution, Graph, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let uses = graph.uses();
    let mut new = Rewrite::default();
    for node in graph.nodes {
        match merged(&new, &node, &uses) {
            Some((conv, pad)) => {
                new.changes.push(format!("'{pad}' into '{}'", node.name));
                new.replace(conv);
            }
            None => new.keep(node),
        }
    }
    new.finish(graph.output)
}

/// The convolution with the padding before it merged, and the padding's name.
fn merged<T: Scalar>(new: &Rewrite<T>, conv: &Node<T>, uses: &[usize]) -> Option<(Node<T>, String)> {
    let (Some(Origin::Conv(convolution)), &[input]) = (conv.origin(), conv.inputs.as_slice()) else { return None };
    let before = new.node(input).filter(|_| uses.get(input) == Some(&1))?;
    let Some(Origin::Pad(pad)) = before.origin() else { return None };
    let convolution = padded(convolution, pad)?;
    let op = convolution.build::<T>(before.op()?.input_shapes().first()?).ok()?;
    let conv = conv.with(shared(op), Origin::Conv(convolution), before.inputs.clone());
    Some((conv, before.name.clone()))
}

/// The convolution with more padding, if the pad is one of zeros around the spatial axes.
fn padded(convolution: &Convolution, pad: &Pad) -> Option<Convolution> {
    let (begin, end) = pad.pads();
    let (&[0, ref begin @ ..], &[0, ref end @ ..]) = (begin, end) else { return None };
    if pad.mode() != PadMode::Constant(0.0) {
        return None;
    }
    let mut convolution = convolution.clone();
    let spec = &mut convolution.spec;
    for (own, pads) in [(&mut spec.pad_begin, begin), (&mut spec.pad_end, end)] {
        for (own, &more) in own.iter_mut().zip(pads) {
            *own += usize::try_from(more).ok()?;
        }
    }
    Some(convolution)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    fn net(pads: &[i64], mode: &'static str) -> Net {
        let mut net = Net::new(&[2, 5, 6]);
        let (pads, w) = (net.ints(pads), net.weight(&[3, 2, 3, 3]));
        let x = net.op("Pad", &["x", &pads], &[("mode", Attr::Text(mode))]);
        net.op("Conv", &[&x, &w], &[("pads", Attr::Ints(&[1, 0, 1, 0])), ("strides", Attr::Ints(&[2, 2]))]);
        net
    }

    #[test]
    fn zeros_around_the_image_are_merged() {
        let merged = check_pass(run, &net(&[0, 0, 0, 1, 0, 0, 1, 2], "constant"), &[2, 5, 6], 1);
        assert_eq!(kinds(&merged), ["conv"]);
    }

    #[test]
    fn other_padding_stays() {
        check_pass(run, &net(&[0, 0, 1, 1, 0, 0, 1, 1], "edge"), &[2, 5, 6], 0);
        check_pass(run, &net(&[0, 0, 1, -1, 0, 0, 1, 1], "constant"), &[2, 5, 6], 0);
        let mut pooled = Net::new(&[2, 5, 6]);
        let pads = pooled.ints(&[0, 0, 1, 1, 0, 0, 1, 1]);
        let x = pooled.op("Pad", &["x", &pads], &[]);
        pooled.op("MaxPool", &[&x], &[("kernel_shape", Attr::Ints(&[2, 2]))]);
        check_pass(run, &pooled, &[2, 5, 6], 0);
    }
}
