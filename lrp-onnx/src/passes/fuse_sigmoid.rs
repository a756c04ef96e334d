//! Recognises the logistic function where an exporter wrote it out: `1 / (1 + exp(−x))`, `exp(x) / (1 + exp(x))`, and
//! `v / (1 + exp(−x))`, which is `v` times it. (Exponentials and quotients have no relevance behaviour, a sigmoid has one,
//! and as the factor of a product it is a gate.)

use std::collections::HashSet;

use lrp_core::Scalar;
use lrp_core::operator::Kind;
use lrp_core::ops::{Activation, Function, Mul, shared};

use super::Passed;
use super::pattern::{close, function_of, lines};
use crate::graph::{Body, Constants, Graph, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let mut names: HashSet<String> = graph.nodes.iter().map(|node| node.name.clone()).collect();
    let mut new = Rewrite::default();
    for node in graph.nodes {
        let node = new.moved(node);
        match recognised(&new.graph, &node).and_then(|found| found.build(&mut new.graph, &node, &mut names)) {
            Some(built) => {
                new.changes.push(format!("'{}' is a sigmoid", node.name));
                new.replace(built);
            }
            None => new.replace(node),
        }
    }
    new.finish(graph.output)
}

/// `σ(weight · x + bias)`, times another node if there is one.
struct Sigmoid {
    x: usize,
    weight: f64,
    bias: f64,
    times: Option<usize>,
}

fn recognised<T: Scalar>(graph: &Graph<T>, node: &Node<T>) -> Option<Sigmoid> {
    if let Some((Function::Power { exponent }, denominator)) = function_of(node) {
        let (_, argument) = one_plus_exponential(graph, denominator).filter(|_| exponent == -1.0)?;
        return Some(of_negated(graph, argument, None));
    }
    let &[numerator, denominator] = node.inputs.as_slice() else { return None };
    if node.kind() != Some(Kind::Div) {
        return None;
    }
    let (exponential, argument) = one_plus_exponential(graph, denominator)?;
    if numerator == exponential {
        return Some(Sigmoid { x: argument, weight: 1.0, bias: 0.0, times: None });
    }
    Some(of_negated(graph, argument, Some(numerator)))
}

/// For `1 + exp(a)`: the exponential and `a`.
fn one_plus_exponential<T: Scalar>(graph: &Graph<T>, id: usize) -> Option<(usize, usize)> {
    let line = *lines(graph, id).last()?;
    let (function, argument) = function_of(graph.nodes.get(line.id)?)?;
    let fits = function == Function::Exp && close(line.weight, 1.0) && close(line.bias, 1.0);
    fits.then_some((line.id, argument))
}

/// `σ(−a)`.
fn of_negated<T: Scalar>(graph: &Graph<T>, a: usize, times: Option<usize>) -> Sigmoid {
    // The sign is mostly a node of its own, which is taken back here.
    let lines = lines(graph, a);
    match lines.get(1) {
        Some(line) => Sigmoid { x: line.id, weight: -line.weight, bias: 0.0 - line.bias, times },
        None => Sigmoid { x: a, weight: -1.0, bias: 0.0, times },
    }
}

impl Sigmoid {
    /// The node in place of `node`; what else is needed is added to the graph.
    fn build<T: Scalar>(&self, graph: &mut Graph<T>, node: &Node<T>, names: &mut HashSet<String>) -> Option<Node<T>> {
        let shape = graph.nodes.get(self.x)?.shape.clone();
        if shape != node.shape {
            return None;
        }
        let mut extra = |graph: &mut Graph<T>, what: &str, body: Body<T>, inputs: Vec<usize>| {
            let mut name = format!("{}/{what}", node.name);
            while !names.insert(name.clone()) {
                name.push('_');
            }
            graph.push(Node { name, body, inputs, shape: shape.clone() })
        };
        let x = if (self.weight, self.bias) == (1.0, 0.0) {
            self.x
        } else {
            let number = |value: f64| ndarray::arr0(T::of(value)).into_dyn();
            let bias = Some(self.bias).filter(|bias| *bias != 0.0).map(number);
            let constants = Constants { weight: Some(number(self.weight)), bias };
            let op = constants.build(&node.shape).ok()?;
            extra(graph, "argument", Body::Operator(shared(op), Origin::Scale(constants)), vec![self.x])
        };
        let sigmoid = shared(Activation::new(Function::Sigmoid, &node.shape).ok()?);
        let origin = Origin::Activation(Function::Sigmoid);
        let Some(other) = self.times else { return Some(node.with(sigmoid, origin, vec![x])) };
        let product = Mul::new(None, &node.shape).ok()?;
        let gate = extra(graph, "sigmoid", Body::Operator(sigmoid, origin), vec![x]);
        Some(node.with(shared(product), Origin::Other, vec![other, gate]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Net, check_pass, kinds};

    /// `1 + exp(−x)`, or the same with `exp(a)` and another summand.
    fn denominator(net: &mut Net, argument: &str, summand: f32) -> (String, String) {
        let one = net.floats(&[1], &[summand]);
        let exponential = net.op("Exp", &[argument], &[]);
        let sum = net.op("Add", &[&one, &exponential], &[]);
        (exponential, sum)
    }

    #[test]
    fn the_reciprocal_of_one_and_an_exponential() {
        let mut net = Net::new(&[3]);
        let negative = net.op("Neg", &["x"], &[]);
        let (_, sum) = denominator(&mut net, &negative, 1.0);
        net.op("Reciprocal", &[&sum], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["sigmoid"]);
        // As a constant over it, with a factor, and without a sign.
        for (summand, factor, expected) in
            [(1.0, -1.0, vec!["sigmoid", "scale"]), (1.0, -1.5, vec!["scale", "sigmoid", "scale"])]
        {
            let mut net = Net::new(&[3]);
            let (factor, two) = (net.floats(&[], &[factor]), net.floats(&[], &[2.0]));
            let negative = net.op("Mul", &["x", &factor], &[]);
            let (_, sum) = denominator(&mut net, &negative, summand);
            net.op("Div", &[&two, &sum], &[]);
            assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), expected);
        }
        let mut net = Net::new(&[3]);
        let (_, sum) = denominator(&mut net, "x", 1.0);
        net.op("Reciprocal", &[&sum], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["scale", "sigmoid"]);
    }

    #[test]
    fn quotients() {
        let mut net = Net::new(&[3]);
        let (exponential, sum) = denominator(&mut net, "x", 1.0);
        net.op("Div", &[&exponential, &sum], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["sigmoid"]);
        let mut net = Net::new(&[3]);
        let negative = net.op("Neg", &["x"], &[]);
        let (_, sum) = denominator(&mut net, &negative, 1.0);
        net.op("Div", &["x", &sum], &[]);
        assert_eq!(kinds(&check_pass(run, &net, &[3], 1)), ["sigmoid", "mul"]);
        let import = net.import().unwrap();
        let last: Vec<_> = import.model.nodes().filter_map(|(_, node)| node.kind()).collect();
        assert_eq!(last, [Kind::Silu]);
    }

    #[test]
    fn what_is_none_stays() {
        let mut net = Net::new(&[3]);
        let (_, sum) = denominator(&mut net, "x", 2.0);
        net.op("Reciprocal", &[&sum], &[]);
        check_pass(run, &net, &[3], 0);
        let mut net = Net::new(&[3]);
        let one = net.floats(&[], &[1.0]);
        let tanh = net.op("Tanh", &["x"], &[]);
        let sum = net.op("Add", &[&tanh, &one], &[]);
        net.op("Reciprocal", &[&sum], &[]);
        check_pass(run, &net, &[3], 0);
    }
}
