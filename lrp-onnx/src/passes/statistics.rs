//! The parts of normalisations that exporters write out: means, variances, and quotients by a root.

use lrp_core::Scalar;
use lrp_core::operator::Kind;
use lrp_core::ops::Function;

use super::pattern::{function_of, numbers};
use crate::graph::{Graph, Node, Origin};

/// `numerator / √(square + epsilon)`, in ids of nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Divided {
    pub numerator: usize,
    pub square: usize,
    pub epsilon: f64,
}

/// A quotient by a root, or a product with the reciprocal of one.
pub(super) fn divided_by_root<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Divided> {
    let &[a, b] = node.inputs.as_slice() else { return None };
    let (numerator, square) = match node.kind()? {
        Kind::Div => (a, root(graph, unrepeated(graph, b)?, 0.5)?),
        Kind::Mul => match inverse_root(graph, b) {
            Some(square) => (a, square),
            None => (b, inverse_root(graph, a)?),
        },
        _ => return None,
    };
    let sum = graph.nodes.get(square)?;
    match (numbers(sum), sum.inputs.as_slice()) {
        (Some((1.0, epsilon)), &[square]) => Some(Divided { numerator, square, epsilon }),
        _ => Some(Divided { numerator, square, epsilon: 0.0 }),
    }
}

/// For `1 / √v` or `v^(−1/2)`, repeated or not: `v`.
fn inverse_root<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<usize> {
    let id = unrepeated(graph, id)?;
    match function_of(graph.nodes.get(id)?)? {
        (Function::Power { exponent: -1.0 }, x) => root(graph, unrepeated(graph, x)?, 0.5),
        _ => root(graph, id, -0.5),
    }
}

/// For `v^exponent` or, where that is a half, `√v`: `v`.
fn root<T: Scalar>(graph: &Graph<T>, id: usize, wanted: f64) -> Option<usize> {
    match function_of(graph.nodes.get(id)?)? {
        (Function::Sqrt, x) if wanted == 0.5 => Some(x),
        (Function::Power { exponent }, x) if exponent == wanted => Some(x),
        _ => None,
    }
}

/// For `x − mean(x)`: `x`, and over which axes the mean is.
pub(super) fn centred<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<(usize, &[usize])> {
    let node = graph.nodes.get(id)?;
    let (Origin::Difference, &[x, subtracted]) = (node.origin()?, node.inputs.as_slice()) else { return None };
    let (averaged, axes) = mean(graph, unrepeated(graph, subtracted)?)?;
    (averaged == x).then_some((x, axes))
}

/// For a variance, as the mean of squares of the centred values or as the mean of squares without the square of the mean: of what, and over
/// which axes.
pub(super) fn variance<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<(usize, &[usize])> {
    if let Some((square, axes)) = mean(graph, id) {
        let (x, centred_over) = centred(graph, squared(graph, square)?)?;
        return (centred_over == axes).then_some((x, axes));
    }
    let node = graph.nodes.get(id)?;
    // Rounding can make the difference negative, so that some files clip it.
    if let Some((Function::Relu, difference)) = function_of(node) {
        return variance_by_moments(graph, graph.nodes.get(difference)?);
    }
    variance_by_moments(graph, node)
}

/// For `mean(x²) − mean(x)²`: `x`, and over which axes the means are.
fn variance_by_moments<'g, T: Scalar>(graph: &'g Graph<T>, node: &Node<T>) -> Option<(usize, &'g [usize])> {
    let (Origin::Difference, &[squares, square]) = (node.origin()?, node.inputs.as_slice()) else { return None };
    let (x, axes) = mean_square(graph, squares)?;
    (mean(graph, squared(graph, square)?)? == (x, axes)).then_some((x, axes))
}

/// For `mean(x²)`: `x`, and over which axes the mean is.
pub(super) fn mean_square<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<(usize, &[usize])> {
    let (square, axes) = mean(graph, id)?;
    Some((squared(graph, square)?, axes))
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

/// The input that a node repeats, or the node itself.
fn unrepeated<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<usize> {
    let node = graph.nodes.get(id)?;
    if node.kind() == Some(Kind::Broadcast) { node.inputs.first().copied() } else { Some(id) }
}
