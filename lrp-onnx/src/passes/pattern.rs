//! Common functions of the passes that recognise a pattern: several nodes that are one operator, written out.
//!
//! Such a pass looks from a node backwards at what the node is computed from. What a recognised node makes superfluous is
//! dropped with all that the output does not depend on; what is used elsewhere, too, stays. How far a search goes is
//! bounded, so that no graph makes it slow.

use lrp_core::Scalar;
use lrp_core::operator::Kind;
use lrp_core::ops::{Activation, Function, shared};

use super::Passed;
use crate::graph::{Constants, Graph, Node, Origin, Rewrite};

/// Puts what `recognise` finds in the place of a node; it gets the new graph so far and the node, whose inputs are ids of
/// that graph.
pub(super) fn rewrite<T: Scalar>(
    graph: Graph<T>,
    what: &str,
    mut recognise: impl FnMut(&Graph<T>, &Node<T>) -> Option<Node<T>>,
) -> Passed<T> {
    let mut new = Rewrite::default();
    for node in graph.nodes {
        let node = new.moved(node);
        match recognise(&new.graph, &node) {
            Some(found) => {
                new.changes.push(format!("'{}' {what}", node.name));
                new.replace(found);
            }
            None => new.replace(node),
        }
    }
    new.finish(graph.output)
}

/// The node made an elementwise function of `x`.
pub(super) fn activation<T: Scalar>(node: &Node<T>, function: Function, x: usize) -> Option<Node<T>> {
    let op = Activation::new(function, &node.shape).ok()?;
    Some(node.with(shared(op), Origin::Activation(function), vec![x]))
}

/// The function and the argument of an elementwise function.
pub(super) fn function_of<T: Scalar>(node: &Node<T>) -> Option<(Function, usize)> {
    match (node.origin()?, node.inputs.as_slice()) {
        (Origin::Activation(function), &[x]) => Some((*function, x)),
        _ => None,
    }
}

/// Whether two numbers agree to the precision that a file's constants have.
pub(super) fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * b.abs().max(1e-5)
}

/// A linear function of a node's value, `weight · value + bias`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub id: usize,
    pub weight: f64,
    pub bias: f64,
}

/// The factor and the summand of a node that multiplies and adds single numbers.
pub(super) fn numbers<T: Scalar>(node: &Node<T>) -> Option<(f64, f64)> {
    let number = |constant: &Option<lrp_core::Tensor<T>>, default: f64| match constant {
        None => Some(default),
        Some(t) if t.len() == 1 => t.first().map(|v| v.wide()),
        Some(_) => None,
    };
    let Some(Origin::Scale(Constants { weight, bias })) = node.origin() else { return None };
    Some((number(weight, 1.0)?, number(bias, 0.0)?))
}

/// The maximum number of steps of a search.
const STEPS: usize = 6;

/// The nodes of which a node is a linear function, from itself backwards.
pub(super) fn lines<T: Scalar>(graph: &Graph<T>, id: usize) -> Vec<Line> {
    let mut line = Line { id, weight: 1.0, bias: 0.0 };
    let mut found = vec![line];
    while found.len() <= STEPS
        && let Some(node) = graph.nodes.get(line.id)
        && let (Some((weight, bias)), &[input]) = (numbers(node), node.inputs.as_slice())
    {
        line = Line { id: input, weight: line.weight * weight, bias: line.weight * bias + line.bias };
        found.push(line);
    }
    found
}

/// The factors of a node: a number and other nodes.
fn factors<T: Scalar>(node: &Node<T>) -> Option<(f64, &[usize])> {
    match (node.kind()?, numbers(node)) {
        (Kind::Mul, _) => Some((1.0, &node.inputs)),
        (_, Some((weight, 0.0))) => Some((weight, &node.inputs)),
        _ => None,
    }
}

