//! Finds out which factor of a product is the gate; the other one, the signal, takes all relevance.
//!
//! A gate is what depends on the activations only through a *bounded activation* — a sigmoid, a hard sigmoid, a tanh, the
//! error function, a clip to an interval within [−1, 1] — with nothing behind it but affine elementwise steps (products and
//! sums with constants, sums and differences of gates, a batch norm), pooling, means and sums over axes, interpolation,
//! selections (the larger of two, a clip, a ReLU), and steps that move elements around (slices, concatenations of gates,
//! broadcasts, paddings). A dense layer or a convolution mixes as it was trained, so that what comes out is no gate.
//!
//! Where both factors qualify, the one whose values keep their sign is the gate (`tanh(a) · σ(b)`, as WaveNet and LSTM cells
//! have it). Where both do or neither does, and where no factor qualifies, the product is left as one of equals. A softmax
//! is no gate: its values are shares of one sum.
//!
//! A factor that carries no relevance, because it depends on no explained input, is the gate of one that does.
//!
//! A product with a reciprocal, or with any other negative power, is a division: the numerator takes all relevance (Achtibat et al. 2024,
//! Proposition 3.4), and the divisor is the gate.

use lrp_core::Scalar;
use lrp_core::operator::{Group, Kind};
use lrp_core::ops::{Function, Mul, PadMode, shared};

use super::Passed;
use crate::carriers::carries;
use crate::graph::{Body, Constants, Graph, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let mut new = Rewrite::default();
    // For each node of the new graph what is known of its values.
    let mut values: Vec<Value> = Vec::new();
    let mut carriers: Vec<bool> = Vec::new();
    for node in graph.nodes {
        let node = new.moved(node);
        values.push(value_of(&node, &values));
        carriers.push(carries(&node, &carriers));
        match beside_a_carrier(&new.graph, &node, &carriers).or_else(|| decided(&new.graph, &node, &values)) {
            Some((decision, node)) => {
                new.changes.push(format!("'{}': {decision}", node.name));
                new.replace(node);
            }
            None => new.replace(node),
        }
    }
    new.finish(graph.output)
}

/// A product of a factor that carries relevance and one that does not, which is also given in words.
fn beside_a_carrier<T: Scalar>(graph: &Graph<T>, node: &Node<T>, carriers: &[bool]) -> Option<(String, Node<T>)> {
    let op = node.op().filter(|op| op.kind().group() == Group::Product && op.gate_input().is_none())?;
    let &[a, b] = node.inputs.as_slice() else { return None };
    let gate = match (carriers.get(a)?, carriers.get(b)?) {
        (true, false) => 1,
        (false, true) => 0,
        _ => return None,
    };
    let name = graph.nodes.get(if gate == 0 { a } else { b }).map(|node| node.name.as_str()).unwrap_or_default();
    let reason = format!("'{name}' depends on no explained input");
    let op = match op.kind() {
        Kind::Mul => shared(Mul::new(Some(gate), &node.shape).ok()?.because(reason.clone())),
        _ => op.with_shares([0, 1].map(|factor| if factor == gate { 0.0 } else { 1.0 }))?,
    };
    let node = node.with(op, Origin::Other, node.inputs.clone());
    Some((format!("input {gate} is the gate: {reason}"), node))
}

/// A product with what was decided about its factors, which is also given in words.
fn decided<T: Scalar>(graph: &Graph<T>, node: &Node<T>, values: &[Value]) -> Option<(String, Node<T>)> {
    node.op().filter(|op| op.kind() == Kind::Mul && op.gate_input().is_none())?;
    let &[a, b] = node.inputs.as_slice() else { return None };
    let (gate, reason) = decide([values.get(a)?, values.get(b)?], a == b, graph);
    let op = Mul::new(gate, &node.shape).ok()?.because(reason);
    let node = node.with(shared(op), Origin::Other, node.inputs.clone());
    Some((node.op()?.factors()?, node))
}

/// The gate among two factors, if one is, and the reason.
fn decide<T: Scalar>(factors: [&Value; 2], same: bool, graph: &Graph<T>) -> (Option<usize>, String) {
    if same {
        return (None, "both factors are the same value".into());
    }
    let [a, b] = factors;
    match [a, b].map(Value::divisor) {
        [Some(source), None] => return (Some(0), divisor_in_words(graph, source)),
        [None, Some(source)] => return (Some(1), divisor_in_words(graph, source)),
        _ => {}
    }
    // Weights by a softmax and values by a tanh, as attention pools them: the values are no gate of the weights.
    let softmax = factors.iter().position(|value| matches!(value, Value::Softmax));
    let [gate_a, gate_b] =
        [a, b].map(|value| value.gate().filter(|gate| softmax.is_none() || gate.range.keeps_its_sign()));
    match (gate_a, gate_b) {
        (Some(a), None) => (Some(0), a.describe(graph)),
        (None, Some(b)) => (Some(1), b.describe(graph)),
        (Some(a), Some(b)) => {
            let (one, other) = (a.describe(graph), b.describe(graph));
            // A comparison has no use for relevance.
            match (a.is_step(), b.is_step()) {
                (true, false) => return (Some(0), one),
                (false, true) => return (Some(1), other),
                _ => {}
            }
            match (a.range.keeps_its_sign(), b.range.keeps_its_sign()) {
                (true, false) => (Some(0), format!("{one}; input 1 is bounded, too, but has both signs: {other}")),
                (false, true) => (Some(1), format!("{other}; input 0 is bounded, too, but has both signs: {one}")),
                (true, true) => (None, format!("both factors are gates: {one}; {other}")),
                (false, false) => (None, format!("both factors are bounded and have both signs: {one}; {other}")),
            }
        }
        (None, None) => {
            let reason = match softmax {
                Some(input) => {
                    format!("input {input} comes from a softmax, which is not a gate: its values are shares of one sum")
                }
                None => {
                    "neither factor comes from a bounded activation (sigmoid, tanh and the like) by affine steps".into()
                }
            };
            (None, reason)
        }
    }
}

