//! Cuts off the operators at the end of the model that hide the logit: softmax, sigmoid and their relatives. The logit is explained.
//!
//! The probability of a class also depends on the evidence for all other classes, and it is positive even where its logit is
//! negative: relevance that starts from it has the wrong sign. The pass walks from the output upwards, through what only
//! moves elements and through increasing and decreasing functions, to the innermost function that hides its argument. The
//! network computes the argument from then on; a decreasing function turns its sign (`1 − σ(z)` has the logit `−z`). A
//! model of the tail alone, from logits to the model's own output, is made beside it.

use std::collections::HashSet;
use std::sync::Arc;

use lrp_core::Scalar;
use lrp_core::operator::{Group, Kind};
use lrp_core::ops::{Activation, Concat, Function, Reshape, Scale, Select, Transpose, shared};

use super::Passed;
use super::pattern::{close, function_of, lines, numbers};
use crate::graph::{Body, Graph, Node, Origin};

/// The maximum depth of the search, and the number of nodes that it examines.
const LIMITS: (usize, usize) = (200, 2000);

/// An output as a function of logits.
#[derive(Debug)]
enum Tail {
    /// The value of this node: explained as it is.
    Logit(usize),
    /// An increasing function of one element.
    Increasing(usize, Step, Box<Tail>),
    /// A decreasing function of one element: the logit is turned.
    Decreasing(usize, Step, Box<Tail>),
    /// A softmax, or another node after which several elements have a certain sum. The order of elements stays.
    Normalized(usize, Box<Tail>),
    /// A difference from the largest element, as a softmax that is written out begins: the exponential does not overflow then, and
    /// the softmax is the same.
    Shifted(usize, Box<Tail>),
    /// A node that moves elements.
    Moved(usize, Box<Tail>),
    /// A concatenation, of heads for instance.
    Joined(usize, Vec<Tail>),
}

/// A function of one element.
#[derive(Debug, Clone, Copy)]
enum Step {
    Function(Function),
    /// `weight · x + bias`
    Line(f64, f64),
}

impl Step {
    fn value(self, x: f64) -> f64 {
        match self {
            Step::Function(function) => function.value(x),
            Step::Line(weight, bias) => weight * x + bias,
        }
    }

    /// Whether the function increases or decreases on an interval, if it does one of them.
    fn increases(self, (low, high): (f64, f64)) -> Option<bool> {
        match self {
            Step::Line(weight, _) => (weight != 0.0).then_some(weight > 0.0),
            Step::Function(function) => match function {
                Function::Sigmoid
                | Function::HardSigmoid { alpha: 0.0.., .. }
                | Function::Softplus
                | Function::Exp
                | Function::Tanh
                | Function::Erf
                | Function::Relu
                | Function::LeakyRelu { alpha: 0.0.. }
                | Function::Elu { alpha: 0.0.. }
                | Function::Clip { .. } => Some(true),
                Function::Log | Function::Sqrt => (low >= 0.0).then_some(true),
                Function::Power { exponent } => (low >= 0.0 && exponent != 0.0).then_some(exponent > 0.0),
                Function::Abs => (low >= 0.0 || high <= 0.0).then_some(low >= 0.0),
                _ => None,
            },
        }
    }

    /// Between which values it lies, on an interval on which it increases or decreases.
    fn range(self, (low, high): (f64, f64), increases: bool) -> Option<(f64, f64)> {
        let ends = if increases { (low, high) } else { (high, low) };
        let (low, high) = (self.value(ends.0), self.value(ends.1));
        // A function that is constant there says nothing about its argument.
        (low < high).then_some((low, high))
    }
}

/// The result: the tail, and the bounds of the output.
#[derive(Debug)]
struct Found {
    tail: Tail,
    range: (f64, f64),
    /// The innermost function keeps the sign of its argument (tanh), and so does the tail: nothing is hidden yet.
    keeps_sign: bool,
}

/// All numbers.
const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// Looks for tails in a graph.
struct Search<'g, T: Scalar> {
    graph: &'g Graph<T>,
    /// The number of nodes left to examine.
    left: usize,
}