/// All nodes that a product is made of, directly or as factors of its factors.
fn all_factors<T: Scalar>(graph: &Graph<T>, product: &Node<T>) -> Vec<usize> {
    let mut found: Vec<usize> = factors(product).map(|(_, ids)| ids.to_vec()).unwrap_or_default();
    let mut next = 0;
    while next < STEPS
        && let Some(&id) = found.get(next)
    {
        found.extend(graph.nodes.get(id).and_then(factors).into_iter().flat_map(|(_, ids)| ids));
        next += 1;
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// For a product that is a number times `a` times `b`, the number.
fn product_of<T: Scalar>(graph: &Graph<T>, product: &Node<T>, a: usize, b: usize) -> Option<f64> {
    let (mut number, ids) = factors(product)?;
    let mut open = ids.to_vec();
    let mut times = (0, 0);
    let mut steps = 0;
    while let Some(id) = open.pop() {
        if id == a {
            times.0 += 1;
        } else if id == b {
            times.1 += 1;
        } else {
            let (weight, ids) = graph.nodes.get(id).and_then(factors)?;
            number *= weight;
            open.extend(ids);
        }
        steps += 1;
        if steps > 2 * STEPS {
            return None;
        }
    }
    (times == (1, 1)).then_some(number)
}

/// For a node that is `x · (weight · g(x) + bias)`, written in whatever order: the `x`. `gate` tells whether a node is a
/// linear function of `g(x)`, and which.
pub(super) fn gated<T: Scalar>(
    graph: &Graph<T>,
    node: &Node<T>,
    (weight, bias): (f64, f64),
    gate: impl Fn(&Graph<T>, usize, usize) -> Option<(f64, f64)>,
) -> Option<usize> {
    let ids = all_factors(graph, node);
    for &candidate in &ids {
        for &x in ids.iter().filter(|&&x| x != candidate) {
            let Some(found) = gate(graph, candidate, x) else { continue };
            let Some(number) = product_of(graph, node, x, candidate) else { continue };
            if close(number * found.0, weight) && close(number * found.1, bias) && same_shape(graph, node, x) {
                return Some(x);
            }
        }
    }
    None
}

fn same_shape<T: Scalar>(graph: &Graph<T>, node: &Node<T>, x: usize) -> bool {
    graph.nodes.get(x).is_some_and(|x| x.shape == node.shape)
}

/// The coefficients (constant first) of the polynomial in `x`, of degree three at most, that a node computes.
pub(super) fn polynomial<T: Scalar>(graph: &Graph<T>, id: usize, x: usize) -> Option<[f64; 4]> {
    polynomial_within(graph, id, x, &mut (3 * STEPS))
}

fn polynomial_within<T: Scalar>(graph: &Graph<T>, id: usize, x: usize, steps: &mut usize) -> Option<[f64; 4]> {
    if id == x {
        return Some([0.0, 1.0, 0.0, 0.0]);
    }
    *steps = steps.checked_sub(1)?;
    let node = graph.nodes.get(id)?;
    if let Some((Function::Power { exponent }, input)) = function_of(node) {
        let base = polynomial_within(graph, input, x, steps)?;
        return match exponent {
            2.0 => times(base, base),
            3.0 => times(times(base, base)?, base),
            _ => None,
        };
    }
    if let (Some((weight, bias)), &[input]) = (numbers(node), node.inputs.as_slice()) {
        let [constant, rest @ ..] = polynomial_within(graph, input, x, steps)?.map(|c| weight * c);
        let [a, b, c] = rest;
        return Some([constant + bias, a, b, c]);
    }
    let &[a, b] = node.inputs.as_slice() else { return None };
    match (node.kind()?, node.origin()?) {
        (Kind::Mul, _) => times(polynomial_within(graph, a, x, steps)?, polynomial_within(graph, b, x, steps)?),
        (_, Origin::Sum) => {
            let (a, b) = (polynomial_within(graph, a, x, steps)?, polynomial_within(graph, b, x, steps)?);
            Some(std::array::from_fn(|i| a.get(i).unwrap_or(&0.0) + b.get(i).unwrap_or(&0.0)))
        }
        _ => None,
    }
}

/// The product of two polynomials, if its degree is three at most.
fn times(a: [f64; 4], b: [f64; 4]) -> Option<[f64; 4]> {
    let mut product = [0.0; 4];
    for (i, a) in a.into_iter().enumerate() {
        for (j, b) in b.into_iter().enumerate() {
            if a * b != 0.0 {
                *product.get_mut(i + j)? += a * b;
            }
        }
    }
    Some(product)
}
