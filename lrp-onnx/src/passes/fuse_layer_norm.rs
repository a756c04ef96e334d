//! Recognises layer normalisation where an exporter wrote it out: `(x − mean) / √(var(x) + ε)`, with the variance and the quotient in any of
//! their forms, and takes the
//! products and sums with constants that follow a layer normalisation for its own. Where it is over other axes than the last
//! (over channels, in front), it stands between two transpositions.

use lrp_core::ops::{Transpose, shared};
use lrp_core::{Scalar, Tensor};

use super::Passed;
use super::statistics::{Divided, centred, divided_by_root, variance};
use crate::graph::{Constants, Graph, Node, Normalization, Origin, Rewrite};
use crate::names::Names;

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let mut names = Names::default();
    for node in &graph.nodes {
        names.unique(&node.name);
    }
    let mut new = Rewrite::default();
    for node in graph.nodes {
        let node = new.moved(node);
        let found = quotient(&new.graph, &node).or_else(|| scaled(&new.graph, &node));
        match found.and_then(|found| found.nodes(&node, &mut names)) {
            Some(nodes) => {
                new.changes.push(format!("'{}' is a layer normalisation", node.name));
                put(&mut new, nodes);
            }
            None => new.replace(node),
        }
    }
    new.finish(graph.output)
}

/// The recognised form of a node.
struct Found<T: Scalar> {
    norm: Normalization<T>,
    x: usize,
    /// The permutation of axes (batch included) that makes the normalised ones the last.
    permutation: Vec<usize>,
}

impl<T: Scalar> Found<T> {
    /// The normalisation in the node's place, or two transpositions with the normalisation between them, each of the others'
    /// input. All but the first have their inputs still to be set.
    fn nodes(self, node: &Node<T>, names: &mut Names) -> Option<Vec<Node<T>>> {
        let Self { norm, x, permutation } = self;
        if permutation.is_sorted() {
            let op = norm.build(&node.shape).ok()?;
            return Some(vec![node.with(shared(op), Origin::LayerNorm(norm), vec![x])]);
        }
        let mut transposition = |permutation: Vec<usize>, shape: &[usize], suffix: &str| {
            let op = Transpose::new(&permutation, shape).ok()?;
            let name = names.unique(&format!("{}/{suffix}", node.name));
            Some(Node { name, ..node.with(shared(op), Origin::Transpose(permutation), vec![x]) })
        };
        let inverse = inverse(&permutation);
        let there = transposition(permutation, &node.shape, "transpose")?;
        let back = transposition(inverse, &there.shape, "transpose back")?;
        let op = norm.build(&there.shape).ok()?;
        let norm = node.with(shared(op), Origin::LayerNorm(norm), Vec::new());
        Some(vec![there, norm, back])
    }
}

/// Puts a chain of nodes in the place of the next old one.
fn put<T: Scalar>(new: &mut Rewrite<T>, nodes: Vec<Node<T>>) {
    let mut nodes = nodes.into_iter();
    let Some(mut last) = nodes.next() else { return };
    for node in nodes {
        let id = new.graph.push(last);
        last = Node { inputs: vec![id], ..node };
    }
    new.replace(last);
}

fn inverse(permutation: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; permutation.len()];
    for (to, &from) in permutation.iter().enumerate() {
        if let Some(slot) = inverse.get_mut(from) {
            *slot = to;
        }
    }
    inverse
}

/// The centred input divided by its standard deviation.
fn quotient<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Found<T>> {
    let Divided { numerator, square, epsilon } = divided_by_root(graph, node)?;
    let (x, axes) = centred(graph, numerator)?;
    if variance(graph, square)? != (x, axes) {
        return None;
    }
    let permutation: Vec<usize> =
        (0..=node.shape.len()).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
    let lengths: Option<Vec<usize>> = axes.iter().map(|axis| node.shape.get(axis.checked_sub(1)?).copied()).collect();
    let width = crate::tensor::volume(&lengths?).filter(|&n| n <= MAX_WIDTH)?;
    let norm = Normalization { axes: axes.len(), gamma: vec![T::one(); width], beta: None, epsilon: T::of(epsilon) };
    Some(Found { norm, x, permutation })
}

/// The most elements that are normalised together.
const MAX_WIDTH: usize = 1 << 20;