impl<T: Scalar> Search<'_, T> {
    /// The tail that ends in a node, if a logit is hidden in it. With `one`, only such that keep the order of all elements.
    fn tail(&mut self, id: usize, one: bool, depth: usize) -> Option<Found> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let node = self.graph.nodes.get(id)?;
        if let Some(x) = self.normalized(node) {
            return self.normalization(id, x, one, depth);
        }
        match (self.step(node), node.kind()?, node.inputs.as_slice()) {
            (Some((step, x)), ..) => self.function(id, (step, x), one, depth),
            (None, Kind::Concat, inputs) => self.joined(id, inputs, one, depth),
            (None, Kind::Pad, _) => None,
            (None, kind, &[x]) if kind.group() == Group::Structural => {
                let found = self.tail(x, one, depth)?;
                Some(Found { tail: Tail::Moved(id, Box::new(found.tail)), ..found })
            }
            _ => None,
        }
    }

    /// The function of one element that a node is, and its argument.
    fn step(&self, node: &Node<T>) -> Option<(Step, usize)> {
        if let Some((function, x)) = function_of(node) {
            return Some((Step::Function(function), x));
        }
        let ((weight, bias), &[x]) = (uniform(node)?, node.inputs.as_slice()) else { return None };
        Some((Step::Line(weight, bias), x))
    }

    fn function(&mut self, id: usize, (step, x): (Step, usize), one: bool, depth: usize) -> Option<Found> {
        let found = match self.tail(x, one, depth) {
            Some(found) if !found.keeps_sign => found,
            found => self.hidden(step, x).or(found)?,
        };
        let increases = step.increases(found.range)?;
        let range = step.range(found.range, increases)?;
        let inner = Box::new(found.tail);
        let tail = if increases { Tail::Increasing(id, step, inner) } else { Tail::Decreasing(id, step, inner) };
        let keeps_sign = found.keeps_sign && tail.value(0.0) == Some(0.0);
        Some(Found { tail, range, keeps_sign })
    }

    /// The argument of a function that hides it, or that will where something is added to it: (tanh + 1) / 2 is a sigmoid.
    fn hidden(&self, step: Step, x: usize) -> Option<Found> {
        let Step::Function(function) = step else { return None };
        let keeps_sign = match function {
            Function::Sigmoid | Function::HardSigmoid { .. } | Function::Softplus | Function::Exp => false,
            Function::Tanh | Function::Erf => true,
            // A hard sigmoid, written out.
            Function::Clip { low, high } if low >= 0.0 && high.is_finite() => {
                return Some(Found { tail: self.line(x, (low + high) / 2.0)?, range: ANY, keeps_sign: false });
            }
            _ => return None,
        };
        Some(Found { tail: Tail::Logit(x), range: ANY, keeps_sign })
    }

    /// A node as an increasing linear function that has this value at zero.
    fn line(&self, id: usize, at_zero: f64) -> Option<Tail> {
        let lines = lines(self.graph, id);
        let last = lines.iter().skip(1).rposition(|line| line.weight > 0.0 && close(line.bias, at_zero))? + 1;
        let mut tail = Tail::Logit(lines.get(last)?.id);
        for line in lines.iter().take(last).rev() {
            let (weight, bias) = uniform(self.graph.nodes.get(line.id)?)?;
            let (step, inner) = (Step::Line(weight, bias), Box::new(tail));
            tail = match weight > 0.0 {
                true => Tail::Increasing(line.id, step, inner),
                false => Tail::Decreasing(line.id, step, inner),
            };
        }
        Some(tail)
    }

    fn normalization(&mut self, id: usize, x: usize, one: bool, depth: usize) -> Option<Found> {
        let node = self.graph.nodes.get(id)?;
        if one && !self.is_whole(node) {
            return None;
        }
        let inner = self.tail(x, true, depth).filter(|found| !found.keeps_sign);
        let range = match node.kind()? {
            Kind::Softmax => (0.0, 1.0),
            // A quotient of what is never negative.
            Kind::Div if inner.as_ref().is_some_and(|found| found.range.0 >= 0.0) => (0.0, f64::INFINITY),
            Kind::Div => return None,
            _ => (f64::NEG_INFINITY, 0.0),
        };
        let inner = Box::new(inner.map_or(Tail::Logit(x), |found| self.unshifted(node, found.tail)));
        Some(Found { tail: Tail::Normalized(id, inner), range, keeps_sign: false })
    }

    /// The tail of exponentials that a node divides by their sum: from the logits before their largest was subtracted, if it was.
    fn unshifted(&self, quotient: &Node<T>, tail: Tail) -> Tail {
        let Tail::Increasing(exp, step @ Step::Function(Function::Exp), inner) = tail else { return tail };
        let inner = match *inner {
            Tail::Logit(id) => match self.before_shift(quotient, id) {
                Some(logits) => Tail::Shifted(id, Box::new(Tail::Logit(logits))),
                None => Tail::Logit(id),
            },
            other => other,
        };
        Tail::Increasing(exp, step, Box::new(inner))
    }

    /// The minuend of a difference from its largest elements, which are those along the axis of the sum.
    fn before_shift(&self, quotient: &Node<T>, id: usize) -> Option<usize> {
        let node = self.graph.nodes.get(id)?;
        let (Some(Origin::Difference), &[logits, shift], &[_, sum]) =
            (node.origin(), node.inputs.as_slice(), quotient.inputs.as_slice())
        else {
            return None;
        };
        let largest = self.graph.nodes.get(self.unmoved(shift)).filter(|node| node.kind() == Some(Kind::Maximum))?;
        let sum = self.graph.nodes.get(self.unmoved(sum))?;
        let is_one = |node: &Node<T>| node.shape.iter().product::<usize>() == 1;
        let same = largest.shape == sum.shape || (is_one(largest) && is_one(sum));
        (largest.inputs == [logits] && same).then_some(logits)
    }

    /// The normalised value of a node, if it normalises: the argument of a softmax; `x` in `x / Σ x` and in `x − log Σ exp x`.
    fn normalized(&self, node: &Node<T>) -> Option<usize> {
        match (node.kind()?, node.origin()?, node.inputs.as_slice()) {
            (Kind::Softmax | Kind::LogSoftmax, _, &[x]) => Some(x),
            (Kind::Div, _, &[x, sum]) => self.is_sum_of(self.unmoved(sum), x).then_some(x),
            (_, Origin::Difference, &[x, log]) => {
                let (Function::Log, sum) = function_of(self.graph.nodes.get(self.unmoved(log))?)? else { return None };
                let sum = self.graph.nodes.get(self.unmoved(sum)).filter(|node| node.kind() == Some(Kind::Mean))?;
                let (Function::Exp, of) = function_of(self.graph.nodes.get(*sum.inputs.first()?)?)? else {
                    return None;
                };
                (of == x).then_some(x)
            }
            _ => None,
        }
    }

    /// Whether a node is the sum (or the mean, which is the same but for a factor) of `x`, or of `|x|`.
    fn is_sum_of(&self, sum: usize, x: usize) -> bool {
        let Some(node) = self.graph.nodes.get(sum).filter(|node| node.kind() == Some(Kind::Mean)) else { return false };
        node.inputs.iter().all(|&of| {
            let absolute = self.graph.nodes.get(of).and_then(function_of);
            of == x || matches!(absolute, Some((Function::Abs, argument)) if argument == x)
        })
    }

    /// The node whose elements a node repeats or reshapes.
    fn unmoved(&self, mut id: usize) -> usize {
        for _ in 0..LIMITS.0 {
            match self.graph.nodes.get(id).map(|node| (node.kind(), node.inputs.as_slice())) {
                Some((Some(Kind::Broadcast | Kind::Reshape | Kind::Identity), &[x])) => id = x,
                _ => break,
            }
        }
        id
    }

    /// Whether all elements of a sample are normalised together, so that their order stays.
    fn is_whole(&self, node: &Node<T>) -> bool {
        let size: usize = node.shape.iter().product();
        let (Some(op), Some(kind)) = (node.op(), node.kind()) else { return false };
        match kind {
            // Its detail is for people; the axis is found by the shape alone where there is one that is not of length one.
            Kind::Softmax | Kind::LogSoftmax => size == op.output_shape().iter().copied().max().unwrap_or(1),
            _ => node.inputs.get(1).and_then(|&sum| self.graph.nodes.get(self.unmoved(sum))).is_some_and(|sum| {
                let sum = match function_of(sum) {
                    Some((_, x)) => self.graph.nodes.get(self.unmoved(x)),
                    None => Some(sum),
                };
                sum.is_some_and(|sum| sum.shape.iter().product::<usize>() == 1)
            }),
        }
    }

    fn joined(&mut self, id: usize, inputs: &[usize], one: bool, depth: usize) -> Option<Found> {
        let mut range = (f64::INFINITY, f64::NEG_INFINITY);
        let mut any = false;
        let mut tails = Vec::new();
        for &input in inputs {
            let found = self.tail(input, one, depth).filter(|found| !found.keeps_sign);
            any |= found.is_some();
            let (tail, (low, high)) = found.map_or((Tail::Logit(input), ANY), |found| (found.tail, found.range));
            range = (range.0.min(low), range.1.max(high));
            tails.push(tail);
        }
        let cut = any && (!one || are_alike(&tails));
        cut.then_some(Found { tail: Tail::Joined(id, tails), range, keeps_sign: false })
    }
}

