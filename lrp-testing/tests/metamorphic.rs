//! Metamorphic tests: two networks that compute the same must get the same relevance, as far as a rule does not depend on how it is
//! computed. Each test says for which rules that is so, and why not for the others.

use std::sync::Arc;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::{Io, Operator};
use lrp_core::ops::{Function, PadMode};
use lrp_core::rule::Layer;
use lrp_core::{Assignment, Explanation, Plan, Rule, Tensor};
use lrp_rules::{AlphaBeta, BiasMode, Epsilon, EpsilonValue, Flat, Gamma, WSquare, ZBox, ZPlus, Zero};
use lrp_testing::compare::{largest, same_bits};
use lrp_testing::network::{ANYTHING, nets};
use lrp_testing::operators::{Applied, Bound, applied, batch_norm, conv, dense};
use lrp_testing::{Draft, Op, Random, cases, max_difference, rules};
use ndarray::Axis;
use proptest::prelude::*;

/// Other orders of summation round differently; relative to the largest relevance on the way.
const ROUNDING: f64 = 1e-9;

type Shared = Arc<dyn Rule<f64>>;

fn shared(rule: impl Rule<f64> + 'static) -> Shared {
    Arc::new(rule)
}

/// The rule for every affine operator.
fn plan(draft: &Draft, rule: &Shared) -> Plan<f64> {
    let model = draft.shared();
    let affine = model.nodes().filter(|(_, n)| n.op().is_some_and(|op| op.as_affine().is_some()));
    let rules: Assignment<f64> = affine.map(|(id, _)| (id, Arc::clone(rule))).collect();
    Plan::new(model, &rules).unwrap()
}

/// Explains random relevance at the output, the same for every network with as many outputs.
fn explain(draft: &Draft, rule: &Shared, xs: &[Tensor<f64>]) -> Explanation<f64> {
    let plan = plan(draft, rule);
    let record = plan.record_all(xs).unwrap();
    let start = Random(7).tensor(record.output().shape(), -1.0, 1.0);
    record.propagate(start)
}

fn flow(e: &Explanation<f64>) -> f64 {
    e.ledger.entries.iter().flat_map(|e| &e.propagated_abs).fold(0.0, |m, &v| m.max(v))
}

/// Same outputs, and the relevance that is expected from that of the original.
fn same(
    original: &Explanation<f64>,
    other: &Explanation<f64>,
    expected: impl Fn(&Tensor<f64>) -> Tensor<f64>,
    rule: &Shared,
) -> Result<(), TestCaseError> {
    prop_assert!(max_difference(&original.output, &other.output) <= 1e-12 * largest(&original.output).max(1.0));
    let flow = flow(original).max(flow(other));
    // Noise over noise, where denominators cancelled but for rounding.
    prop_assume!(flow < 1e4);
    let (got, expected) = (other.input_relevance(), expected(original.input_relevance()));
    prop_assert!(max_difference(got, &expected) <= ROUNDING * flow, "{rule}: {got}, expected {expected}");
    Ok(())
}

/// Two convolutions and a dense layer, as parts that can be tampered with.
#[derive(Debug, Clone)]
struct Chain {
    /// `[H, C, k…]` and `[G, H, k…]`.
    weights: [Tensor<f64>; 2],
    biases: [Option<Vec<f64>>; 2],
    spec: WindowSpec,
    /// `[classes, …]`.
    head: Tensor<f64>,
    input: Vec<usize>,
    seed: u64,
}

fn chains() -> impl Strategy<Value = Chain> {
    let size = (1..=2usize, 1..=3usize, 1..=3usize, 1..=2usize, 4..=6usize);
    (size, 1..=2usize, 0..=1usize, any::<[bool; 2]>(), 1..=3usize, any::<u64>()).prop_map(
        |((rank, c, h, g, length), stride, pad, biased, classes, seed)| {
            let mut random = Random(seed);
            let spec = WindowSpec::new(&vec![2; rank]).stride(stride).pad(pad);
            let positions = |l: usize| (l + 2 * pad - 2) / stride + 1;
            let last = positions(positions(length)).pow(u32::try_from(rank).unwrap());
            let taps = vec![2; rank];
            let mut weights = |o: usize, i: usize| random.tensor(&[&[o, i][..], &taps].concat(), -1.0, 1.0);
            let weights = [weights(h, c), weights(g, h)];
            let mut bias = |given: bool, n: usize| given.then(|| random.numbers(n, -0.5, 0.5));
            let biases = [bias(biased[0], h), bias(biased[1], g)];
            let head = random.tensor(&[classes, g * last], -1.0, 1.0);
            let input = [&[c][..], &vec![length; rank]].concat();
            Chain { weights, biases, spec, head, input, seed }
        },
    )
}