/// A product or a sum with constants, of a layer normalisation.
fn scaled<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Found<T>> {
    let (Origin::Scale(Constants { weight, bias }), &[input]) = (node.origin()?, node.inputs.as_slice()) else {
        return None;
    };
    let Found { mut norm, x, permutation } = normalization(graph, input)?;
    let shape: Option<Vec<usize>> =
        permutation.iter().skip(1).map(|axis| node.shape.get(axis.checked_sub(1)?).copied()).collect();
    let shape = shape?;
    let normalized = shape.get(shape.len().checked_sub(norm.axes)?..)?;
    if let Some(weight) = weight {
        let weight = spread(&permuted(weight, &permutation)?, normalized)?;
        norm.gamma.iter_mut().zip(&weight).for_each(|(g, &w)| *g *= w);
        norm.beta.iter_mut().flatten().zip(&weight).for_each(|(b, &w)| *b *= w);
    }
    if let Some(bias) = bias {
        let bias = spread(&permuted(bias, &permutation)?, normalized)?;
        norm.beta = Some(match norm.beta {
            Some(own) => own.iter().zip(bias).map(|(&a, b)| a + b).collect(),
            None => bias,
        });
    }
    Some(Found { norm, x, permutation })
}

/// A layer normalisation, or one between two transpositions that undo each other.
fn normalization<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<Found<T>> {
    let node = graph.nodes.get(id)?;
    match (node.origin()?, node.inputs.as_slice()) {
        (Origin::LayerNorm(norm), &[x]) => {
            Some(Found { norm: norm.clone(), x, permutation: (0..=node.shape.len()).collect() })
        }
        (Origin::Transpose(back), &[between]) => {
            let between = graph.nodes.get(between)?;
            let (Origin::LayerNorm(norm), &[there]) = (between.origin()?, between.inputs.as_slice()) else {
                return None;
            };
            let there = graph.nodes.get(there)?;
            let (Origin::Transpose(permutation), &[x]) = (there.origin()?, there.inputs.as_slice()) else {
                return None;
            };
            let undone = *back == inverse(permutation);
            undone.then(|| Found { norm: norm.clone(), x, permutation: permutation.clone() })
        }
        _ => None,
    }
}