/// The one factor and the one summand that a node has for all elements.
fn uniform<T: Scalar>(node: &Node<T>) -> Option<(f64, f64)> {
    if let Some(numbers) = numbers(node) {
        return Some(numbers);
    }
    let Some(Origin::Scale(constants)) = node.origin() else { return None };
    let number = |constant: &Option<lrp_core::Tensor<T>>, default: f64| match constant {
        None => Some(default),
        Some(tensor) => {
            let first = tensor.first()?;
            tensor.iter().all(|v| v == first).then(|| first.wide())
        }
    };
    Some((number(&constants.weight, 1.0)?, number(&constants.bias, 0.0)?))
}

impl Tail {
    /// The output for a logit, where each element has one of its own.
    fn value(&self, logit: f64) -> Option<f64> {
        match self {
            Tail::Logit(_) => Some(logit),
            Tail::Increasing(_, step, inner) => Some(step.value(inner.value(logit)?)),
            Tail::Decreasing(_, step, inner) => Some(step.value(inner.value(-logit)?)),
            Tail::Moved(_, inner) => inner.value(logit),
            Tail::Shifted(..) => None,
            Tail::Joined(_, tails) => are_alike(tails).then(|| tails.first()?.value(logit)).flatten(),
            Tail::Normalized(..) => None,
        }
    }

    /// Whether the largest logit is the largest output.
    fn keeps_order<T: Scalar>(&self, search: &Search<'_, T>) -> bool {
        match self {
            Tail::Logit(_) => true,
            Tail::Increasing(_, _, inner)
            | Tail::Decreasing(_, _, inner)
            | Tail::Moved(_, inner)
            | Tail::Shifted(_, inner) => inner.keeps_order(search),
            Tail::Normalized(id, _) => search.graph.nodes.get(*id).is_some_and(|node| search.is_whole(node)),
            Tail::Joined(_, tails) => are_alike(tails),
        }
    }

    /// The nodes that are cut off, from the output upwards: a phrase for each.
    fn phrases<T: Scalar>(&self, graph: &Graph<T>, phrases: &mut Vec<String>) {
        let (Tail::Increasing(id, ..) | Tail::Decreasing(id, ..) | Tail::Normalized(id, _)) = self else {
            match self {
                Tail::Moved(_, inner) => inner.phrases(graph, phrases),
                Tail::Joined(_, tails) => tails.iter().for_each(|tail| tail.phrases(graph, phrases)),
                _ => {}
            }
            return;
        };
        if let Some(node) = graph.nodes.get(*id) {
            let phrase = format!("{} ('{}')", self.operator(node), node.name);
            if !phrases.contains(&phrase) {
                phrases.push(phrase);
            }
        }
        if let Tail::Increasing(_, _, inner) | Tail::Decreasing(_, _, inner) | Tail::Normalized(_, inner) = self {
            inner.phrases(graph, phrases);
        }
    }