fn divisor_in_words<T: Scalar>(graph: &Graph<T>, source: usize) -> String {
    let name = graph.nodes.get(source).map(|node| node.name.as_str()).unwrap_or_default();
    format!("'{name}' is a negative power, and a product with it is a division")
}

/// The known properties of a node's values.
#[derive(Debug, Clone)]
enum Value {
    /// Nothing that matters here.
    Other,
    /// A softmax, or what affine steps made of it.
    Softmax,
    /// The same for every input.
    Constant(Range),
    /// Anything up to a limit, or from one on: one half of a clip that is written as a minimum and a maximum.
    Limited(Range),
    /// Depends on the activations through bounded activations only.
    Bounded(Bounded),
    /// A negative power of activations, by this node, or a multiple of it.
    Divisor(usize),
}

impl Value {
    fn gate(&self) -> Option<&Bounded> {
        match self {
            Value::Bounded(bounded) if bounded.is_gate => Some(bounded),
            _ => None,
        }
    }

    /// The node that made it a divisor.
    fn divisor(&self) -> Option<usize> {
        if let Value::Divisor(source) = self { Some(*source) } else { None }
    }

    fn range(&self) -> Option<Range> {
        match self {
            Value::Constant(range) | Value::Bounded(Bounded { range, .. }) => Some(*range),
            _ => None,
        }
    }

    /// After a step that makes another range of the range.
    fn after(&self, step: Kind, range: impl FnOnce(Range) -> Range) -> Self {
        match self {
            Value::Bounded(before) => before.after(step, range(before.range)),
            Value::Constant(before) => Range::checked(range(*before)).map_or(Value::Other, Value::Constant),
            Value::Softmax => Value::Softmax,
            Value::Divisor(source) if step.group() == Group::Structural && step != Kind::Pad => Value::Divisor(*source),
            Value::Other | Value::Limited(_) | Value::Divisor(_) => Value::Other,
        }
    }
}

/// A value that depends on the activations through bounded activations only.
#[derive(Debug, Clone)]
struct Bounded {
    /// The bounded activation, or the first of several.
    source: usize,
    function: &'static str,
    several: bool,
    /// The operators since, as far as they change values.
    steps: Vec<&'static str>,
    range: Range,
    /// Always, but for a clip that leaves room for values beyond 1, such as a ReLU6: as long as nothing scales it.
    is_gate: bool,
}

/// Step functions, in words.
const COMPARISON: &str = "comparison";
const SIGN: &str = "sign";

impl Bounded {
    /// The number of steps that are listed.
    const TOLD: usize = 4;

    fn after(&self, step: Kind, range: Range) -> Value {
        let Some(range) = Range::checked(range) else { return Value::Other };
        let mut steps = self.steps.clone();
        // What only moves elements around needs no mention.
        if (step.group() != Group::Structural || step == Kind::Pad) && steps.last() != Some(&step.name()) {
            match steps.len() {
                ..Self::TOLD => steps.push(step.name()),
                Self::TOLD => steps.push("…"),
                _ => {}
            }
        }
        Value::Bounded(Self { steps, range, is_gate: self.is_gate || range.is_within_one(), ..*self })
    }

    /// Whether it comes from a step function alone.
    fn is_step(&self) -> bool {
        !self.several && [COMPARISON, SIGN].contains(&self.function)
    }

    fn describe<T: Scalar>(&self, graph: &Graph<T>) -> String {
        let name = graph.nodes.get(self.source).map(|node| node.name.as_str()).unwrap_or_default();
        let more = if self.several { " and others" } else { "" };
        let then = if self.steps.is_empty() { String::new() } else { format!(", then {}", self.steps.join(", ")) };
        format!("{} '{name}'{more}{then}, in {}", self.function, self.range)
    }
}

/// The interval that values lie in.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without a sign of zero.
        let short = |v: f64| (v * 1e4).round() / 1e4 + 0.0;
        write!(f, "[{}, {}]", short(self.low), short(self.high))
    }
}

