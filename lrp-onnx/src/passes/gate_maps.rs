//! However a gate is written, the relevance map is that of the network in which the gate's value is a constant.
//!
//! The reference does not know what a gate is: the network is built again with the values that the gate has at one input as a
//! constant factor, and explained by the gradient of all its operators, times the input. It is compared with LRP-0.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use lrp_core::fused::adjoint_times;
use lrp_core::operator::{Io, Operator};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated, Rule};
use lrp_core::{Model, Plan, RuleError, Start, Target, Tensor};

use crate::testing::{Attr, Net, evaluated, forward, varied};

/// The explanation of an operator in these tests.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// By the gradient, which every operator has.
    Gradient,
    /// By LRP-0, `x ⊙ Aᵀ (R / z)`.
    Zero,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

struct Prepared(How, Arc<dyn Operator<f64>>);

impl Rule<f64> for How {
    fn prepare(&self, layer: &Layer<'_, f64>) -> Result<Box<dyn PreparedRule<f64>>, RuleError> {
        Ok(Box::new(Prepared(*self, Arc::clone(layer.op))))
    }
}

impl PreparedRule<f64> for Prepared {
    fn needs(&self) -> Needs {
        Needs::BOTH
    }

    fn propagate(&self, io: Io<'_, f64>, r: &Tensor<f64>) -> Propagated<f64> {
        let (how, op) = (self.0, &self.1);
        if how == How::Gradient {
            return Propagated::lossless(op.vjp(io, r));
        }
        let share = |(r, z): (&f64, &f64)| if *z == 0.0 { 0.0 } else { r / z };
        let shares = Tensor::from_shape_vec(r.raw_dim(), r.iter().zip(io.output).map(share).collect()).unwrap();
        Propagated::lossless(adjoint_times(op.as_affine().unwrap(), &shares, io.inputs, Vec::new()))
    }
}

/// The gradient at the input, times the input; or LRP-0, where products do what was decided about them.
fn map(model: Model<f64>, how: How, x: &Tensor<f64>) -> Tensor<f64> {
    let takes = |op: &dyn Operator<f64>| how == How::Gradient || op.as_affine().is_some();
    let operators = model.nodes().filter(|(_, node)| node.op().is_some_and(|op| takes(op.as_ref())));
    let rules: BTreeMap<_, Arc<dyn Rule<f64>>> = operators.map(|(id, _)| (id, Arc::new(how) as _)).collect();
    let start = if how == How::Gradient { Start::One } else { Start::Logit };
    let plan = Plan::new(Arc::new(model), &rules).unwrap().times_input(how == How::Gradient);
    plan.explain(x, &Target::Class(1), start).unwrap().input_relevance().clone()
}

/// A gate made of `pre` (`[N, 4, 4, 4]`) that broadcasts to the same shape.
type Gate = fn(&mut Net, &str) -> String;

fn number(net: &mut Net, op: &str, x: &str, value: f32, number_first: bool) -> String {
    let value = net.floats(&[], &[value]);
    net.op(op, &if number_first { [value.as_str(), x] } else { [x, value.as_str()] }, &[])
}

fn sigmoid(net: &mut Net, x: &str) -> String {
    net.op("Sigmoid", &[x], &[])
}