    /// The name of an operator, as ONNX writes it.
    fn operator<T: Scalar>(&self, node: &Node<T>) -> &'static str {
        match (self, node.kind()) {
            (Tail::Decreasing(_, Step::Line(-1.0, 1.0), _), _) => "1 − p",
            (_, Some(Kind::Softmax)) => "Softmax",
            (_, Some(Kind::LogSoftmax)) => "LogSoftmax",
            (_, Some(Kind::Sigmoid)) => "Sigmoid",
            (_, Some(Kind::HardSigmoid)) => "HardSigmoid",
            (_, Some(Kind::Softplus)) => "Softplus",
            (_, Some(Kind::Exp)) => "Exp",
            (_, Some(Kind::Log)) => "Log",
            (_, Some(Kind::Clip)) => "Clip",
            (_, Some(Kind::Tanh)) => "Tanh",
            (_, Some(Kind::Div)) => "Div",
            (_, Some(Kind::Scale)) => "Scale",
            (_, Some(kind)) => kind.name(),
            (_, None) => "",
        }
    }

    /// Adds what computes the logits to a graph; the node that does.
    fn logits<T: Scalar>(&self, graph: &mut Graph<T>) -> Option<usize> {
        match self {
            Tail::Logit(id) => Some(*id),
            Tail::Increasing(_, _, inner) | Tail::Normalized(_, inner) | Tail::Shifted(_, inner) => inner.logits(graph),
            Tail::Decreasing(id, _, inner) => {
                let x = inner.logits(graph)?;
                let name = graph.nodes.get(*id)?.name.clone();
                negated(graph, x, name)
            }
            Tail::Moved(id, inner) => {
                let inputs = vec![inner.logits(graph)?];
                let node = graph.nodes.get(*id)?.clone();
                Some(graph.push(Node { inputs, ..node }))
            }
            Tail::Joined(id, tails) => {
                let inputs = tails.iter().map(|tail| tail.logits(graph)).collect::<Option<_>>()?;
                let node = graph.nodes.get(*id)?.clone();
                Some(graph.push(Node { inputs, ..node }))
            }
        }
    }

    /// Adds what computes the output from the logits `u` to the graph of the tail; the node that does. There is none where
    /// the output depends on logits that are not among those that are explained.
    fn output<T: Scalar>(&self, whole: &Graph<T>, tail: &mut Graph<T>, u: usize) -> Option<usize> {
        let shape = tail.nodes.get(u)?.shape.clone();
        let node = |id: &usize| whole.nodes.get(*id);
        match self {
            Tail::Logit(_) => Some(u),
            Tail::Increasing(id, step, inner) => {
                let x = inner.output(whole, tail, u)?;
                push_step(tail, &node(id)?.name, *step, x)
            }
            Tail::Decreasing(id, step, inner) => {
                let name = &node(id)?.name;
                let turned = push_step(tail, &format!("{name}/turned"), Step::Line(-1.0, 0.0), u)?;
                let x = inner.output(whole, tail, turned)?;
                push_step(tail, name, *step, x)
            }
            Tail::Normalized(id, inner) => {
                let node = node(id)?;
                if node.shape != shape {
                    return None;
                }
                // The quotient and the difference are those of a softmax and its logarithm where the tail is exact.
                let x = inner.output(whole, tail, u)?;
                match node.kind()? {
                    Kind::Softmax | Kind::LogSoftmax => Some(tail.push(Node { inputs: vec![x], ..node.clone() })),
                    _ => Self::written_out(whole, tail, node, x),
                }
            }
            Tail::Shifted(id, inner) => {
                let x = inner.output(whole, tail, u)?;
                Self::written_out(whole, tail, node(id)?, x)
            }
            Tail::Moved(id, inner) => {
                let node = node(id)?;
                if inner.value(0.0).is_some() {
                    return inner.output(whole, tail, u);
                }
                // Back to where the elements were, and here again.
                let before = whole.nodes.get(*node.inputs.first()?)?.shape.clone();
                let back: Arc<dyn lrp_core::operator::Operator<T>> = match (node.kind()?, node.origin()?) {
                    (Kind::Reshape, _) => shared(Reshape::new(&shape, &before).ok()?),
                    (Kind::Transpose, Origin::Transpose(permutation)) => {
                        let inverse: Vec<usize> = (0..permutation.len())
                            .map(|axis| permutation.iter().position(|&p| p == axis))
                            .collect::<Option<_>>()?;
                        shared(Transpose::new(&inverse, &shape).ok()?)
                    }
                    (Kind::Identity, _) => return inner.output(whole, tail, u),
                    _ => return None,
                };
                let back = push(tail, &format!("{}/back", node.name), back, vec![u]);
                let x = inner.output(whole, tail, back)?;
                Some(tail.push(Node { inputs: vec![x], ..node.clone() }))
            }
            Tail::Joined(id, tails) => {
                if let (Some(_), Some(first)) = (self.value(0.0), tails.first()) {
                    return first.output(whole, tail, u);
                }
                let node = node(id)?;
                let shapes: Vec<&[usize]> =
                    node.inputs.iter().filter_map(|&i| whole.nodes.get(i)).map(|n| n.shape.as_slice()).collect();
                let axis = joined_axis(&shapes, &node.shape)?;
                let (mut start, mut inputs) = (0, Vec::new());
                for (i, (part, inner)) in shapes.iter().zip(tails).enumerate() {
                    let length = *part.get(axis)?;
                    let pick = Select::slice(axis + 1, start, 1, length, &shape).ok()?;
                    let part = push(tail, &format!("{}/part{i}", node.name), shared(pick), vec![u]);
                    inputs.push(inner.output(whole, tail, part)?);
                    start += length;
                }
                let op = Concat::new(axis + 1, &shapes).ok()?;
                Some(push(tail, &node.name, shared(op), inputs))
            }
        }
    }

    /// A normalisation that is written out: the nodes from `x` to the quotient or difference, anew.
    fn written_out<T: Scalar>(whole: &Graph<T>, tail: &mut Graph<T>, node: &Node<T>, x: usize) -> Option<usize> {
        let &[of, second] = node.inputs.as_slice() else { return None };
        // From the second input upwards to the first.
        let mut between = Vec::new();
        let mut id = second;
        while id != of {
            let step = whole.nodes.get(id)?;
            between.push(step);
            id = *step.inputs.first()?;
        }
        let mut last = x;
        for step in between.into_iter().rev() {
            last = tail.push(Node { inputs: vec![last], ..step.clone() });
        }
        Some(tail.push(Node { inputs: vec![x, last], ..node.clone() }))
    }
}