impl Chain {
    fn draft(&self) -> Draft {
        let mut net = Draft::new();
        let mut x = net.input("x", &self.input);
        for (i, (weights, bias)) in self.weights.iter().zip(&self.biases).enumerate() {
            let conv = Op::Conv { weights: weights.clone(), bias: bias.clone(), spec: self.spec.clone(), groups: 1 };
            x = net.add(format!("conv{i}"), conv, &[x]).unwrap();
            x = net.add(format!("relu{i}"), Op::Activation { function: Function::Relu }, &[x]).unwrap();
        }
        let flat = vec![net.shape(x).iter().product()];
        x = net.add("flat", Op::Reshape { to: flat }, &[x]).unwrap();
        net.add("head", Op::Dense { weights: self.head.clone(), bias: None }, &[x]).unwrap();
        net
    }

    fn inputs(&self) -> Tensor<f64> {
        Random(self.seed ^ 1).tensor(&[&[2][..], &self.input].concat(), -1.0, 1.0)
    }

    fn hidden(&self) -> usize {
        self.weights[0].shape()[0]
    }

    fn explain(&self, rule: &Shared, x: &Tensor<f64>) -> Explanation<f64> {
        explain(&self.draft(), rule, std::slice::from_ref(x))
    }
}

fn absorb_or_ignore() -> impl Strategy<Value = BiasMode> {
    prop_oneof![Just(BiasMode::Absorb), Just(BiasMode::Ignore)]
}

/// Rules that look at contributions `x w` and the bias alone: not at how many connections there are, nor at weights by themselves.
fn by_contributions(stabilizer: impl Strategy<Value = f64> + 'static) -> impl Strategy<Value = Shared> {
    (0..5usize, absorb_or_ignore(), stabilizer, 0.0..3.0_f64).prop_map(|(which, bias, s, p)| match which {
        0 => shared(Zero { bias }),
        1 => shared(Epsilon { epsilon: EpsilonValue::Absolute(s), bias }),
        2 => shared(Gamma { gamma: p, stabilizer: s, bias }),
        3 => shared(AlphaBeta { alpha: 1.0 + p, beta: p, stabilizer: s, bias }),
        _ => shared(ZPlus { stabilizer: s, bias }),
    })
}

/// A rule prepared for one operator, on one case.
fn on_layer(rule: &Shared, op: &Arc<dyn Operator<f64>>, case: &Applied) -> Tensor<f64> {
    let layer = Layer { name: "layer", op, nonnegative_inputs: false, nonnegative_outputs: false, skip_input: None };
    let output = op.forward(&[&case.xs[0]]);
    rule.prepare(&layer).unwrap().propagate(Io { inputs: &[&case.xs[0]], output: &output }, &case.r).relevance.remove(0)
}