impl Range {
    const ALL: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    fn new(a: f64, b: f64) -> Self {
        Self { low: a.min(b), high: a.max(b) }
    }

    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        values.map(|v| Self::new(v, v)).reduce(Self::hull)
    }

    fn checked(range: Self) -> Option<Self> {
        (range.low.is_finite() && range.high.is_finite()).then_some(range)
    }

    fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    fn plus(self, other: Self) -> Self {
        Self { low: self.low + other.low, high: self.high + other.high }
    }

    fn times(self, other: Self) -> Self {
        let Self { low, high } = self;
        Self::new(low * other.low, low * other.high).hull(Self::new(high * other.low, high * other.high))
    }

    /// The range of a monotone function of the values.
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self::new(f(self.low), f(self.high))
    }

    /// Whether values are on one side of zero, but for rounding errors of constants in f32.
    fn keeps_its_sign(self) -> bool {
        let slack = 1e-6 * self.low.abs().max(self.high.abs());
        self.low >= -slack || self.high <= slack
    }

    fn is_within_one(self) -> bool {
        self.low >= -1.0 - 1e-6 && self.high <= 1.0 + 1e-6
    }
}

/// The known properties of a node's values, given those of the nodes before it.
fn value_of<T: Scalar>(node: &Node<T>, values: &[Value]) -> Value {
    let inputs: Option<Vec<&Value>> = node.inputs.iter().map(|&input| values.get(input)).collect();
    let (Some(kind), Some(inputs)) = (node.kind(), inputs) else {
        return match &node.body {
            Body::Constant(constant) => Range::of(constant.iter().map(|v| v.wide()))
                .and_then(Range::checked)
                .map_or(Value::Other, Value::Constant),
            _ => Value::Other,
        };
    };
    let here = values.len();
    // Whether something holds decides how much passes.
    if kind.group() == Group::Step {
        let (function, low) = if kind == Kind::Sign { (SIGN, -1.0) } else { (COMPARISON, 0.0) };
        let range = Range { low, high: 1.0 };
        return Value::Bounded(Bounded {
            source: here,
            function,
            several: false,
            steps: Vec::new(),
            range,
            is_gate: true,
        });
    }
    match (inputs.as_slice(), node.origin()) {
        (&[x], Some(Origin::Activation(function))) => of_function(*function, x, kind, here),
        (&[Value::Divisor(source)], Some(Origin::Scale(Constants { bias: None, .. }))) => Value::Divisor(*source),
        (&[x], Some(Origin::Scale(constants))) => x.after(kind, |range| of_scale(constants, range)),
        (&[x], Some(Origin::BatchNorm(norm))) => match norm.per_channel() {
            Some((weights, shifts)) => {
                let channel = |(w, s): (&T, &T)| Some((w.wide(), s.wide()));
                let lines: Vec<(f64, f64)> = weights.iter().zip(&shifts).filter_map(channel).collect();
                x.after(kind, |range| of_lines(&lines, range))
            }
            None => Value::Other,
        },
        (&[x], Some(Origin::Combination { total, overshoot })) => x.after(kind, |range| {
            let beyond = overshoot * (range.high - range.low);
            range.map(|v| total * v).plus(Range::new(-beyond, beyond))
        }),
        (&[x], Some(Origin::Pad(pad))) => x.after(kind, |range| match pad.mode() {
            PadMode::Constant(value) => range.hull(Range::new(value, value)),
            PadMode::Reflect | PadMode::Edge => range,
        }),
        (&[a, b], Some(Origin::Difference)) => joined(&[a, b], kind, |ranges| {
            ranges.iter().skip(1).fold(ranges.first().copied(), |sum, r| Some(sum?.plus(r.map(|v| -v))))
        }),
        (_, Some(Origin::Sum)) => joined(&inputs, kind, |ranges| ranges.iter().copied().reduce(Range::plus)),
        (&[x], _) => match kind {
            Kind::Softmax => Value::Softmax,
            Kind::Mean | Kind::MaxPool | Kind::Resize | Kind::Identity => x.after(kind, |range| range),
            // Padded positions count as zeros, or a window sees nothing else.
            Kind::AvgPool | Kind::Pad => x.after(kind, |range| range.hull(Range::new(0.0, 0.0))),
            kind if kind.group() == Group::Structural => x.after(kind, |range| range),
            _ => Value::Other,
        },
        _ => match kind {
            // The condition decides which, and has no part in the value.
            Kind::Where => match inputs.split_first() {
                Some((_, chosen)) => joined(chosen, kind, |ranges| ranges.iter().copied().reduce(Range::hull)),
                None => Value::Other,
            },
            Kind::Concat => joined(&inputs, kind, |ranges| ranges.iter().copied().reduce(Range::hull)),
            Kind::Maximum | Kind::Minimum => {
                let pick = if kind == Kind::Maximum { f64::max } else { f64::min };
                let both = |a: Range, b: Range| Range { low: pick(a.low, b.low), high: pick(a.high, b.high) };
                joined(&inputs, kind, |ranges| ranges.iter().copied().reduce(both))
            }
            // What one gate leaves, another one can gate: only what has both signs is a signal.
            Kind::Mul if inputs.iter().all(|v| v.gate().is_some_and(|gate| gate.range.keeps_its_sign())) => {
                joined(&inputs, kind, |ranges| ranges.iter().copied().reduce(Range::times))
            }
            Kind::Mul => match inputs.as_slice() {
                [Value::Divisor(source), Value::Divisor(_) | Value::Constant(_)]
                | [Value::Constant(_), Value::Divisor(source)] => Value::Divisor(*source),
                _ => Value::Other,
            },
            _ => Value::Other,
        },
    }
}

