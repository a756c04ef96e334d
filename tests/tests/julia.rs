//! The analytic values of RelevancePropagation.jl: the cases that its `test/test_rules.jl` computes by hand.
//!
//! Facts from there, not code. That package has a stabilizer of 1e-9 in every rule; here it is 0.

use std::sync::Arc;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::ops::{Activation, Add, Dense, Function, MaxPool};
use lrp_core::{Assignment, Builder, NodeId, Plan, Rule, Tensor};
use lrp_rules::{AlphaBeta, BiasMode, Gamma, Norm, Residual, ZPlus, Zero};

type Shared = Arc<dyn Rule<f64>>;

fn tensor(shape: &[usize], values: &[f64]) -> Tensor<f64> {
    Tensor::from_shape_vec(shape, values.to_vec()).unwrap()
}

/// A network of one dense layer from two inputs, to be continued by `rest`.
struct Case {
    weights: &'static [f64],
    bias: &'static [f64],
    x: [f64; 2],
    rest: fn(&mut Builder<f64>, NodeId, NodeId) -> NodeId,
}

impl Case {
    /// The network's output, and the input's relevance for this relevance of the output.
    fn explain(&self, rule: &Shared, r: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let outputs = self.bias.len();
        let mut net = Builder::<f64>::new();
        let x = net.input("x", &[2]);
        let dense = Dense::new(tensor(&[outputs, 2], self.weights), Some(self.bias.to_vec()), &[2]).unwrap();
        let dense = net.add("dense", dense, &[x]).unwrap();
        let end = (self.rest)(&mut net, x, dense);
        let model = Arc::new(net.finish(end).unwrap());
        let sum: Shared = Arc::new(Norm { stabilizer: 0.0, residual: Residual::Signed });
        let rules: Assignment<f64> = model
            .nodes()
            .filter(|(_, node)| node.op().is_some_and(|op| op.as_affine().is_some()))
            .map(|(id, _)| (id, Arc::clone(if id == dense { rule } else { &sum })))
            .collect();
        let plan = Plan::new(model, &rules).unwrap();
        let x = tensor(&[1, 2], &self.x);
        let record = plan.record(&x).unwrap();
        let output = record.output().iter().copied().collect();
        let explanation = record.propagate(tensor(&[1, outputs], r));
        (output, explanation.input_relevance().iter().copied().collect())
    }

    #[track_caller]
    fn gives(&self, rule: impl Rule<f64> + 'static, r: &[f64], expected: [f64; 2]) {
        let rule: Shared = Arc::new(rule);
        let (_, got) = self.explain(&rule, r);
        let error = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{rule:34} {got:?}, off by {error:.1e}");
        assert!(got.len() == 2 && error < 1e-15, "got {got:?}, expected {expected:?}");
    }
}

fn relu(net: &mut Builder<f64>, _: NodeId, z: NodeId) -> NodeId {
    net.add("relu", Activation::new(Function::Relu, &[2]).unwrap(), &[z]).unwrap()
}

const WEIGHTS: &[f64] = &[3.0, 4.0, 5.0, 6.0];
const BIAS: &[f64] = &[7.0, 8.0];

#[test]
fn zero() {
    let case = Case { weights: WEIGHTS, bias: BIAS, x: [1.0, 2.0], rest: relu };
    case.gives(Zero { bias: BiasMode::Absorb }, &[1.0 / 3.0, 2.0 / 3.0], [17.0 / 90.0, 316.0 / 675.0]);
}

/// A sum of the input and a dense layer after it, divided by signed parts.
#[test]
fn skip_connection() {
    let rest = |net: &mut Builder<f64>, x, z| {
        let branch = relu(net, x, z);
        net.add("sum", Add::new(2, &[2]).unwrap(), &[x, branch]).unwrap()
    };
    let case = Case { weights: WEIGHTS, bias: BIAS, x: [1.0, 2.0], rest };
    case.gives(Zero { bias: BiasMode::Absorb }, &[1.0, 0.0], [4.0 / 19.0, 8.0 / 19.0]);
    case.gives(Zero { bias: BiasMode::Absorb }, &[0.0, 1.0], [5.0 / 27.0, 14.0 / 27.0]);
}

/// Relevance is negative here, and so is the bias: it belongs to the negative account alone.
#[test]
fn alpha_beta() {
    let case = Case { weights: &[1.0, -1.0], bias: &[-1.0], x: [1.0, 1.0], rest: |_, _, z| z };
    let alpha_beta = |alpha, beta| AlphaBeta { alpha, beta, stabilizer: 0.0, bias: BiasMode::Absorb };
    let r = case.explain(&(Arc::new(alpha_beta(1.0, 0.0)) as Shared), &[0.0]).0;
    assert_eq!(r, [-1.0]);
    case.gives(alpha_beta(1.0, 0.0), &r, [-1.0, 0.0]);
    case.gives(alpha_beta(2.0, 1.0), &r, [-2.0, 0.5]);
    case.gives(ZPlus { stabilizer: 0.0, bias: BiasMode::Absorb }, &r, [-1.0, 0.0]);
}

/// Inputs and outputs of either sign: a leaky ReLU behind the layer, whose output is the relevance.
#[test]
fn generalized_gamma() {
    let rest = |net: &mut Builder<f64>, _, z| {
        net.add("leaky", Activation::new(Function::LeakyRelu { alpha: 0.01 }, &[2]).unwrap(), &[z]).unwrap()
    };
    let case = Case { weights: &[1.0, -4.0, 2.0, 0.0], bias: &[-2.0, 3.0], x: [-1.0, 1.0], rest };
    let gamma = || Gamma { gamma: 0.25, stabilizer: 0.0, bias: BiasMode::Absorb };
    let r = case.explain(&(Arc::new(gamma()) as Shared), &[0.0, 0.0]).0;
    assert_eq!(r, [-0.07, 1.0]);
    case.gives(gamma(), &r, [-(2.0 / 1.75 + 1.25 * 0.008), -5.0 * 0.008]);
}

/// Overlapping windows: an input that wins twice gets the relevance of both.
#[test]
fn max_pooling() {
    let mut net = Builder::<f64>::new();
    let x = net.input("x", &[1, 3, 3]);
    let pool = net.add("pool", MaxPool::new(&WindowSpec::new(&[2, 2]), &[1, 3, 3]).unwrap(), &[x]).unwrap();
    let plan = Plan::new(Arc::new(net.finish(pool).unwrap()), &Assignment::new()).unwrap();
    let x = tensor(&[1, 1, 3, 3], &[1.0, 2.0, 3.0, 10.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let r = tensor(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]).mapv(|v| v / 30.0);
    let relevance = plan.record(&x).unwrap().propagate(r).input_relevance().mapv(|v| v * 30.0);
    let expected = tensor(&[1, 1, 3, 3], &[0.0, 0.0, 0.0, 4.0, 0.0, 2.0, 0.0, 0.0, 4.0]);
    let error = lrp_tests::max_difference(&relevance, &expected);
    println!("{:34} off by {error:.1e}", "max pooling");
    assert!(error < 1e-15, "{relevance:?}");
}