/// The axis (without the batch) along which parts are concatenated.
fn joined_axis(parts: &[&[usize]], whole: &[usize]) -> Option<usize> {
    match parts {
        [_] => Some(0),
        parts => (0..whole.len()).find(|&axis| parts.iter().any(|part| part.get(axis) != whole.get(axis))),
    }
}

/// Whether all parts are the same function of their logits.
fn are_alike(tails: &[Tail]) -> bool {
    [-3.0, -1.0, -0.2, 0.0, 0.7, 2.0].iter().all(|&logit| {
        let values: Option<Vec<f64>> = tails.iter().map(|tail| tail.value(logit)).collect();
        values.is_some_and(|values| values.windows(2).all(|pair| matches!(pair, [a, b] if close(*a, *b))))
    })
}

fn push<T: Scalar>(
    graph: &mut Graph<T>,
    name: &str,
    op: Arc<dyn lrp_core::operator::Operator<T>>,
    inputs: Vec<usize>,
) -> usize {
    let shape = op.output_shape().to_vec();
    graph.push(Node { name: name.to_owned(), body: Body::Operator(op, Origin::Other), inputs, shape })
}

fn push_step<T: Scalar>(graph: &mut Graph<T>, name: &str, step: Step, x: usize) -> Option<usize> {
    let shape = graph.nodes.get(x)?.shape.clone();
    let op: Arc<dyn lrp_core::operator::Operator<T>> = match step {
        Step::Function(function) => shared(Activation::new(function, &shape).ok()?),
        Step::Line(weight, bias) => {
            let number = |v: f64| Some(ndarray::arr0(T::of(v)).into_dyn());
            shared(Scale::new(number(weight), number(bias), &shape).ok()?)
        }
    };
    Some(push(graph, name, op, vec![x]))
}

/// `−x`; where `x` is `−y`, that is `y`.
fn negated<T: Scalar>(graph: &mut Graph<T>, x: usize, name: String) -> Option<usize> {
    let node = graph.nodes.get(x)?;
    if let (Some((-1.0, 0.0)), &[y]) = (uniform(node), node.inputs.as_slice())
        && graph.nodes.get(y).is_some_and(|y| y.shape == node.shape)
    {
        return Some(y);
    }
    let shape = node.shape.clone();
    let constants = crate::graph::Constants { weight: Some(ndarray::arr0(-T::one()).into_dyn()), bias: None };
    let op = constants.build(&shape).ok()?;
    Some(graph.push(Node { name, body: Body::Operator(shared(op), Origin::Scale(constants)), inputs: vec![x], shape }))
}

/// The tail of a graph, if there is one, with a phrase for each node that it cuts off.
fn found<T: Scalar>(graph: &Graph<T>) -> Option<(Tail, Vec<String>)> {
    let mut search = Search { graph, left: LIMITS.1 };
    let tail = search.tail(graph.output, false, LIMITS.0).filter(|found| !found.keeps_sign)?.tail;
    let mut phrases = Vec::new();
    tail.phrases(graph, &mut phrases);
    Some((tail, phrases))
}

pub(super) fn run<T: Scalar>(mut graph: Graph<T>) -> Passed<T> {
    let Some((tail, phrases)) = found(&graph) else { return (graph, Vec::new()) };
    let before = (graph.nodes.len(), graph.output);
    match tail.logits(&mut graph) {
        Some(output) => {
            graph.output = output;
            (with_unique_names(graph.compact()), phrases)
        }
        None => {
            graph.nodes.truncate(before.0);
            graph.output = before.1;
            (graph, Vec::new())
        }
    }
}

/// A copy of a node whose original stays needs a name of its own.
fn with_unique_names<T: Scalar>(mut graph: Graph<T>) -> Graph<T> {
    let mut taken: HashSet<String> = HashSet::new();
    for node in &mut graph.nodes {
        while !taken.insert(node.name.clone()) {
            node.name.push_str("/logit");
        }
    }
    graph
}

/// The nodes that are cut off a graph, for the rest of the program.
#[derive(Debug, Clone)]
pub(crate) struct Cut<T: Scalar> {
    /// From logits to the model's own output; none where that depends on more than the logits that are explained.
    pub graph: Option<Graph<T>>,
    /// Whether the largest logit is the largest output.
    pub keeps_order: bool,
}