/// Two operators that compute the same give the same relevance on this case, unless it is noise over noise.
fn same_on_layer(
    rule: &Shared,
    a: &Arc<dyn Operator<f64>>,
    b: &Arc<dyn Operator<f64>>,
    case: &Applied,
) -> Result<(), TestCaseError> {
    let (ra, rb) = (on_layer(rule, a, case), on_layer(rule, b, case));
    let scale = largest(&ra).max(largest(&case.r));
    // Noise over noise, where denominators cancelled but for rounding.
    prop_assume!(scale < 1e4);
    prop_assert!(max_difference(&ra, &rb) <= ROUNDING * scale, "{rule}: {ra} and {rb}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1 << 20, failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// Input channels (and the weights that read them) in another order: so is the relevance. For all rules.
    #[test]
    fn permuted_input_channels_permute_relevance(rule in rules::any_affine(), chain in chains()) {
        let x = chain.inputs();
        let order = Random(chain.seed).permutation(chain.input[0]);
        let mut permuted = chain.clone();
        permuted.weights[0] = chain.weights[0].select(Axis(1), &order);
        let (a, b) = (chain.explain(&rule, &x), permuted.explain(&rule, &x.select(Axis(1), &order)));
        same(&a, &b, |r| r.select(Axis(1), &order), &rule)?;
    }

    /// Hidden channels in another order change nothing. For all rules.
    #[test]
    fn permuted_hidden_channels_change_nothing(rule in rules::any_affine(), chain in chains()) {
        let x = chain.inputs();
        let order = Random(chain.seed).permutation(chain.hidden());
        let mut permuted = chain.clone();
        permuted.weights[0] = chain.weights[0].select(Axis(0), &order);
        permuted.biases[0] = chain.biases[0].as_ref().map(|b| order.iter().map(|&i| b[i]).collect());
        permuted.weights[1] = chain.weights[1].select(Axis(1), &order);
        same(&chain.explain(&rule, &x), &permuted.explain(&rule, &x), Clone::clone, &rule)?;
    }

    /// Hidden channels scaled up, and the weights that read them down (ReLU does not mind): for rules that look at contributions,
    /// without a stabilizer, whose ε would have to be scaled as well.
    #[test]
    fn rescaled_hidden_channels_change_nothing(rule in by_contributions(Just(0.0)), chain in chains()) {
        let x = chain.inputs();
        let factors: Vec<f64> = Random(chain.seed).numbers(chain.hidden(), 0.25, 4.0);
        let mut rescaled = chain.clone();
        for (i, &f) in factors.iter().enumerate() {
            rescaled.weights[0].index_axis_mut(Axis(0), i).mapv_inplace(|w| w * f);
            rescaled.weights[1].index_axis_mut(Axis(1), i).mapv_inplace(|w| w / f);
            rescaled.biases[0].iter_mut().for_each(|b| b[i] *= f);
        }
        same(&chain.explain(&rule, &x), &rescaled.explain(&rule, &x), Clone::clone, &rule)?;
    }

    /// A hidden channel twice, with halved weights out of it: the twins share its relevance, and the input gets the same. For rules
    /// that look at contributions, stabilized or not (`flat` counts inputs, `w-square` squares the halves).
    #[test]
    fn a_duplicated_channel_shares_its_relevance(rule in by_contributions(rules::stabilizers()), chain in chains()) {
        let x = chain.inputs();
        let h = chain.hidden();
        let twin = Random(chain.seed).below(h);
        let order: Vec<usize> = (0..h).chain([twin]).collect();
        let mut doubled = chain.clone();
        doubled.weights[0] = chain.weights[0].select(Axis(0), &order);
        doubled.biases[0] = chain.biases[0].as_ref().map(|b| order.iter().map(|&i| b[i]).collect());
        doubled.weights[1] = chain.weights[1].select(Axis(1), &order);
        for i in [twin, h] {
            doubled.weights[1].index_axis_mut(Axis(1), i).mapv_inplace(|w| w / 2.0);
        }
        same(&chain.explain(&rule, &x), &doubled.explain(&rule, &x), Clone::clone, &rule)?;
    }

    /// A convolution in groups is one with zeros between the groups. For all rules but those that count connections: `flat`, and
    /// biases that are distributed.
    #[test]
    fn grouped_convolutions_are_dense_ones_with_zeros(
        which in 0..3usize, ordinary in by_contributions(Just(0.125)), case in applied(conv())
    ) {
        let Op::Conv { weights, bias, spec, groups } = &case.bound.op else { unreachable!() };
        let (outputs, per_group) = (weights.shape()[0], weights.shape()[1]);
        let mut shape = weights.shape().to_vec();
        shape[1] = per_group * groups;
        let full = Tensor::from_shape_fn(shape, |mut i| {
            let group = i[0] / (outputs / groups);
            let inside = i[1] / per_group == group;
            i[1] %= per_group;
            if inside { weights[i] } else { 0.0 }
        });
        let full = Op::Conv { weights: full, bias: bias.clone(), spec: spec.clone(), groups: 1 };
        let rule = match which {
            0 => shared(WSquare { stabilizer: 0.125, bias: BiasMode::Absorb }),
            1 => shared(ZBox { low: Some(vec![-2.0]), high: Some(vec![2.0]), stabilizer: 0.125 }),
            _ => ordinary,
        };
        let full = full.build(&[case.bound.shapes[0].as_slice()]).unwrap();
        same_on_layer(&rule, &case.bound.build(), &full, &case)?;
    }

    /// Zeros that a convolution pads itself, or a padding before it: for rules that look at contributions, since zeros contribute
    /// nothing (`flat` and `w-square` would give the explicit ones a share, and z-box sees them inside its box).
    #[test]
    fn explicit_padding_is_padding(rule in by_contributions(rules::stabilizers()), chain in chains()) {
        let x = chain.inputs();
        let explicit = chain.draft().rebuilt(|net, name, op, inputs| {
            let Op::Conv { weights, bias, spec, groups } = op else { return net.add(name, op.clone(), inputs).unwrap() };
            let along = |pads: &[usize]| -> Vec<i64> {
                std::iter::once(0).chain(pads.iter().map(|&p| i64::try_from(p).unwrap())).collect()
            };
            let pad = Op::Pad {
                mode: PadMode::Constant(0.0), begin: along(&spec.pad_begin), end: along(&spec.pad_end)
            };
            let padded = net.add(format!("{name}-pad"), pad, inputs).unwrap();
            let conv = Op::Conv { weights: weights.clone(), bias: bias.clone(), spec: spec.clone().pad(0), groups: *groups };
            net.add(name, conv, &[padded]).unwrap()
        });
        let other = explain(&explicit, &rule, std::slice::from_ref(&x));
        for entry in &other.ledger.entries {
            // And the padding gets nothing.
            prop_assert!(!explicit.shared::<f64>().node(entry.node).name.ends_with("pad") || entry.bias == [0.0, 0.0]);
        }
        same(&chain.explain(&rule, &x), &other, Clone::clone, &rule)?;
    }

    /// A batch norm folded into the layer before it is that layer with scaled weights: for all rules, by construction.
    #[test]
    fn folding_is_scaling_by_hand(rule in rules::any_affine(), case in applied(prop_oneof![conv(), dense()]), seed in any::<u64>()) {
        let op = case.bound.build::<f64>();
        let mut random = Random(seed);
        let outputs = match &case.bound.op {
            Op::Conv { weights, .. } | Op::Dense { weights, .. } => weights.shape()[0],
            _ => unreachable!(),
        };
        let (scale, shift): (Vec<f64>, Vec<f64>) = (random.numbers(outputs, 0.5, 2.0), random.numbers(outputs, -1.0, 1.0));
        let Some(folded) = op.as_rescale().and_then(|op| op.rescale_output(&scale, &shift)) else { return Ok(()) };
        let mut by_hand = case.bound.op.clone();
        let (Op::Conv { weights, bias, .. } | Op::Dense { weights, bias }) = &mut by_hand else { unreachable!() };
        for (mut row, s) in weights.axis_iter_mut(Axis(0)).zip(&scale) {
            row.mapv_inplace(|w| s * w);
        }
        let own = bias.clone().unwrap_or_else(|| vec![0.0; outputs]);
        *bias = Some((0..outputs).map(|k| scale[k] * own[k] + shift[k]).collect());
        let by_hand = by_hand.build(&[case.bound.shapes[0].as_slice()]).unwrap();
        let (a, b) = (on_layer(&rule, &folded, &case), on_layer(&rule, &by_hand, &case));
        prop_assert!(same_bits(&a, &b), "{rule}: {a} and {b}");
    }

    /// A batch norm after a layer, folded into it or a layer of its own under the same rule. For LRP-0, in which its output cancels:
    /// `x w s / (s z + t)` either way; biases absorb or are ignored on both.
    #[test]
    fn folding_into_the_layer_before_is_exact_for_zero(mode in absorb_or_ignore(), case in applied(conv()), seed in any::<u64>()) {
        let op = case.bound.build::<f64>();
        let channels = op.output_shape()[0];
        let mut random = Random(seed);
        let norm = norm(&mut random, channels);
        let (scale, shift) = factors(&norm);
        let folded = op.as_rescale().unwrap().rescale_output(&scale, &shift).unwrap();
        two_or_one(&[case.bound.op.clone(), norm], &folded, mode, &case)?;
    }

    /// A batch norm before a layer, likewise: `x s w / z` either way, where the bias absorbs (ignored, each would leave out another).
    #[test]
    fn folding_into_the_layer_after_is_exact_for_zero(case in applied(conv()), seed in any::<u64>()) {
        let op = case.bound.build::<f64>();
        let mut random = Random(seed);
        let norm = norm(&mut random, case.bound.shapes[0][0]);
        let (scale, shift) = factors(&norm);
        // A shift under zero padding cannot be folded.
        let Some(folded) = op.as_rescale().and_then(|op| op.rescale_input(&scale, &shift)) else { return Ok(()) };
        two_or_one(&[norm, case.bound.op.clone()], &folded, BiasMode::Absorb, &case)?;
    }

    /// A network explained at once, or in two steps: the second part first, then the first part from the relevance that the second
    /// gave to its input. The same bits, for all rules.
    #[test]
    fn two_steps_are_one(rule in rules::any_affine(), net in nets(ANYTHING), at in any::<prop::sample::Index>()) {
        let draft = net.draft();
        let cut = *at.get(&draft.cuts());
        let (first, second) = draft.split(cut);
        let xs = net.inputs::<f64>(2, -1.0, 1.0);
        let (before, after) = xs.split_at(first.input_shapes().len());
        let whole = explain(&draft, &rule, &xs);

        let first_plan = plan(&first, &rule);
        let record = first_plan.record_all(before).unwrap();
        let inputs: Vec<Tensor<f64>> = std::iter::once(record.output().clone()).chain(after.iter().cloned()).collect();
        let mut late = explain(&second, &rule, &inputs).relevance;
        let early = record.propagate(late.remove(0)).relevance;
        let steps = early.into_iter().chain(late);
        prop_assert!(whole.relevance.iter().zip(steps).all(|(a, b)| same_bits(a, &b)), "{rule}, cut at {cut:?}");
    }

    /// Operators that do nothing, put in everywhere, change no bit: identity, a transposition there and back, a slice of everything.
    #[test]
    fn operators_that_do_nothing_change_nothing(rule in rules::any_affine(), net in nets(ANYTHING), which in 0..3usize) {
        let xs = net.inputs::<f64>(2, -1.0, 1.0);
        let draft = net.draft();
        let longer = draft.rebuilt(|net, name, op, inputs| {
            let place = net.add(name, op.clone(), inputs).unwrap();
            let shape = net.shape(place).to_vec();
            let back: Vec<usize> = std::iter::once(0).chain((1..=shape.len()).rev()).collect();
            let nothing = match which {
                0 => vec![Op::Identity],
                1 => vec![Op::Transpose { permutation: back.clone() }, Op::Transpose { permutation: back }],
                _ => vec![Op::Slice { axis: 1, start: 0, step: 1, len: shape[0] }],
            };
            nothing.into_iter().enumerate().fold(place, |x, (i, op)| net.add(format!("{name}-{i}"), op, &[x]).unwrap())
        });
        let (a, b) = (explain(&draft, &rule, &xs), explain(&longer, &rule, &xs));
        prop_assert!(a.relevance.iter().zip(&b.relevance).all(|(a, b)| same_bits(a, b)), "{rule}");
    }

    /// Samples in another order: so is their relevance, bit for bit.
    #[test]
    fn permuted_samples_permute_relevance(rule in rules::any_affine(), chain in chains()) {
        let plan = plan(&chain.draft(), &rule);
        let x: Tensor<f64> = Random(chain.seed).tensor(&[&[5][..], &chain.input].concat(), -1.0, 1.0);
        let order = Random(chain.seed).permutation(5);
        let one = |x: &Tensor<f64>| {
            let record = plan.record(x).unwrap();
            record.propagate(record.output().mapv(|v| v + 1.0)).relevance.remove(0)
        };
        prop_assert!(same_bits(&one(&x).select(Axis(0), &order), &one(&x.select(Axis(0), &order))), "{rule}");
    }

    /// `flat` does not look at the weights, but for which inputs they connect.
    #[test]
    fn flat_does_not_see_weights(case in applied(conv()), stabilizer in rules::stabilizers()) {
        let Op::Conv { weights, bias, spec, groups } = &case.bound.op else { unreachable!() };
        let other = Op::Conv {
            weights: weights.mapv(|w| 1.0 - w * w), bias: bias.clone(), spec: spec.clone(), groups: *groups
        };
        let other = other.build(&[case.bound.shapes[0].as_slice()]).unwrap();
        let rule = shared(Flat { stabilizer });
        prop_assert!(same_bits(&on_layer(&rule, &case.bound.build(), &case), &on_layer(&rule, &other, &case)));
    }

    /// A batch norm is the scaling that it says it is: for all rules, the same bits.
    #[test]
    fn batch_norms_are_scalings(rule in rules::any_affine(), case in applied(batch_norm())) {
        let (scale, shift) = factors(&case.bound.op);
        let shape = &case.bound.shapes[0];
        let constant = |values: Vec<f64>| {
            let broadcast = [&[values.len()][..], &vec![1; shape.len() - 1]].concat();
            Some(Tensor::from_shape_vec(broadcast, values).unwrap())
        };
        let scaling = Op::Scale { weight: constant(scale), bias: constant(shift) };
        let scaling = scaling.build(&[shape.as_slice()]).unwrap();
        prop_assert!(same_bits(&on_layer(&rule, &case.bound.build(), &case), &on_layer(&rule, &scaling, &case)));
    }
}

fn norm(random: &mut Random, channels: usize) -> Op {
    let mut numbers = |low, high| random.numbers(channels, low, high);
    let (gamma, beta, mean, var) = (numbers(0.5, 2.0), numbers(-1.0, 1.0), numbers(-1.0, 1.0), numbers(0.5, 2.0));
    Op::BatchNorm { gamma, beta, mean, var, epsilon: 1e-5 }
}

/// The factor and the summand of each channel: `γ / √(var + ε)` and `β − mean · factor`.
fn factors(norm: &Op) -> (Vec<f64>, Vec<f64>) {
    let Op::BatchNorm { gamma, beta, mean, var, epsilon } = norm else { unreachable!() };
    let scale: Vec<f64> = gamma.iter().zip(var).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
    (scale, shift)
}

/// LRP-0 through two layers, and through the one that does the same.
fn two_or_one(two: &[Op], one: &Arc<dyn Operator<f64>>, mode: BiasMode, case: &Applied) -> Result<(), TestCaseError> {
    let rule = shared(Zero { bias: mode });
    let mut net = Draft::new();
    let mut place = net.input("x", &case.bound.shapes[0]);
    for (i, op) in two.iter().enumerate() {
        place = net.add(format!("layer{i}"), op.clone(), &[place]).unwrap();
    }
    let plan = plan(&net, &rule);
    let record = plan.record(&case.xs[0]).unwrap();
    let output = one.forward(&[&case.xs[0]]);
    prop_assert!(max_difference(record.output(), &output) <= 1e-12 * largest(&output).max(1.0));
    // A value of zero between the two, but for rounding, where contributions cancel: its relevance is 0 · R / 0. It receives none.
    let mut case = case.clone();
    let between = two[0].build::<f64>(&[case.bound.shapes[0].as_slice()]).unwrap().forward(&[&case.xs[0]]);
    let cancels = |y: f64| y.abs() < 1e-9;
    if between.shape() == case.r.shape() {
        case.r.zip_mut_with(&between, |r, &y| {
            if cancels(y) {
                *r = 0.0
            }
        });
    }
    let apart = record.propagate(case.r.clone());
    let folded = on_layer(&rule, one, &case);
    prop_assume!(flow(&apart).max(largest(&folded)) < 1e4);
    prop_assume!(between.iter().all(|&y| !cancels(y) || case.r.shape() == between.shape()));
    let scale = flow(&apart).max(largest(&folded)).max(largest(&case.r));
    prop_assert!(
        max_difference(apart.input_relevance(), &folded) <= ROUNDING * scale,
        "{} and {folded}",
        apart.input_relevance()
    );
    Ok(())
}

/// The mistakes that these tests detect.
#[test]
fn a_difference_is_seen() {
    let x = Tensor::from_shape_vec(vec![1, 2], vec![1.0, 2.0]).unwrap();
    let dense = |w: f64| {
        let weights = Tensor::from_shape_vec(vec![1, 2], vec![1.0, w]).unwrap();
        let op: Arc<dyn Operator<f64>> = Op::Dense { weights, bias: None }.build(&[&[2]]).unwrap();
        op
    };
    let bound = Bound { op: Op::Dense { weights: Tensor::ones(vec![1, 2]), bias: None }, shapes: vec![vec![2]] };
    let case = Applied { bound, xs: vec![x], r: Tensor::ones(vec![1, 1]), nonnegative: false };
    let rule = shared(Zero { bias: BiasMode::Absorb });
    assert!(same_on_layer(&rule, &dense(1.0), &dense(1.0), &case).is_ok());
    assert!(same_on_layer(&rule, &dense(1.0), &dense(1.0 + 1e-6), &case).is_err());
}