/// The values of an elementwise function.
fn of_function(function: Function, x: &Value, kind: Kind, here: usize) -> Value {
    let bounded = |function: &'static str, low: f64, high: f64| {
        let range = Range { low, high };
        let is_gate = range.is_within_one();
        Value::Bounded(Bounded { source: here, function, several: false, steps: Vec::new(), range, is_gate })
    };
    let not_negative = x.range().is_some_and(|range| range.low >= 0.0);
    match (function, x) {
        (Function::Power { exponent }, _) if exponent < 0.0 && !matches!(x, Value::Constant(_)) => Value::Divisor(here),
        (Function::Power { .. } | Function::Sqrt | Function::Abs, Value::Divisor(source)) => Value::Divisor(*source),
        (Function::Sigmoid, _) => bounded("sigmoid", 0.0, 1.0),
        (Function::HardSigmoid { .. }, _) => bounded("hard sigmoid", 0.0, 1.0),
        (Function::Tanh, _) => bounded("tanh", -1.0, 1.0),
        (Function::Erf, _) => bounded("error function", -1.0, 1.0),
        (Function::Clip { .. } | Function::Relu, Value::Other | Value::Limited(_) | Value::Divisor(_)) => {
            let (low, high) =
                if let Function::Clip { low, high } = function { (low, high) } else { (0.0, f64::INFINITY) };
            let before = if let Value::Limited(range) = x { *range } else { Range::ALL };
            let after = Range { low: before.low.max(low).min(high), high: before.high.max(low).min(high) };
            match Range::checked(after) {
                Some(range) => bounded("clip", range.low, range.high),
                None => Value::Limited(after),
            }
        }
        (Function::Clip { low, high }, _) => x.after(kind, |range| range.map(|v| v.max(low).min(high))),
        (Function::Relu, _) => x.after(kind, |range| range.map(|v| v.max(0.0))),
        (Function::LeakyRelu { alpha }, _) if alpha >= 0.0 => {
            x.after(kind, |range| range.map(|v| if v < 0.0 { alpha * v } else { v }))
        }
        (Function::Abs, _) => x.after(kind, |range| match range.keeps_its_sign() {
            true => range.map(f64::abs),
            false => Range::new(0.0, range.low.abs().max(range.high.abs())),
        }),
        (Function::Sqrt, _) if not_negative => x.after(kind, |range| range.map(f64::sqrt)),
        (Function::Power { exponent }, _) if not_negative && exponent > 0.0 => {
            x.after(kind, |range| range.map(|v| v.powf(exponent)))
        }
        _ => Value::Other,
    }
}

/// The combination of several gates or constants, at least one of them a gate.
fn joined(inputs: &[&Value], kind: Kind, range: impl FnOnce(&[Range]) -> Option<Range>) -> Value {
    let bounded: Vec<&Bounded> =
        inputs.iter().filter_map(|v| if let Value::Bounded(b) = v { Some(b) } else { None }).collect();
    let ranges: Option<Vec<Range>> = inputs.iter().map(|value| value.range()).collect();
    let (Some(first), Some(range)) = (bounded.first(), ranges.and_then(|ranges| range(&ranges))) else {
        let softmax = inputs.iter().any(|v| matches!(v, Value::Softmax));
        let all = inputs.iter().all(|v| matches!(v, Value::Softmax | Value::Constant(_)));
        return if softmax && all { Value::Softmax } else { Value::Other };
    };
    let several = bounded.iter().any(|b| b.several || b.source != first.source);
    let is_gate = bounded.iter().all(|b| b.is_gate);
    Bounded { several, is_gate, ..(*first).clone() }.after(kind, range)
}

/// The range of `weight ⊙ x + bias`.
fn of_scale<T: Scalar>(constants: &Constants<T>, range: Range) -> Range {
    let Constants { weight, bias } = constants;
    if let (Some(weight), Some(bias)) = (weight, bias)
        && weight.shape() == bias.shape()
    {
        let lines: Vec<(f64, f64)> = weight.iter().zip(bias).map(|(w, b)| (w.wide(), b.wide())).collect();
        return of_lines(&lines, range);
    }
    let all = |constant: &Option<lrp_core::Tensor<T>>, default: f64| {
        let values = constant.iter().flatten().map(|v| v.wide());
        Range::of(values).unwrap_or(Range::new(default, default))
    };
    range.times(all(weight, 1.0)).plus(all(bias, 0.0))
}