/// The function that the pass cuts off a graph.
pub(super) fn output_function<T: Scalar>(graph: &Graph<T>) -> Option<Cut<T>> {
    let (tail, _) = found(graph)?;
    let keeps_order = tail.keeps_order(&Search { graph, left: 0 });
    let shape = graph.nodes.get(graph.output)?.shape.clone();
    let mut function = Graph::default();
    let u =
        function.push(Node { name: "logits".into(), body: Body::Input { explained: true }, inputs: Vec::new(), shape });
    let output = tail.output(graph, &mut function, u);
    let function = output.map(|output| with_unique_names(Graph { output, ..function }));
    Some(Cut { graph: function, keeps_order })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, forward, kinds, varied};

    /// A network whose output is called after its last node, and the network with a tail that is appended.
    fn body() -> (Net, String) {
        let mut net = Net::new(&[4]);
        let (w, b) = (net.weight(&[4, 3]), net.weight(&[3]));
        let z = net.op("Gemm", &["x", &w, &b], &[]);
        (net, z)
    }

    /// Checks that a tail is cut, that the logits are `sign` times those of the network without it, and that the output function
    /// computes what the tail does.
    fn check(name: &str, sign: &[f64], output: impl Fn(f64) -> f64, append: impl Fn(&mut Net, &str)) {
        let (plain, _) = body();
        let (mut net, z) = body();
        append(&mut net, &z);
        let x = varied(&[5, 4]);
        let import = net.import().unwrap_or_else(|e| panic!("{name}: {e}"));
        let z = forward(&plain.import().unwrap().model, &x);
        let logits = forward(&import.model, &x);
        let cut = import.passes.iter().find(|pass| pass.name == "cut-output").unwrap();
        assert!(cut.changes > 0, "{name} is not cut");
        let expected: Vec<f64> = z
            .outer_iter()
            .flat_map(|z| sign.iter().flat_map(move |s| z.iter().map(|z| s * z).collect::<Vec<_>>()))
            .collect();
        assert_eq!(logits.iter().copied().collect::<Vec<_>>(), expected, "{name}");
        let function = import.output_function.unwrap_or_else(|| panic!("{name}: no output function"));
        let (outputs, raw) = (function.of(&logits), evaluated(&net, &x));
        for (a, b) in outputs.iter().zip(raw.iter()) {
            assert!((a - b).abs() < 1e-12, "{name}: {a}, not {b}");
        }
        for (z, y) in expected.iter().zip(outputs.iter()).filter(|_| !output(0.0).is_nan()) {
            assert!((output(*z) - y).abs() < 1e-6, "{name}: {y} of {z}");
        }
    }

    fn evaluated(net: &Net, x: &lrp_core::Tensor<f64>) -> lrp_core::Tensor<f64> {
        forward(&net.raw().into_model().unwrap(), x)
    }

    fn sigma(z: f64) -> f64 {
        1.0 / (1.0 + (-z).exp())
    }

    #[test]
    fn a_softmax_goes_and_what_stood_behind_it_stays() {
        let mut net = Net::new(&[2, 3]);
        let x = net.op("Softmax", &["x"], &[("axis", Attr::Int(1))]);
        net.op("Flatten", &[&x], &[]);
        let (graph, what) = run(net.raw());
        assert_eq!(what, ["Softmax ('softmax0')"]);
        assert_eq!(kinds(&graph), ["reshape"]);
        let notes = net.import().unwrap().notes;
        assert_eq!(notes[0], "the model ends in Softmax ('softmax0'); the logits before it are explained");
        // Three groups of two: the largest logit may be in another group than the largest probability.
        assert!(notes[1].contains("the largest logit need not be the largest output"), "{notes:?}");
        assert_eq!(notes.len(), 2);
        let mut net = Net::new(&[3]);
        net.op("Softmax", &["x"], &[]);
        assert_eq!(net.import().unwrap().notes.len(), 1);
    }

    #[test]
    fn a_softmax_that_subtracts_the_largest_is_explained_by_what_it_is_subtracted_from() {
        let (mut net, z) = body();
        let along = [("axes", Attr::Ints(&[1])), ("keepdims", Attr::Int(1))];
        let largest = net.op("ReduceMax", &[&z], &along);
        let shifted = net.op("Sub", &[&z, &largest], &[]);
        let e = net.op("Exp", &[&shifted], &[]);
        let axes = net.ints(&[1]);
        let sum = net.op("ReduceSum", &[&e, &axes], &[]);
        net.op("Div", &[&e, &sum], &[]);
        let import = net.import().unwrap();
        let (mut plain, _) = body();
        plain.op("Identity", &[&z], &[]);
        let x = varied(&[3, 4]);
        let logits = forward(&import.model, &x);
        assert_eq!(logits, forward(&plain.import().unwrap().model, &x));
        let exponentials = logits.mapv(f64::exp);
        let sums = exponentials.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1));
        let difference = (net.run(&x) - exponentials / sums).mapv(f64::abs);
        assert!(difference.iter().all(|d| *d < 1e-12), "{difference}");
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

    #[test]
    fn one_logit_is_explained_in_the_singular() {
        let mut net = Net::new(&[2]);
        let w = net.floats(&[2, 1], &[-1.0, 1.0]);
        let z = net.op("Gemm", &["x", &w], &[]);
        net.op("Sigmoid", &[&z], &[]);
        let import = net.import().unwrap();
        assert_eq!(import.notes, ["the model ends in Sigmoid ('sigmoid1'); the logit before it is explained"]);
        assert_eq!(forward(&import.model, &ndarray::array![[2.0, 1.0]].into_dyn()), ndarray::array![[-1.0]].into_dyn());
    }

    #[test]
    fn functions_of_one_element() {
        for op in ["Sigmoid", "HardSigmoid", "Softplus", "Exp"] {
            check(op, &[1.0], |_| f64::NAN, |net, z| _ = net.op(op, &[z], &[]));
        }
        check(
            "log sigmoid",
            &[1.0],
            |z| sigma(z).ln(),
            |net, z| {
                let p = net.op("Sigmoid", &[z], &[]);
                net.op("Log", &[&p], &[]);
            },
        );
        check(
            "clipped",
            &[1.0],
            |_| f64::NAN,
            |net, z| {
                let (low, high) = (net.floats(&[], &[1e-7]), net.floats(&[], &[1.0 - 1e-7]));
                let p = net.op("Sigmoid", &[z], &[]);
                net.op("Clip", &[&p, &low, &high], &[]);
            },
        );
        check(
            "twice",
            &[1.0],
            |z| sigma(sigma(z)),
            |net, z| {
                let p = net.op("Sigmoid", &[z], &[]);
                net.op("Sigmoid", &[&p], &[]);
            },
        );
        check(
            "percent",
            &[1.0],
            |z| 100.0 * sigma(z),
            |net, z| {
                let hundred = net.floats(&[], &[100.0]);
                let p = net.op("Sigmoid", &[z], &[]);
                net.op("Mul", &[&p, &hundred], &[]);
            },
        );
        check("the other class", &[-1.0], sigma, |net, z| {
            let one = net.floats(&[], &[1.0]);
            let p = net.op("Sigmoid", &[z], &[]);
            net.op("Sub", &[&one, &p], &[]);
        });
        check(
            "complementary log-log",
            &[1.0],
            |z| 1.0 - (-z.exp()).exp(),
            |net, z| {
                let one = net.floats(&[], &[1.0]);
                let e = net.op("Exp", &[z], &[]);
                let e = net.op("Neg", &[&e], &[]);
                let e = net.op("Exp", &[&e], &[]);
                net.op("Sub", &[&one, &e], &[]);
            },
        );
    }

    #[test]
    fn sigmoids_that_are_written_out() {
        for reciprocal in [true, false] {
            check("1 / (1 + e^-z)", &[1.0], sigma, |net, z| {
                let one = net.floats(&[1], &[1.0]);
                let e = net.op("Neg", &[z], &[]);
                let e = net.op("Exp", &[&e], &[]);
                let e = net.op("Add", &[&one, &e], &[]);
                match reciprocal {
                    true => net.op("Reciprocal", &[&e], &[]),
                    false => net.op("Div", &[&one, &e], &[]),
                };
            });
        }
        check(
            "(tanh + 1) / 2",
            &[1.0],
            |z| sigma(2.0 * z),
            |net, z| {
                let (one, half) = (net.floats(&[], &[1.0]), net.floats(&[], &[0.5]));
                let t = net.op("Tanh", &[z], &[]);
                let t = net.op("Add", &[&t, &one], &[]);
                net.op("Mul", &[&t, &half], &[]);
            },
        );
        check(
            "tanh / 2 + 1 / 2",
            &[1.0],
            |z| sigma(2.0 * z),
            |net, z| {
                let half = net.floats(&[], &[0.5]);
                let t = net.op("Tanh", &[z], &[]);
                let t = net.op("Mul", &[&t, &half], &[]);
                net.op("Add", &[&half, &t], &[]);
            },
        );
        check(
            "hard",
            &[1.0],
            |z| (0.2 * z + 0.5).clamp(0.0, 1.0),
            |net, z| {
                let (fifth, half) = (net.floats(&[], &[0.2]), net.floats(&[], &[0.5]));
                let (low, high) = (net.floats(&[], &[0.0]), net.floats(&[], &[1.0]));
                let t = net.op("Mul", &[z, &fifth], &[]);
                let t = net.op("Add", &[&t, &half], &[]);
                net.op("Clip", &[&t, &low, &high], &[]);
            },
        );
    }

    #[test]
    fn normalizations() {
        for op in ["Softmax", "LogSoftmax"] {
            check(op, &[1.0], |_| f64::NAN, |net, z| _ = net.op(op, &[z], &[]));
        }
        check(
            "log of softmax",
            &[1.0],
            |_| f64::NAN,
            |net, z| {
                let p = net.op("Softmax", &[z], &[]);
                net.op("Log", &[&p], &[]);
            },
        );
        check(
            "softmax of sigmoid",
            &[1.0],
            |_| f64::NAN,
            |net, z| {
                let p = net.op("Sigmoid", &[z], &[]);
                net.op("Softmax", &[&p], &[]);
            },
        );
        check(
            "through reshapes and transpositions",
            &[1.0],
            |_| f64::NAN,
            |net, z| {
                let (rows, flat) = (net.ints(&[0, 3, 1]), net.ints(&[0, 3]));
                let z = net.op("Reshape", &[z, &rows], &[]);
                let p = net.op("Softmax", &[&z], &[("axis", Attr::Int(1))]);
                let p = net.op("Transpose", &[&p], &[("perm", Attr::Ints(&[0, 2, 1]))]);
                net.op("Reshape", &[&p, &flat], &[]);
            },
        );
        check(
            "e^z / sum",
            &[1.0],
            |_| f64::NAN,
            |net, z| {
                let axes = net.ints(&[1]);
                let e = net.op("Exp", &[z], &[]);
                let sum = net.op("ReduceSum", &[&e, &axes], &[]);
                net.op("Div", &[&e, &sum], &[]);
            },
        );
        check(
            "sigmoid / sum",
            &[1.0],
            |_| f64::NAN,
            |net, z| {
                let axes = net.ints(&[1]);
                let e = net.op("Sigmoid", &[z], &[]);
                let size = net.op("Abs", &[&e], &[]);
                let sum = net.op("ReduceSum", &[&size, &axes], &[]);
                net.op("Div", &[&e, &sum], &[]);
            },
        );
        check(
            "z - log sum e^z",
            &[1.0],
            |_| f64::NAN,
            |net, z| {
                let axes = net.ints(&[1]);
                let e = net.op("Exp", &[z], &[]);
                let sum = net.op("ReduceSum", &[&e, &axes], &[]);
                let log = net.op("Log", &[&sum], &[]);
                net.op("Sub", &[z, &log], &[]);
            },
        );
    }

    #[test]
    fn pairs_and_heads() {
        for first in [true, false] {
            let sign: &[f64] = if first { &[-1.0, 1.0] } else { &[1.0, -1.0] };
            check("1 - p beside p", sign, sigma, |net, z| {
                let one = net.floats(&[], &[1.0]);
                let p = net.op("Sigmoid", &[z], &[]);
                let q = net.op("Sub", &[&one, &p], &[]);
                net.op(
                    "Concat",
                    &if first { [&q, &p] } else { [&p, &q] }.map(String::as_str),
                    &[("axis", Attr::Int(1))],
                );
            });
        }
        check(
            "the log of a pair",
            &[-1.0, 1.0],
            |z| sigma(z).ln(),
            |net, z| {
                let one = net.floats(&[], &[1.0]);
                let p = net.op("Sigmoid", &[z], &[]);
                let q = net.op("Sub", &[&one, &p], &[]);
                let both = net.op("Concat", &[&q, &p], &[("axis", Attr::Int(1))]);
                net.op("Log", &[&both], &[]);
            },
        );
        check(
            "two heads",
            &[1.0, 1.0],
            |_| f64::NAN,
            |net, z| {
                let p = net.op("Sigmoid", &[z], &[]);
                let q = net.op("Softmax", &[z], &[]);
                net.op("Concat", &[&p, &q], &[("axis", Attr::Int(1))]);
            },
        );
        check(
            "one head of two",
            &[1.0, 1.0],
            |_| f64::NAN,
            |net, z| {
                let p = net.op("Sigmoid", &[z], &[]);
                net.op("Concat", &[z, &p], &[("axis", Attr::Int(-1))]);
            },
        );
    }

    #[test]
    fn names_stay_unique_where_a_part_of_the_tail_is_used_elsewhere() {
        let (mut net, z) = body();
        let column = net.ints(&[0, 3, 1]);
        let p = net.op("Sigmoid", &[&z], &[]);
        let p = net.op("Reshape", &[&p, &column], &[]);
        let more = net.op("Cos", &[&p], &[]);
        net.op("Concat", &[&p, &more], &[("axis", Attr::Int(1))]);
        let model = net.import().unwrap().model;
        assert!(model.nodes().any(|(_, node)| node.name == "reshape2/logit"), "{model:?}");
    }

    #[test]
    fn what_hides_nothing_or_mixes_stays() {
        let stays = |append: &dyn Fn(&mut Net, &str)| {
            let (mut net, z) = body();
            append(&mut net, &z);
            assert_eq!(run(net.raw()).1, [""; 0], "{:?}", kinds(&net.raw()));
        };
        for op in ["Relu", "Tanh", "LeakyRelu", "Elu", "Erf", "Abs", "Cos", "Sin", "Sqrt", "Log", "Gelu", "HardSwish"] {
            stays(&|net, z| {
                *net = std::mem::replace(net, Net::new(&[1])).opset(20);
                net.op(op, &[z], &[]);
            });
        }
        stays(&|net, z| {
            let two = net.floats(&[], &[-2.0]);
            let t = net.op("Tanh", &[z], &[]);
            net.op("Mul", &[&t, &two], &[]);
        });
        // Factors that differ change the order.
        stays(&|net, z| {
            let factors = net.floats(&[3], &[1.0, 2.0, 3.0]);
            let t = net.op("Sigmoid", &[z], &[]);
            net.op("Mul", &[&t, &factors], &[]);
        });
        stays(&|net, z| {
            let t = net.op("Sigmoid", &[z], &[]);
            net.op("Mul", &[&t, z], &[]);
        });
        // A limit of what is no hard sigmoid.
        stays(&|net, z| {
            let (low, high) = (net.floats(&[], &[0.0]), net.floats(&[], &[6.0]));
            net.op("Clip", &[z, &low, &high], &[]);
        });
    }

    #[test]
    fn only_the_softmax_goes_where_what_is_before_it_does_not_keep_the_order() {
        let (mut net, z) = body();
        let p = net.op("Sigmoid", &[&z], &[]);
        let both = net.op("Concat", &[&p, &z], &[("axis", Attr::Int(1))]);
        net.op("Softmax", &[&both], &[]);
        assert_eq!(run(net.raw()).1, ["Softmax ('softmax3')"]);
        let (mut net, z) = body();
        let t = net.op("Tanh", &[&z], &[]);
        net.op("Softmax", &[&t], &[]);
        assert_eq!(run(net.raw()).1, ["Softmax ('softmax2')"]);
    }

    #[test]
    fn one_probability_of_a_softmax_has_no_output_function() {
        let (mut net, z) = body();
        let index = net.ints(&[1]);
        let p = net.op("Softmax", &[&z], &[]);
        net.op("Gather", &[&p, &index], &[("axis", Attr::Int(1))]);
        let import = net.import().unwrap();
        assert!(import.output_function.is_none());
        assert_eq!(import.passes.iter().find(|p| p.name == "cut-output").unwrap().what, ["Softmax ('softmax1')"]);
    }
}