const WAYS: [(&str, Gate); 24] = [
    ("σ", sigmoid),
    ("hard sigmoid", |n, x| n.op("HardSigmoid", &[x], &[])),
    ("tanh", |n, x| n.op("Tanh", &[x], &[])),
    ("1 − σ", |n, x| {
        let g = sigmoid(n, x);
        number(n, "Sub", &g, 1.0, true)
    }),
    ("2σ", |n, x| {
        let g = sigmoid(n, x);
        number(n, "Mul", &g, 2.0, true)
    }),
    ("1 + σ", |n, x| {
        let g = sigmoid(n, x);
        number(n, "Add", &g, 1.0, false)
    }),
    ("−σ", |n, x| {
        let g = sigmoid(n, x);
        n.op("Neg", &[&g], &[])
    }),
    ("(tanh + 1) / 2", |n, x| {
        let g = n.op("Tanh", &[x], &[]);
        let g = number(n, "Add", &g, 1.0, false);
        number(n, "Div", &g, 2.0, false)
    }),
    ("1 / (1 + exp(−x))", |n, x| {
        let e = n.op("Neg", &[x], &[]);
        let e = n.op("Exp", &[&e], &[]);
        let e = number(n, "Add", &e, 1.0, true);
        number(n, "Div", &e, 1.0, true)
    }),
    ("clip(x + 3, 0, 6) / 6", |n, x| {
        let c = number(n, "Add", x, 3.0, false);
        let c = n.op("Clip", &[&c], &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))]);
        number(n, "Div", &c, 6.0, false)
    }),
    ("min(max(x, 0), 1)", |n, x| {
        let c = number(n, "Max", x, 0.0, false);
        number(n, "Min", &c, 1.0, false)
    }),
    ("bilinear", |n, x| resized(n, x, "linear")),
    ("nearest", |n, x| resized(n, x, "nearest")),
    ("mean over channels", |n, x| {
        let g = sigmoid(n, x);
        n.op("ReduceMean", &[&g], &[("axes", Attr::Ints(&[1]))])
    }),
    ("squeeze and excitation", |n, x| {
        let w = n.weight(&[4, 4, 1, 1]);
        let pooled = n.op("GlobalAveragePool", &[x], &[]);
        let z = n.op("Conv", &[&pooled, &w], &[]);
        sigmoid(n, &z)
    }),
    ("global mean of σ", |n, x| {
        let g = sigmoid(n, x);
        n.op("GlobalAveragePool", &[&g], &[])
    }),
    ("max pooling", |n, x| {
        let g = sigmoid(n, x);
        n.op("GlobalMaxPool", &[&g], &[])
    }),
    ("average pooling", |n, x| {
        let g = sigmoid(n, x);
        n.op("AveragePool", &[&g], &[("kernel_shape", Attr::Ints(&[3, 3])), ("pads", Attr::Ints(&[1, 1, 1, 1]))])
    }),
    ("one channel for all", |n, x| {
        let g = sigmoid(n, x);
        let (start, end, axis) = (n.ints(&[2]), n.ints(&[3]), n.ints(&[1]));
        n.op("Slice", &[&g, &start, &end, &axis], &[])
    }),
    ("channels in another order", |n, x| {
        let g = sigmoid(n, x);
        let order = n.ints(&[3, 1, 0, 2]);
        n.op("Gather", &[&g, &order], &[("axis", Attr::Int(1))])
    }),
    ("half σ, half tanh", |n, x| {
        let parts = ["Sigmoid", "Tanh"].map(|f| n.op(f, &[x], &[]));
        let joined = n.op("Concat", &[&parts[0], &parts[1]], &[("axis", Attr::Int(1))]);
        let (start, end, axis) = (n.ints(&[2]), n.ints(&[6]), n.ints(&[1]));
        n.op("Slice", &[&joined, &start, &end, &axis], &[])
    }),
    ("an affine map for each channel, transposed", |n, x| {
        let g = n.op("Tanh", &[x], &[]);
        let (w, b) = (n.weight(&[4, 1, 1]), n.weight(&[4, 1, 1]));
        let g = n.op("Mul", &[&g, &w], &[]);
        let g = n.op("Add", &[&b, &g], &[]);
        n.op("Transpose", &[&g], &[("perm", Attr::Ints(&[0, 1, 3, 2]))])
    }),
    ("the difference of two gates", |n, x| {
        let (a, b) = (sigmoid(n, x), n.op("Tanh", &[x], &[]));
        n.op("Sub", &[&a, &b], &[])
    }),
    ("the product of two gates", |n, x| {
        let pooled = n.op("GlobalAveragePool", &[x], &[]);
        let (a, b) = (sigmoid(n, x), sigmoid(n, &pooled));
        n.op("Mul", &[&a, &b], &[])
    }),
];

fn resized(net: &mut Net, x: &str, mode: &'static str) -> String {
    let half = net.op("AveragePool", &[x], &[("kernel_shape", Attr::Ints(&[2, 2])), ("strides", Attr::Ints(&[2, 2]))]);
    let g = sigmoid(net, &half);
    let scales = net.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
    net.op("Resize", &[&g, "", &scales], &[("mode", Attr::Text(mode))])
}