/// The range of `w x + b` for all of these `w` and `b`.
fn of_lines(lines: &[(f64, f64)], range: Range) -> Range {
    lines.iter().map(|&(w, b)| range.map(|x| w * x + b)).reduce(Range::hull).unwrap_or(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Attr, Net, check_pass, kinds};

    const SHAPE: [usize; 3] = [4, 4, 4];

    /// The decision about the product of a ReLU and the output of `factor` for `x`, with the ReLU as either input.
    fn beside_a_relu(factor: impl Fn(&mut Net) -> String) -> String {
        let decisions = [false, true].map(|swapped| {
            let mut net = Net::new(&[4, 4, 4]);
            let signal = net.op("Relu", &["x"], &[]);
            let factor = factor(&mut net);
            net.op("Mul", &if swapped { [&factor, &signal] } else { [&signal, &factor] }, &[]);
            let products = run(net.raw()).1.len();
            let graph = check_pass(run, &net, &SHAPE, products);
            let product = graph.nodes.last().unwrap().op().unwrap();
            let decision = product.factors().unwrap();
            let expected = decision.contains("is the gate").then_some(usize::from(!swapped));
            assert_eq!(product.gate_input(), expected, "{decision}");
            decision
        });
        let [one, other] = decisions;
        assert_eq!(one.replace("input 1", "input 0"), other);
        one
    }

    fn activation(net: &mut Net, function: &str) -> String {
        net.op(function, &["x"], &[])
    }

    /// An elementwise step with a number.
    fn number(net: &mut Net, op: &str, x: &str, value: f32, number_first: bool) -> String {
        let value = net.floats(&[], &[value]);
        net.op(op, &if number_first { [value.as_str(), x] } else { [x, value.as_str()] }, &[])
    }

    type Factor = fn(&mut Net) -> String;

    #[test]
    fn a_product_with_a_negative_power_is_a_division() {
        // Divided by √(x² + 1/2), by its square, by it times a constant, and gated by a sigmoid as well.
        let cases: [Factor; 4] = [
            |n| {
                let root = root(n);
                n.op("Reciprocal", &[&root], &[])
            },
            |n| {
                let root = root(n);
                number(n, "Pow", &root, -2.0, false)
            },
            |n| {
                let root = root(n);
                let factor = n.op("Reciprocal", &[&root], &[]);
                let weight = n.weight(&[4, 1, 1]);
                n.op("Mul", &[&factor, &weight], &[])
            },
            |n| {
                let root = root(n);
                number(n, "Div", &root, 3.0, true)
            },
        ];
        for factor in cases {
            let told = beside_a_relu(factor);
            assert!(told.contains("is a negative power, and a product with it is a division"), "{told}");
        }
    }

    fn root(net: &mut Net) -> String {
        let square = number(net, "Pow", "x", 2.0, false);
        let sum = number(net, "Add", &square, 0.5, false);
        net.op("Sqrt", &[&sum], &[])
    }

    #[test]
    fn two_reciprocals_are_equals_and_a_sum_with_one_is_no_divisor() {
        let mut net = Net::new(&SHAPE.map(|d| d as i64));
        let (a, b) = (root(&mut net), number(&mut net, "Add", "x", 3.0, false));
        let (a, b) = (net.op("Reciprocal", &[&a], &[]), net.op("Reciprocal", &[&b], &[]));
        net.op("Mul", &[&a, &b], &[]);
        let graph = check_pass(run, &net, &SHAPE, 1);
        assert_eq!(graph.nodes.last().unwrap().op().unwrap().gate_input(), None);
        let told = beside_a_relu(|n| {
            let root = root(n);
            let factor = n.op("Reciprocal", &[&root], &[]);
            number(n, "Add", &factor, 1.0, false)
        });
        assert!(told.starts_with("uniform"), "{told}");
    }

    #[test]
    fn every_way_to_write_a_gate() {
        let cases: [(&str, Factor); 30] = [
            ("sigmoid 'sigmoid1', in [0, 1]", |n| activation(n, "Sigmoid")),
            ("hard sigmoid 'hardsigmoid1', in [0, 1]", |n| activation(n, "HardSigmoid")),
            ("tanh 'tanh1', in [-1, 1]", |n| activation(n, "Tanh")),
            ("error function 'erf1', in [-1, 1]", |n| activation(n, "Erf")),
            ("sigmoid 'sigmoid1', then scale, in [0, 1]", |n| {
                let g = activation(n, "Sigmoid");
                number(n, "Sub", &g, 1.0, true)
            }),
            ("sigmoid 'sigmoid1', then scale, in [0, 2]", |n| {
                let g = activation(n, "Sigmoid");
                number(n, "Mul", &g, 2.0, false)
            }),
            ("sigmoid 'sigmoid1', then scale, in [1, 2]", |n| {
                let g = activation(n, "Sigmoid");
                number(n, "Add", &g, 1.0, true)
            }),
            ("sigmoid 'sigmoid1', then scale, in [-1, 0]", |n| {
                let g = activation(n, "Sigmoid");
                n.op("Neg", &[&g], &[])
            }),
            ("tanh 'tanh1', then scale, in [0, 1]", |n| {
                let g = activation(n, "Tanh");
                let g = number(n, "Add", &g, 1.0, false);
                number(n, "Div", &g, 2.0, false)
            }),
            ("sigmoid 'sigmoid1', then scale, in [-2, 3]", |n| {
                let g = activation(n, "Sigmoid");
                let weights = n.floats(&[4, 1, 1], &[1.0, -2.0, 3.0, 0.5]);
                n.op("Mul", &[&g, &weights], &[])
            }),
            ("sigmoid 'sigmoid1', then max-pool, resize, in [0, 1]", |n| resized(n, "linear")),
            ("sigmoid 'sigmoid1', then max-pool, in [0, 1]", |n| resized(n, "nearest")),
            ("sigmoid 'sigmoid1', then max-pool, resize, in [-0.", |n| resized(n, "cubic")),
            ("sigmoid 'sigmoid1', then mean, in [0, 1]", |n| {
                let g = activation(n, "Sigmoid");
                n.op("ReduceMean", &[&g], &[("axes", Attr::Ints(&[1]))])
            }),
            ("sigmoid 'sigmoid1', then mean, in [0, 1]", |n| {
                let g = activation(n, "Sigmoid");
                let g = n.op("ReduceMean", &[&g], &[("axes", Attr::Ints(&[2, 3])), ("keepdims", Attr::Int(0))]);
                let axes = n.ints(&[2, 3]);
                n.op("Unsqueeze", &[&g, &axes], &[])
            }),
            ("sigmoid 'sigmoid1', then mean, in [0, 4]", |n| {
                let g = activation(n, "Sigmoid");
                let axes = n.ints(&[1]);
                n.op("ReduceSum", &[&g, &axes], &[])
            }),
            ("sigmoid 'sigmoid1', then avg-pool, in [0, 1]", |n| {
                let g = activation(n, "Sigmoid");
                let (kernel, pads) = (Attr::Ints(&[3, 3]), Attr::Ints(&[1, 1, 1, 1]));
                n.op("AveragePool", &[&g], &[("kernel_shape", kernel), ("pads", pads)])
            }),
            ("sigmoid 'sigmoid1', then max-pool, in [0, 1]", |n| {
                let g = activation(n, "Sigmoid");
                let (kernel, pads) = (Attr::Ints(&[3, 3]), Attr::Ints(&[1, 1, 1, 1]));
                n.op("MaxPool", &[&g], &[("kernel_shape", kernel), ("pads", pads)])
            }),
            ("sigmoid 'sigmoid2' and others, then maximum, in [0, 1]", |n| {
                let pooled = n.op("GlobalAveragePool", &["x"], &[]);
                let g = n.op("Sigmoid", &[&pooled], &[]);
                let other = activation(n, "HardSigmoid");
                n.op("Max", &[&g, &other], &[])
            }),
            ("sigmoid 'sigmoid1' and others, then add, in [-1, 1]", |n| {
                let (a, b) = (activation(n, "Sigmoid"), activation(n, "HardSigmoid"));
                n.op("Sub", &[&a, &b], &[])
            }),
            ("sigmoid 'sigmoid1' and others, then add, in [0, 2]", |n| {
                let (a, b) = (activation(n, "Sigmoid"), activation(n, "HardSigmoid"));
                n.op("Add", &[&a, &b], &[])
            }),
            ("sigmoid 'sigmoid1' and others, then mul, in [0, 1]", |n| {
                let (a, b) = (activation(n, "Sigmoid"), activation(n, "HardSigmoid"));
                n.op("Mul", &[&a, &b], &[])
            }),
            ("sigmoid 'sigmoid1' and others, in [-1, 1]", |n| {
                let (a, b) = (activation(n, "Sigmoid"), activation(n, "Tanh"));
                let joined = n.op("Concat", &[&a, &b], &[("axis", Attr::Int(2))]);
                let (starts, ends, axis) = (n.ints(&[2]), n.ints(&[6]), n.ints(&[2]));
                n.op("Slice", &[&joined, &starts, &ends, &axis], &[])
            }),
            ("sigmoid 'sigmoid1', then pad, in [0, 1]", |n| {
                let g = activation(n, "Sigmoid");
                let pads = n.ints(&[0, 0, 0, 0, 0, 0, 1, 0]);
                let padded = n.op("Pad", &[&g, &pads], &[]);
                let (starts, ends, axis) = (n.ints(&[1]), n.ints(&[5]), n.ints(&[2]));
                n.op("Slice", &[&padded, &starts, &ends, &axis], &[])
            }),
            ("sigmoid 'sigmoid1', in [0, 1]", |n| {
                let g = activation(n, "Sigmoid");
                let g = n.op("Transpose", &[&g], &[("perm", Attr::Ints(&[0, 1, 3, 2]))]);
                let shape = n.ints(&[-1, 64]);
                let flat = n.op("Reshape", &[&g, &shape], &[]);
                let shape = n.ints(&[-1, 4, 4, 4]);
                n.op("Reshape", &[&flat, &shape], &[])
            }),
            ("sigmoid 'sigmoid1', then batch-norm, in [", |n| {
                let g = activation(n, "Sigmoid");
                n.batch_norm(&g, 4)
            }),
            ("clip 'clip1', in [0, 1]", |n| clipped(n, 0.0, 1.0)),
            ("clip 'clip1', in [-1, 1]", |n| clipped(n, -1.0, 1.0)),
            ("clip 'clip1', then scale, in [0, 1]", |n| {
                let c = clipped(n, 0.0, 6.0);
                let c = number(n, "Sub", &c, 6.0, true);
                number(n, "Div", &c, 6.0, false)
            }),
            ("tanh 'tanh1', then relu, in [0, 1]", |n| {
                let g = activation(n, "Tanh");
                n.op("Relu", &[&g], &[])
            }),
        ];
        for (expected, factor) in cases {
            let decision = beside_a_relu(factor);
            assert!(decision.starts_with(&format!("input 1 is the gate: {expected}")), "{expected}: {decision}");
        }
    }

    fn resized(net: &mut Net, mode: &'static str) -> String {
        let half = net.op("Sigmoid", &["x"], &[]);
        let half =
            net.op("MaxPool", &[&half], &[("kernel_shape", Attr::Ints(&[1, 1])), ("strides", Attr::Ints(&[2, 2]))]);
        let scales = net.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
        net.op("Resize", &[&half, "", &scales], &[("mode", Attr::Text(mode))])
    }

    fn clipped(net: &mut Net, low: f32, high: f32) -> String {
        net.op("Clip", &["x"], &[("min", Attr::Float(low)), ("max", Attr::Float(high))])
    }

    #[test]
    fn what_is_no_gate() {
        let cases: [(&str, Factor); 8] = [
            ("input 1 comes from a softmax", |n| n.op("Softmax", &["x"], &[("axis", Attr::Int(1))])),
            ("input 1 comes from a softmax", |n| {
                let s = n.op("Softmax", &["x"], &[("axis", Attr::Int(1))]);
                number(n, "Mul", &s, 2.0, false)
            }),
            ("neither factor", |n| activation(n, "Softplus")),
            ("neither factor", |n| clipped(n, 0.0, 6.0)),
            // Learned mixing.
            ("neither factor", |n| {
                let (g, w) = (activation(n, "Sigmoid"), n.weight(&[4, 4, 1, 1]));
                n.op("Conv", &[&g, &w], &[])
            }),
            ("neither factor", |n| {
                let (g, w) = (activation(n, "Sigmoid"), n.weight(&[4, 4]));
                n.op("MatMul", &[&g, &w], &[])
            }),
            // More than a gate.
            ("neither factor", |n| {
                let g = activation(n, "Sigmoid");
                n.op("Add", &[&g, "x"], &[])
            }),
            // A gated signal.
            ("neither factor", |n| {
                let g = activation(n, "Sigmoid");
                n.op("Mul", &[&g, "x"], &[])
            }),
        ];
        for (expected, factor) in cases {
            let mut net = Net::new(&[4, 4, 4]);
            let signal = net.op("Relu", &["x"], &[]);
            let factor = factor(&mut net);
            net.op("Mul", &[&signal, &factor], &[]);
            let (graph, what) = run(net.raw());
            let decision = graph.nodes.last().unwrap().op().unwrap().factors().unwrap();
            assert!(decision.starts_with(&format!("uniform: {expected}")), "{expected}: {decision}");
            assert!(what.last().unwrap().ends_with(&decision), "{what:?}");
        }
    }

    #[test]
    fn squeeze_and_excitation() {
        for gate_first in [false, true] {
            let mut net = Net::new(&[2, 3, 3]);
            let gate = net.op("GlobalAveragePool", &["x"], &[]);
            let gate = net.op("Sigmoid", &[&gate], &[]);
            net.op("Mul", &if gate_first { [&gate, "x"] } else { ["x", &gate] }, &[]);
            let graph = check_pass(run, &net, &[2, 3, 3], 1);
            assert_eq!(kinds(&graph), ["mean", "sigmoid", "broadcast", "mul"]);
            let product = graph.nodes.last().unwrap().op().unwrap();
            assert_eq!(product.gate_input(), Some(usize::from(!gate_first)));
        }
    }

    #[test]
    fn a_softmax_beside_a_bounded_activation() {
        for (function, gate) in [("Tanh", None), ("Sigmoid", Some(1))] {
            let mut net = Net::new(&[4]);
            let (weights, values) = (net.op("Softmax", &["x"], &[]), net.op(function, &["x"], &[]));
            net.op("Mul", &[&weights, &values], &[]);
            assert_eq!(gates(&net), [gate], "{function}");
        }
    }

    /// The gates of all products of a net, in order.
    fn gates(net: &Net) -> Vec<Option<usize>> {
        let graph = run(net.raw()).0;
        let ops = graph.nodes.iter().filter_map(Node::op);
        ops.filter(|op| op.kind() == Kind::Mul).map(|op| op.gate_input()).collect()
    }

    #[test]
    fn of_two_that_qualify_the_one_that_keeps_its_sign() {
        let cases = [
            (["Tanh", "Sigmoid"], Some(1), "tanh 'tanh0', in [-1, 1]"),
            (["HardSigmoid", "Tanh"], Some(0), "but has both signs"),
            (["Sigmoid", "HardSigmoid"], None, "both factors are gates"),
            (["Tanh", "Erf"], None, "both factors are bounded and have both signs"),
            // A tanh alone is bounded, and a ReLU is not.
            (["Tanh", "Relu"], Some(0), "tanh"),
        ];
        for (functions, gate, reason) in cases {
            let mut net = Net::new(&[3]);
            let [a, b] = functions.map(|f| net.op(f, &["x"], &[]));
            net.op("Mul", &[&a, &b], &[]);
            let graph = check_pass(run, &net, &[3], 1);
            let product = graph.nodes.last().unwrap().op().unwrap();
            assert_eq!(product.gate_input(), gate);
            assert!(product.factors().unwrap().contains(reason), "{:?}", product.factors());
        }
        let mut net = Net::new(&[3]);
        let g = net.op("Sigmoid", &["x"], &[]);
        let square = net.op("Mul", &[&g, &g], &[]);
        net.op("Mul", &["x", &square], &[]);
        assert_eq!(gates(&net), [None, Some(1)]);
    }

    #[test]
    fn both_halves_of_a_highway_pair_and_chains() {
        let mut net = Net::new(&[3]);
        let (w, one) = (net.weight(&[3, 3]), net.floats(&[1], &[1.0]));
        let a = net.op("MatMul", &["x", &w], &[]);
        let g = net.op("Sigmoid", &["x"], &[]);
        let rest = net.op("Sub", &[&one, &g], &[]);
        let (left, right) = (net.op("Mul", &[&g, &a], &[]), net.op("Mul", &[&rest, "x"], &[]));
        let sum = net.op("Add", &[&left, &right], &[]);
        assert_eq!(gates(&net), [Some(0), Some(0)]);
        // What is gated is a signal, which the next gate gates.
        let again = net.op("HardSigmoid", &["x"], &[]);
        let gated = net.op("Mul", &[&again, &left], &[]);
        net.op("Add", &[&gated, &sum], &[]);
        assert_eq!(gates(&net), [Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn an_lstm_cell_written_out() {
        let mut net = Net::new(&[3]);
        let (w, c0) = (net.weight(&[3, 12]), net.weight(&[3]));
        let mut h = "x".to_owned();
        let mut c = c0;
        for _ in 0..3 {
            let z = net.op("MatMul", &[&h, &w], &[]);
            let parts: Vec<String> = (0..4)
                .map(|i| {
                    let (start, end, axis) = (net.ints(&[3 * i]), net.ints(&[3 * i + 3]), net.ints(&[1]));
                    let part = net.op("Slice", &[&z, &start, &end, &axis], &[]);
                    net.op(if i == 3 { "Tanh" } else { "Sigmoid" }, &[&part], &[])
                })
                .collect();
            let kept = net.op("Mul", &[&parts[0], &c], &[]);
            let new = net.op("Mul", &[&parts[3], &parts[1]], &[]);
            c = net.op("Add", &[&kept, &new], &[]);
            let out = net.op("Tanh", &[&c], &[]);
            h = net.op("Mul", &[&out, &parts[2]], &[]);
        }
        // In the first step, what is kept is a constant times a gate: a scale.
        assert_eq!(gates(&net), [Some(1), Some(1), Some(0), Some(1), Some(1), Some(0), Some(1), Some(1)]);
    }

    #[test]
    fn products_of_equals_stay() {
        let mut net = Net::new(&[3]);
        let clip = net.op("Clip", &["x"], &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))]);
        net.op("Mul", &[&clip, "x"], &[]);
        assert_eq!(gates(&net), [None]);
        let mut net = Net::new(&[3]);
        net.op("Mul", &["x", "x"], &[]);
        let (_, what) = run(net.raw());
        assert_eq!(what, ["'mul0': uniform: both factors are the same value"]);
    }

    #[test]
    fn a_long_chain_is_told_in_a_few_words() {
        let mut net = Net::new(&[1, 3, 3]);
        let mut g = net.op("Sigmoid", &["x"], &[]);
        for _ in 0..300 {
            g = net.op("MaxPool", &[&g], &[("kernel_shape", Attr::Ints(&[1, 1]))]);
            g = number(&mut net, "Mul", &g, 1.0, false);
        }
        net.op("Mul", &["x", &g], &[]);
        let (_, what) = run(net.raw());
        let expected = "sigmoid 'sigmoid0', then max-pool, scale, max-pool, scale, …, in [0, 1]";
        assert_eq!(what, [format!("'mul601': input 1 is the gate: {expected}")]);
    }
}
