//! Recognises layer normalisation where an exporter wrote it out: `(x − mean) / √(mean((x − mean)²) + ε)`, and takes the
//! products and sums with constants that follow a layer normalisation for its own.

use std::sync::Arc;

use lrp_core::operator::Kind;
use lrp_core::ops::Function;
use lrp_core::{Scalar, Tensor};

use super::Passed;
use super::pattern::{function_of, numbers, rewrite};
use crate::graph::{Constants, Graph, Node, Normalization, Origin};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    rewrite(graph, "is a layer normalisation", |graph, node| quotient(graph, node).or_else(|| scaled(graph, node)))
}

fn made<T: Scalar>(node: &Node<T>, norm: Normalization<T>, x: usize) -> Option<Node<T>> {
    let op = norm.build(&node.shape).ok()?;
    Some(node.with(Arc::new(op), Origin::LayerNorm(norm), vec![x]))
}

/// The centred input divided by its standard deviation.
fn quotient<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Node<T>> {
    let (Kind::Div, &[numerator, denominator]) = (node.kind()?, node.inputs.as_slice()) else { return None };
    let (x, axes) = centred(graph, numerator)?;
    let root = graph.nodes.get(unrepeated(graph, denominator)?)?;
    let (Function::Sqrt, variance) = function_of(root)? else { return None };
    let sum = graph.nodes.get(variance)?;
    let ((1.0, epsilon), &[variance]) = (numbers(sum)?, sum.inputs.as_slice()) else { return None };
    let (square, variance_axes) = mean(graph, variance)?;
    if centred(graph, squared(graph, square)?)? != (x, axes) || variance_axes != axes {
        return None;
    }
    // The normalised axes have to be the last ones.
    let rank = node.shape.len();
    let first = rank.checked_sub(axes.len())?;
    if !axes.iter().copied().eq(first + 1..=rank) {
        return None;
    }
    let width = crate::tensor::volume(node.shape.get(first..)?).filter(|&n| n <= MAX_WIDTH)?;
    let norm = Normalization { axes: axes.len(), gamma: vec![T::one(); width], beta: None, epsilon: T::of(epsilon) };
    made(node, norm, x)
}

/// The most elements that are normalised together.
const MAX_WIDTH: usize = 1 << 20;

/// For `x − mean(x)`: `x`, and over which axes the mean is.
fn centred<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<(usize, &[usize])> {
    let node = graph.nodes.get(id)?;
    let (Origin::Difference, &[x, subtracted]) = (node.origin()?, node.inputs.as_slice()) else { return None };
    let (averaged, axes) = mean(graph, unrepeated(graph, subtracted)?)?;
    (averaged == x).then_some((x, axes))
}

/// For a mean: of what, and over which axes.
fn mean<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<(usize, &[usize])> {
    let node = graph.nodes.get(id)?;
    match (node.origin()?, node.inputs.as_slice()) {
        (Origin::Mean(axes), &[x]) => Some((x, axes)),
        _ => None,
    }
}

/// For a square: of what.
fn squared<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<usize> {
    let node = graph.nodes.get(id)?;
    match (function_of(node), node.inputs.as_slice()) {
        (Some((Function::Power { exponent: 2.0 }, x)), _) => Some(x),
        (_, &[a, b]) if a == b && node.kind() == Some(Kind::Mul) => Some(a),
        _ => None,
    }
}

/// What a node repeats, or the node itself.
fn unrepeated<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<usize> {
    let node = graph.nodes.get(id)?;
    if node.kind() == Some(Kind::Broadcast) { node.inputs.first().copied() } else { Some(id) }
}

/// A product or a sum with constants, of a layer normalisation.
fn scaled<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Node<T>> {
    let (Origin::Scale(Constants { weight, bias }), &[input]) = (node.origin()?, node.inputs.as_slice()) else {
        return None;
    };
    let before = graph.nodes.get(input)?;
    let (Origin::LayerNorm(norm), &[x]) = (before.origin()?, before.inputs.as_slice()) else { return None };
    let normalized = node.shape.get(node.shape.len().checked_sub(norm.axes)?..)?;
    let mut norm = norm.clone();
    if let Some(weight) = weight {
        let weight = spread(weight, normalized)?;
        norm.gamma.iter_mut().zip(&weight).for_each(|(g, &w)| *g *= w);
        norm.beta.iter_mut().flatten().zip(&weight).for_each(|(b, &w)| *b *= w);
    }
    if let Some(bias) = bias {
        let bias = spread(bias, normalized)?;
        norm.beta = Some(match norm.beta {
            Some(own) => own.iter().zip(bias).map(|(&a, b)| a + b).collect(),
            None => bias,
        });
    }
    made(node, norm, x)
}

/// A constant for each position of the normalised axes, if it depends on no other.
fn spread<T: Scalar>(constant: &Tensor<T>, normalized: &[usize]) -> Option<Vec<T>> {
    let others = constant.ndim().saturating_sub(normalized.len());
    let (others, own) = constant.shape().split_at_checked(others)?;
    let constant = constant.to_shape(own).ok().filter(|_| others.iter().all(|&d| d == 1))?;
    Some(constant.broadcast(normalized)?.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    fn written_out(axes: &[i64], product: bool) -> Net {
        let mut net = Net::new(&[2, 5]);
        let (two, epsilon) = (net.floats(&[], &[2.0]), net.floats(&[], &[0.5]));
        let mean = net.op("ReduceMean", &["x"], &[("axes", Attr::Ints(axes))]);
        let centred = net.op("Sub", &["x", &mean], &[]);
        let square =
            if product { net.op("Mul", &[&centred, &centred], &[]) } else { net.op("Pow", &[&centred, &two], &[]) };
        let variance = net.op("ReduceMean", &[&square], &[("axes", Attr::Ints(axes))]);
        let sum = net.op("Add", &[&variance, &epsilon], &[]);
        let root = net.op("Sqrt", &[&sum], &[]);
        net.op("Div", &[&centred, &root], &[]);
        net
    }

    #[test]
    fn with_and_without_scale_and_shift() {
        for (axes, product) in [(&[-1][..], false), (&[2], true), (&[1, 2], false)] {
            assert_eq!(kinds(&check_pass(run, &written_out(axes, product), &[2, 5], 1)), ["layer-norm"]);
            let mut net = written_out(axes, product);
            let (gamma, beta) = (net.weight(&[5]), net.weight(&[1, 1, 5]));
            let y = net.op("Mul", &["t6", &gamma], &[]);
            net.op("Add", &[&y, &beta], &[]);
            assert_eq!(kinds(&check_pass(run, &net, &[2, 5], 3)), ["layer-norm"]);
        }
    }

    #[test]
    fn constants_that_differ_along_other_axes_stay() {
        let mut net = written_out(&[-1], false);
        let gamma = net.weight(&[2, 1]);
        net.op("Mul", &["t6", &gamma], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[2, 5], 1)), ["layer-norm", "scale"]);
    }

    #[test]
    fn other_quotients_stay() {
        let kinds = kinds(&check_pass(run, &written_out(&[1], false), &[2, 5], 0));
        assert!(kinds.contains(&"div"), "{kinds:?}");
    }
}