/// The use of a gate: the output of `gated` for the signal `[N, 4, 4, 4]`, the gate, and the network's input.
type Use = fn(&mut Net, signal: &str, gate: &str) -> String;

const USES: [(&str, Use); 4] = [
    ("signal first", |n, a, g| n.op("Mul", &[a, g], &[])),
    ("gate first", |n, a, g| n.op("Mul", &[g, a], &[])),
    ("residual", |n, a, g| {
        let gated = n.op("Mul", &[a, g], &[]);
        n.op("Add", &[a, &gated], &[])
    }),
    ("highway", |n, a, g| {
        let rest = number(n, "Sub", g, 1.0, true);
        let (gated, kept) = (n.op("Mul", &[g, a], &[]), n.op("Mul", &["x", &rest], &[]));
        n.op("Add", &[&gated, &kept], &[])
    }),
];

/// A network with a gate: made by `gate`, or given as a constant (a sample of `[1, …]`).
fn network(seed: u64, way: Gate, usage: Use, constant: Option<&Tensor<f64>>, gate_is_output: bool) -> Net {
    let mut net = Net::new(&[4, 4, 4]).seeded(seed);
    let (w, v, b, top) = (net.weight(&[4, 4, 3, 3]), net.weight(&[4, 4, 1, 1]), net.weight(&[4]), net.weight(&[64, 3]));
    let pads = ("pads", Attr::Ints(&[1, 1, 1, 1]));
    let z = net.op("Conv", &["x", &w, &b], &[pads]);
    let signal = net.op("Relu", &[&z], &[]);
    let gate = match constant {
        Some(value) => {
            let dims: Vec<i64> = value.shape().iter().map(|&d| d as i64).collect();
            net.doubles(&dims, &value.iter().copied().collect::<Vec<f64>>())
        }
        None => {
            let pre = net.op("Conv", &["x", &v, &b], &[]);
            way(&mut net, &pre)
        }
    };
    if gate_is_output {
        return net;
    }
    let y = usage(&mut net, &signal, &gate);
    let flat = net.op("Flatten", &[&y], &[]);
    net.op("Gemm", &[&flat, &top], &[]);
    net
}

#[test]
fn a_gate_in_any_form_gives_the_map_of_a_constant() {
    for (name, way) in WAYS {
        for (usage_name, usage) in USES {
            for seed in [1, 300] {
                let x = varied(&[1, 4, 4, 4]).mapv(|v| v * (1.0 + (seed % 7) as f64));
                let gate = evaluated(&network(seed, way, usage, None, true).raw(), &x);
                let fixed = network(seed, way, usage, Some(&gate), false).import().unwrap().model;
                let gated = network(seed, way, usage, None, false).import().unwrap().model;
                let (y_fixed, y_gated) = (forward(&fixed, &x), forward(&gated, &x));
                let size = y_fixed.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                let same = y_fixed.iter().zip(&y_gated).all(|(a, b)| (a - b).abs() <= 1e-6 * size);
                assert!(same, "{name}, {usage_name}, {seed}: {y_fixed} and {y_gated}");
                let (expected, got) = (map(fixed, How::Gradient, &x), map(gated, How::Zero, &x));
                let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
                let error = expected.iter().zip(&got).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                assert!(norm > 1e-3, "{name}, {usage_name}: the map is empty");
                // A sixth in a file is rounded to f32.
                assert!(error <= 1e-6 * norm, "{name}, {usage_name}, {seed}: {}", error / norm);
            }
        }
    }
}

/// The gradient through the gate is no small thing: with half to each factor, maps differ.
#[test]
fn the_reference_can_tell() {
    let clip: Gate = |n, x| n.op("Clip", &[x], &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))]);
    let [(_, usage), ..] = USES;
    let x = varied(&[1, 4, 4, 4]);
    let gate = evaluated(&network(1, clip, usage, None, true).raw(), &x);
    let fixed = map(network(1, clip, usage, Some(&gate), false).import().unwrap().model, How::Gradient, &x);
    let uniform = map(network(1, clip, usage, None, false).import().unwrap().model, How::Zero, &x);
    let difference = (&fixed - &uniform).iter().map(|v| v.abs()).sum::<f64>();
    assert!(difference > 0.1 * fixed.iter().map(|v| v.abs()).sum::<f64>());
}