/// A constant whose axes are the sample's last ones, with all of them, in the permutation's order.
fn permuted<T: Scalar>(constant: &Tensor<T>, permutation: &[usize]) -> Option<Tensor<T>> {
    let missing = permutation.len().checked_sub(constant.ndim() + 1)?;
    let shape: Vec<usize> = std::iter::repeat_n(1, missing).chain(constant.shape().iter().copied()).collect();
    let axes: Option<Vec<usize>> = permutation.iter().skip(1).map(|axis| axis.checked_sub(1)).collect();
    Some(constant.to_shape(shape).ok()?.into_owned().permuted_axes(axes?))
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

    /// The forms in which files divide by a root.
    const ROOTS: [&str; 4] = ["sqrt", "half power", "reciprocal", "negative power"];

    /// `numerator / √(square + 0.5)`.
    fn divide(net: &mut Net, numerator: &str, square: &str, root: &str) -> String {
        let epsilon = net.floats(&[], &[0.5]);
        let sum = net.op("Add", &[square, &epsilon], &[]);
        let (half, minus_half) = (net.floats(&[], &[0.5]), net.floats(&[], &[-0.5]));
        match root {
            "sqrt" => {
                let root = net.op("Sqrt", &[&sum], &[]);
                net.op("Div", &[numerator, &root], &[])
            }
            "half power" => {
                let root = net.op("Pow", &[&sum, &half], &[]);
                net.op("Div", &[numerator, &root], &[])
            }
            "reciprocal" => {
                let root = net.op("Sqrt", &[&sum], &[]);
                let factor = net.op("Reciprocal", &[&root], &[]);
                net.op("Mul", &[numerator, &factor], &[])
            }
            _ => {
                let factor = net.op("Pow", &[&sum, &minus_half], &[]);
                net.op("Mul", &[&factor, numerator], &[])
            }
        }
    }

    fn written_out(axes: &[i64], product: bool) -> (Net, String) {
        let mut net = Net::new(&[2, 5]);
        let two = net.floats(&[], &[2.0]);
        let mean = net.op("ReduceMean", &["x"], &[("axes", Attr::Ints(axes))]);
        let centred = net.op("Sub", &["x", &mean], &[]);
        let square =
            if product { net.op("Mul", &[&centred, &centred], &[]) } else { net.op("Pow", &[&centred, &two], &[]) };
        let variance = net.op("ReduceMean", &[&square], &[("axes", Attr::Ints(axes))]);
        let y = divide(&mut net, &centred, &variance, "sqrt");
        (net, y)
    }

    #[test]
    fn every_form_of_the_quotient_and_the_variance() {
        for root in ROOTS {
            for clipped in [None, Some(false), Some(true)] {
                let mut net = Net::new(&[2, 5]);
                let axes = [("axes", Attr::Ints(&[-1]))];
                let mean = net.op("ReduceMean", &["x"], &axes);
                let centred = net.op("Sub", &["x", &mean], &[]);
                let variance = match clipped {
                    None => {
                        let square = net.op("Mul", &[&centred, &centred], &[]);
                        net.op("ReduceMean", &[&square], &axes)
                    }
                    // E[x²] − E[x]².
                    Some(clipped) => {
                        let square = net.op("Mul", &["x", "x"], &[]);
                        let squares = net.op("ReduceMean", &[&square], &axes);
                        let square = net.op("Mul", &[&mean, &mean], &[]);
                        let variance = net.op("Sub", &[&squares, &square], &[]);
                        if clipped { net.op("Relu", &[&variance], &[]) } else { variance }
                    }
                };
                divide(&mut net, &centred, &variance, root);
                assert_eq!(kinds(&check_pass(run, &net, &[2, 5], 1)), ["layer-norm"], "{root}, {clipped:?}");
            }
        }
    }

    #[test]
    fn with_and_without_scale_and_shift() {
        for (axes, product) in [(&[-1][..], false), (&[2], true), (&[1, 2], false)] {
            assert_eq!(kinds(&check_pass(run, &written_out(axes, product).0, &[2, 5], 1)), ["layer-norm"]);
            let (mut net, y) = written_out(axes, product);
            let (gamma, beta) = (net.weight(&[5]), net.weight(&[1, 1, 5]));
            let y = net.op("Mul", &[&y, &gamma], &[]);
            net.op("Add", &[&y, &beta], &[]);
            assert_eq!(kinds(&check_pass(run, &net, &[2, 5], 3)), ["layer-norm"]);
        }
    }

    #[test]
    fn constants_that_differ_along_other_axes_stay() {
        let (mut net, y) = written_out(&[-1], false);
        let gamma = net.weight(&[2, 1]);
        net.op("Mul", &[&y, &gamma], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[2, 5], 1)), ["layer-norm", "scale"]);
    }

    /// Over channels, as the original ConvNeXt has it: `weight[:, None, None] * x + bias[:, None, None]`.
    #[test]
    fn over_axes_in_front() {
        for axes in [&[1][..], &[1, 2]] {
            let mut net = Net::new(&[3, 2, 4]);
            let (two, epsilon) = (net.floats(&[], &[2.0]), net.floats(&[], &[0.5]));
            let shape: [i64; 3] = [3, if axes.len() == 2 { 2 } else { 1 }, 1];
            let (gamma, beta) = (net.weight(&shape), net.weight(&shape));
            let mean = net.op("ReduceMean", &["x"], &[("axes", Attr::Ints(axes))]);
            let centred = net.op("Sub", &["x", &mean], &[]);
            let square = net.op("Pow", &[&centred, &two], &[]);
            let variance = net.op("ReduceMean", &[&square], &[("axes", Attr::Ints(axes))]);
            let sum = net.op("Add", &[&variance, &epsilon], &[]);
            let root = net.op("Sqrt", &[&sum], &[]);
            let y = net.op("Div", &[&centred, &root], &[]);
            let y = net.op("Mul", &[&gamma, &y], &[]);
            net.op("Add", &[&y, &beta], &[]);
            let after = check_pass(run, &net, &[3, 2, 4], 3);
            assert_eq!(kinds(&after), ["transpose", "layer-norm", "transpose"]);
            assert_eq!(after.nodes.iter().filter(|n| n.name == "add8").count(), 1);
            // A weight for each column is none of the normalisation's.
            let columns = net.weight(&[4]);
            net.op("Mul", &["t8", &columns], &[]);
            assert_eq!(kinds(&check_pass(run, &net, &[3, 2, 4], 3)).last(), Some(&"scale"));
        }
    }

    #[test]
    fn other_quotients_stay() {
        let mut net = Net::new(&[2, 5]);
        let y = net.op("Relu", &["x"], &[]);
        let half = net.floats(&[], &[0.5]);
        let y = net.op("Add", &[&y, &half], &[]);
        net.op("Div", &["x", &y], &[]);
        let kinds = kinds(&check_pass(run, &net, &[2, 5], 0));
        assert!(kinds.contains(&"div"), "{kinds:?}");
    }
}
