//! The properties that define the rules, over random networks with convolutions, groups, strides, pooling, batch norms, residual
//! sums, concatenations, gates, recurrent layers and several inputs, in f64.

use std::sync::Arc;

use lrp_core::operator::{Group, Io, Kind, apply_to_ones};
use lrp_core::tensor::{is_nonnegative, sums};
use lrp_core::{Assignment, Explanation, Model, Plan, Rule, Scalar, Start, Target, Tensor};
use lrp_rules::{
    AlphaBeta, BiasMode, Deconvnet, Epsilon, EpsilonValue, Flat, Gamma, Gradient, GuidedBackprop, Norm, Pass, Residual,
    WSquare, ZBox, ZPlus, Zero,
};
use lrp_testing::network::{ANYTHING, Allow, Net, nets};
use lrp_testing::{Random, cases, max_difference, rules};
use ndarray::{Axis, Slice};
use proptest::prelude::*;

/// Ledgers of random networks may amplify rounding: this is far above f64 rounding and far below any mistake.
const BALANCE: f64 = 1e-9;

type Shared<T> = Arc<dyn Rule<T>>;

fn epsilon(value: f64) -> Epsilon {
    Epsilon { epsilon: EpsilonValue::Absolute(value), bias: BiasMode::Absorb }
}

/// Every weighted layer and every weightless one gets these.
fn uniform<T: Scalar>(model: &Model<T>, weighted: &Shared<T>, weightless: &Shared<T>) -> Assignment<T> {
    let rule = |group| match group {
        Group::Weighted => Some(Arc::clone(weighted)),
        Group::Weightless => Some(Arc::clone(weightless)),
        _ => None,
    };
    model.nodes().filter_map(|(id, node)| Some((id, rule(node.kind()?.group())?))).collect()
}

fn everywhere<T: Scalar>(net: &Net, rule: impl Rule<T> + 'static) -> Plan<T> {
    let rule: Shared<T> = Arc::new(rule);
    let model = Arc::new(net.build());
    Plan::new(Arc::clone(&model), &uniform(&model, &rule, &rule)).unwrap()
}

/// `rule` on weighted layers, `norm` on the others.
fn layers<T: Scalar>(net: &Net, rule: impl Rule<T> + 'static) -> Plan<T> {
    let norm: Shared<T> = Arc::new(Norm { stabilizer: 1e-6, residual: Residual::Signed });
    let model = Arc::new(net.build());
    Plan::new(Arc::clone(&model), &uniform(&model, &(Arc::new(rule) as Shared<T>), &norm)).unwrap()
}

fn explain_from<T: Scalar>(plan: &Plan<T>, xs: &[Tensor<T>], start: Start) -> Explanation<T> {
    plan.record_all(xs).unwrap().explain(&Target::Argmax, start).unwrap()
}

fn explain<T: Scalar>(plan: &Plan<T>, xs: &[Tensor<T>]) -> Explanation<T> {
    explain_from(plan, xs, Start::Logit)
}

/// The values of every node of the model.
fn values(model: &Model<f64>, xs: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
    let mut inputs = xs.iter();
    let mut values: Vec<Tensor<f64>> = Vec::new();
    for (_, node) in model.nodes() {
        let value = match node.op() {
            Some(op) => op.forward(&node.inputs.iter().map(|i| &values[i.index()]).collect::<Vec<_>>()),
            None => inputs.next().unwrap().clone(),
        };
        values.push(value);
    }
    values
}

/// The tensors of all inputs as one, `[N, …]` each to `[N, total]`.
fn joined<T: Scalar>(tensors: &[Tensor<T>]) -> Tensor<T> {
    let n = tensors[0].shape()[0];
    let flat: Vec<Tensor<T>> =
        tensors.iter().map(|t| t.to_shape((n, t.len() / n)).unwrap().to_owned().into_dyn()).collect();
    ndarray::concatenate(Axis(1), &flat.iter().map(|t| t.view()).collect::<Vec<_>>()).unwrap()
}

/// One sample of every tensor.
fn sample_of<T: Scalar>(tensors: &[Tensor<T>], sample: usize) -> Vec<Tensor<T>> {
    tensors.iter().map(|t| t.slice_axis(Axis(0), Slice::from(sample..=sample)).to_owned()).collect()
}

/// Close in proportion to the largest value.
fn close(a: &Tensor<f64>, b: &Tensor<f64>, tolerance: f64) -> bool {
    let size = b.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    max_difference(a, b) <= tolerance * size.max(1e-300)
}

/// The gradient of the explained outputs with respect to the inputs, by plain backpropagation.
fn gradient(net: &Net, xs: &[Tensor<f64>]) -> Tensor<f64> {
    let model = Arc::new(net.build());
    let rule: Shared<f64> = Arc::new(Gradient);
    let rules = model.nodes().filter(|(_, n)| n.op().is_some()).map(|(id, _)| (id, Arc::clone(&rule))).collect();
    let plan = Plan::new(model, &rules).unwrap();
    joined(&explain_from(&plan, xs, Start::One).relevance)
}

/// Rules that propagate exactly the relevance they receive if nothing is stabilized and biases are ignored.
fn conserving(which: usize) -> Shared<f64> {
    let bias = BiasMode::Absorb;
    match which {
        0 => Arc::new(Zero { bias }),
        1 => Arc::new(Gamma { gamma: 0.25, stabilizer: 0.0, bias }),
        2 => Arc::new(AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer: 0.0, bias }),
        3 => Arc::new(ZPlus { stabilizer: 0.0, bias }),
        4 => Arc::new(WSquare { stabilizer: 0.0, bias }),
        5 => Arc::new(Flat { stabilizer: 0.0 }),
        _ => Arc::new(ZBox { low: Some(vec![-1.5]), high: Some(vec![1.5]), stabilizer: 0.0 }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1 << 20, failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// Property 1: LRP-0 everywhere on a ReLU network is gradient × input, biases present.
    #[test]
    fn zero_everywhere_is_gradient_times_input(net in nets(Allow { any_activation: false, products: false, ..ANYTHING })) {
        // With short weights, contributions cancel to exactly zero: that output takes no relevance, but has a gradient.
        let net = Net { bits: 52, ..net };
        let x = net.inputs::<f64>(2, -1.0, 1.0);
        let plan = everywhere(&net, Zero { bias: BiasMode::Absorb });
        let lrp = explain(&plan, &x);
        // Relevance starts at the logit: f ∂f/∂x · x / f. An output of zero (f = 0) explains nothing either way.
        let expected = gradient(&net, &x) * joined(&x);
        prop_assert!(close(&joined(&lrp.relevance), &expected, 1e-8), "{:?}\n{expected:?}", lrp.relevance);
    }

    /// Property 2: LRP-ε approaches LRP-0 as ε vanishes.
    #[test]
    fn epsilon_approaches_zero(net in nets(ANYTHING)) {
        let x = net.inputs::<f64>(1, -1.0, 1.0);
        let zero = explain(&everywhere(&net, Zero { bias: BiasMode::Absorb }), &x);
        // Where contributions cancel to exactly zero under relevance, the limit does not exist: LRP-0 records a loss there. Where they
        // cancel but for rounding, this ε is not small.
        prop_assume!(zero.ledger.entries.iter().all(|e| e.rule[0] == 0.0));
        prop_assume!(values(&net.build(), &x).iter().flatten().all(|&z| z == 0.0 || z.abs() > 1e-8));
        let zero = joined(&zero.relevance);
        let distance = max_difference(&joined(&explain(&everywhere(&net, epsilon(1e-13)), &x).relevance), &zero);
        let size = zero.iter().fold(1e-9_f64, |m, v| m.max(v.abs()));
        prop_assert!(distance <= 1e-4 * size, "{distance} of {size}");
    }

    /// Property 3: γ → ∞ is α1β0 where z > 0.
    #[test]
    fn gamma_approaches_alpha1_beta0(net in nets(Allow { any_activation: false, biases: true, weightless: false, products: false, joins: false })) {
        let model: Model<f64> = net.build();
        let (gamma, ab): (Shared<f64>, Shared<f64>) = (
            Arc::new(Gamma { gamma: 1e9, stabilizer: 0.0, bias: BiasMode::Absorb }),
            Arc::new(AlphaBeta { alpha: 1.0, beta: 0.0, stabilizer: 0.0, bias: BiasMode::Absorb }),
        );
        // Layer by layer, so that each is asked about outputs with z > 0 only.
        for &id in model.layers() {
            let node = model.node(id);
            let op = node.op().unwrap();
            let x = Random(net.seed).tensor::<f64>(&[&[1][..], &op.input_shapes()[0]].concat(), 0.0, 1.0);
            let z = op.forward(&[&x]);
            let r = z.mapv(|z| if z > 1e-3 { z } else { 0.0 });
            let io = Io { inputs: &[&x], output: &z };
            let layer = lrp_core::rule::Layer { name: "", op, nonnegative_inputs: true, nonnegative_outputs: false, skip_input: None };
            let a = gamma.prepare(&layer).unwrap().propagate(io, &r).relevance.remove(0);
            let b = ab.prepare(&layer).unwrap().propagate(io, &r).relevance.remove(0);
            prop_assert!(max_difference(&a, &b) <= 1e-6 * r.sum(), "{}\n{a:?}\n{b:?}", node.name);
        }
    }

    /// Property 4: α1β0 is z⁺, and never negative where relevance is not.
    #[test]
    fn alpha1_beta0_is_z_plus_and_one_sided(net in nets(Allow { weightless: false, ..ANYTHING })) {
        let x = net.inputs::<f64>(2, -1.0, 1.0);
        let ab = explain(&layers(&net, AlphaBeta { alpha: 1.0, beta: 0.0, stabilizer: 1e-6, bias: BiasMode::Absorb }), &x);
        let plan = everywhere(&net, ZPlus { stabilizer: 1e-6, bias: BiasMode::Absorb });
        let zp = explain_from(&plan, &x, Start::One);
        prop_assert!(is_nonnegative(zp.input_relevance()));
        let zp = explain(&layers(&net, ZPlus { stabilizer: 1e-6, bias: BiasMode::Absorb }), &x);
        prop_assert_eq!(ab.input_relevance(), zp.input_relevance());
    }

    /// Property 5: without biases and stabilizers, conserving rules propagate exactly the relevance they receive, except for the
    /// recorded losses at zero denominators.
    #[test]
    fn conserving_rules_conserve(net in nets(Allow { biases: false, products: false, ..ANYTHING }), which in 0..7usize) {
        let rule = conserving(which);
        let model = Arc::new(net.build());
        let zero: Shared<f64> = Arc::new(Zero { bias: BiasMode::Absorb });
        let plan = Plan::new(Arc::clone(&model), &uniform(&model, &rule, &zero)).unwrap();
        let e = explain(&plan, &net.inputs(2, -1.0, 1.0));
        for entry in &e.ledger.entries {
            for sample in 0..2 {
                // Padding of its own holds constants: their relevance stays there, as the ledger records.
                let is_pad = model.node(entry.node).kind() == Some(Kind::Pad);
                prop_assert!(is_pad || entry.bias[sample] == 0.0);
                prop_assert_eq!(entry.stabilizer[sample], 0.0);
                prop_assert!(entry.relative_imbalance(sample).abs() < BALANCE);
            }
        }
        // If no denominator is zero, all of it is propagated.
        let t = e.ledger.totals(0);
        let moved = e.ledger.entries.iter().map(|e| e.propagated_abs[0]).fold(0.0, f64::max);
        prop_assert!((t.start - t.input - t.bias - t.rule).abs() <= BALANCE * moved.max(1.0));
    }

    /// Property 6: the ledger balances, per layer and in total, for every rule, operator, bias mode and network.
    #[test]
    fn the_ledger_balances(rule in rules::any_affine(), other in rules::any_affine(), net in nets(ANYTHING)) {
        let model = Arc::new(net.build());
        let plan = Plan::new(Arc::clone(&model), &uniform(&model, &rule, &other)).unwrap();
        let e = explain(&plan, &net.inputs(2, -1.0, 1.0));
        prop_assume!(e.ledger.entries.iter().all(|e| e.propagated_abs.iter().all(|v| v.is_finite())));
        for entry in &e.ledger.entries {
            for sample in 0..2 {
                let node = &model.node(entry.node).name;
                prop_assert!(entry.relative_imbalance(sample).abs() < BALANCE,
                    "{node}: {rule} / {other}: {:e} of {entry:?}", entry.relative_imbalance(sample));
            }
        }
        let moved = e.ledger.entries.iter().map(|e| e.propagated_abs[0]).fold(0.0, f64::max);
        prop_assert!(e.ledger.totals(0).imbalance().abs() <= BALANCE * moved.max(e.ledger.start[0].abs()));
        prop_assert!((sums(&joined(&e.relevance))[0] - e.ledger.input[0]).abs() <= BALANCE * moved.max(1e-300));
    }

    /// Property 6 for what is not affine: activations under every rule that goes with them, and the product with the input.
    #[test]
    fn the_ledger_balances_for_activations(which in 0..4usize, net in nets(ANYTHING)) {
        let rule: Shared<f64> = match which {
            0 => Arc::new(Gradient),
            1 => Arc::new(GuidedBackprop),
            2 => Arc::new(Deconvnet),
            _ => Arc::new(Pass),
        };
        let model = Arc::new(net.build());
        let gradient: Shared<f64> = Arc::new(Gradient);
        let mut rules = uniform(&model, &gradient, &gradient);
        rules.extend(model.nodes().filter(|(_, n)| n.kind().is_some_and(|k| k.group() == Group::Activation))
            .map(|(id, _)| (id, Arc::clone(&rule))));
        let plan = Plan::new(model, &rules).unwrap().times_input(true);
        let e = explain_from(&plan, &net.inputs(2, -1.0, 1.0), Start::One);
        for entry in &e.ledger.entries {
            prop_assert!(entry.relative_imbalance(0).abs() < BALANCE, "{entry:?}");
        }
    }

    /// Property 6 for the policies of residual sums.
    #[test]
    fn the_ledger_balances_for_residual_policies(which in 0..5usize, net in nets(ANYTHING)) {
        let policies = [Residual::Signed, Residual::Absolute, Residual::Equal, Residual::SkipOnly, Residual::BranchOnly];
        let norm = |residual| -> Shared<f64> { Arc::new(Norm { stabilizer: 1e-6, residual }) };
        let model = Arc::new(net.build());
        let zp: Shared<f64> = Arc::new(ZPlus { stabilizer: 1e-6, bias: BiasMode::Absorb });
        let mut rules = uniform(&model, &zp, &norm(policies[which]));
        // Of a sum of equals, no summand is the skip connection.
        for (id, rule) in rules.iter_mut().filter(|(id, _)| model.skip_input(**id).is_none()) {
            if model.node(*id).kind() == Some(Kind::Add) {
                *rule = norm(policies[which % 3]);
            }
        }
        let plan = Plan::new(Arc::clone(&model), &rules).unwrap();
        let e = explain(&plan, &net.inputs(1, -1.0, 1.0));
        for entry in &e.ledger.entries {
            prop_assert!(entry.relative_imbalance(0).abs() < BALANCE, "{entry:?}");
        }
    }

    /// Property 7: relevance is linear in the starting relevance.
    #[test]
    fn relevance_is_linear_in_the_start(rule in rules::any_affine(), net in nets(ANYTHING), a in -2.0..2.0, b in -2.0..2.0) {
        let model = Arc::new(net.build());
        let norm: Shared<f64> = Arc::new(Norm { stabilizer: 1e-6, residual: Residual::Signed });
        let plan = Plan::new(Arc::clone(&model), &uniform(&model, &rule, &norm)).unwrap();
        let x = net.inputs(1, -1.0, 1.0);
        let record = plan.record_all(&x).unwrap();
        let mut random = Random(net.seed);
        let (u, v) = (random.tensor(&[1, net.classes], -1.0, 1.0), random.tensor(&[1, net.classes], -1.0, 1.0));
        let of = |start: Tensor<f64>| record.propagate(start);
        let (ru, rv) = (of(u.clone()), of(v.clone()));
        let both = of(&u * a + &v * b);
        let expected = joined(&ru.relevance) * a + joined(&rv.relevance) * b;
        // Rounding grows with the relevance moved on the way, not with that at the input.
        let moved = [&ru, &rv].iter().flat_map(|e| &e.ledger.entries).map(|e| e.propagated_abs[0]).fold(1e-300, f64::max);
        prop_assume!(moved.is_finite());
        prop_assert!(max_difference(&joined(&both.relevance), &expected) <= 1e-9 * moved, "{rule}");
    }

    /// Property 7: a batch gives bit for bit what its samples give one by one, on one thread and on several.
    #[test]
    fn a_batch_is_its_samples(rule in rules::any_affine(), net in nets(ANYTHING)) {
        let model = Arc::new(net.build());
        let norm: Shared<f64> = Arc::new(Norm { stabilizer: 1e-6, residual: Residual::Signed });
        let plan = Plan::new(Arc::clone(&model), &uniform(&model, &rule, &norm)).unwrap();
        // One sample without negative elements, so that what is skipped for it alone is computed in the batch.
        let mut x = net.inputs::<f64>(5, -1.0, 1.0);
        x.iter_mut().for_each(|x| x.index_axis_mut(Axis(0), 1).mapv_inplace(f64::abs));
        let batch = explain(&plan, &x);
        let bits = |t: ndarray::ArrayViewD<'_, f64>| t.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        for sample in 0..5 {
            let one = sample_of(&x, sample);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let single = pool.install(|| explain(&plan, &one));
            let part = joined(&sample_of(&batch.relevance, sample));
            prop_assert_eq!(bits(part.view()), bits(joined(&single.relevance).view()));
            prop_assert_eq!(batch.ledger.totals(sample), single.ledger.totals(0));
        }
    }

    /// Property 7 in f32, where a different order of summation would show at once.
    #[test]
    fn a_batch_is_its_samples_in_f32(net in nets(ANYTHING)) {
        let plan = layers::<f32>(&net, AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer: 1e-6, bias: BiasMode::Absorb });
        let x = net.inputs::<f32>(9, -1.0, 1.0);
        let batch = explain(&plan, &x);
        for sample in [0, 4, 8] {
            let single = explain(&plan, &sample_of(&x, sample));
            let part = joined(&sample_of(&batch.relevance, sample));
            prop_assert!(part.iter().zip(&joined(&single.relevance)).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    /// Property 9: every operator's adjoint is its adjoint.
    #[test]
    fn adjoints_are_adjoint(net in nets(ANYTHING)) {
        let model: Model<f64> = net.build();
        let mut random = Random(net.seed);
        for (_, node) in model.nodes() {
            let Some(op) = node.op() else { continue };
            let xs: Vec<Tensor<f64>> = op.input_shapes().iter()
                .map(|s| random.tensor(&[&[2][..], s].concat(), -1.0, 1.0)).collect();
            let refs: Vec<&Tensor<f64>> = xs.iter().collect();
            let s: Tensor<f64> = random.tensor(&[&[2][..], op.output_shape()].concat(), -1.0, 1.0);
            let (z, back) = match op.as_affine() {
                Some(op) => (op.apply(&refs), op.adjoint(&s)),
                // Structural operators are their own linear part but for the constants they insert.
                None if op.kind().group() == Group::Structural => {
                    let zeros: Vec<Tensor<f64>> = xs.iter().map(|x| x * 0.0).collect();
                    let y = op.forward(&refs);
                    let z = &y - &op.forward(&zeros.iter().collect::<Vec<_>>());
                    (z, op.vjp(Io { inputs: &refs, output: &y }, &s))
                }
                None => continue,
            };
            let left: f64 = (&z * &s).sum();
            let right: f64 = xs.iter().zip(&back).map(|(x, b)| (x * b).sum()).sum();
            prop_assert!((left - right).abs() <= 1e-10 * (1.0 + left.abs()), "{}: {left} and {right}", node.name);
        }
    }

    /// Property 10: z-box of an input inside the box is not negative.
    #[test]
    fn z_box_inside_the_box_is_one_sided(net in nets(ANYTHING), low in -2.0..=-1.0, high in 1.0..2.0) {
        let model: Model<f64> = net.build();
        for id in model.first_layers() {
            let op = model.node(id).op().unwrap();
            let layer = lrp_core::rule::Layer { name: "", op, nonnegative_inputs: false, nonnegative_outputs: false, skip_input: None };
            let rule = ZBox { low: Some(vec![low]), high: Some(vec![high]), stabilizer: 0.0 };
            let x: Tensor<f64> = Random(net.seed).tensor(&[&[1][..], &op.input_shapes()[0]].concat(), -1.0, 1.0);
            let z = op.forward(&[&x]);
            let r = z.mapv(f64::abs);
            let out = rule.prepare(&layer).unwrap().propagate(Io { inputs: &[&x], output: &z }, &r);
            prop_assert!(out.relevance[0].iter().all(|&r| r >= -1e-9), "{:?}", out.relevance[0]);
        }
    }

    /// Property 10: flat and w² do not look at the input.
    #[test]
    fn flat_and_w_square_ignore_the_input(net in nets(ANYTHING), flat in any::<bool>()) {
        let model: Model<f64> = net.build();
        for &id in model.layers() {
            let op = model.node(id).op().unwrap();
            let layer = lrp_core::rule::Layer { name: "", op, nonnegative_inputs: false, nonnegative_outputs: false, skip_input: None };
            let rule: Shared<f64> = if flat { Arc::new(Flat { stabilizer: 1e-6 }) }
                else { Arc::new(WSquare { stabilizer: 1e-6, bias: BiasMode::Ignore }) };
            let prepared = rule.prepare(&layer).unwrap();
            let mut random = Random(net.seed);
            let mut run = |r: &Tensor<f64>| {
                let x: Tensor<f64> = random.tensor(&[&[1][..], &op.input_shapes()[0]].concat(), -1.0, 1.0);
                let z = op.forward(&[&x]);
                prepared.propagate(Io { inputs: &[&x], output: &z }, r).relevance
            };
            let r = Tensor::from_elem([&[1][..], op.output_shape()].concat(), 0.7);
            prop_assert_eq!(run(&r), run(&r));
        }
    }

    /// `distribute` conserves: the bias's share is spread, nothing is absorbed.
    #[test]
    fn distributed_biases_absorb_nothing(net in nets(ANYTHING)) {
        let plan = layers::<f64>(&net, Zero { bias: BiasMode::Distribute });
        let e = explain(&plan, &net.inputs(1, -1.0, 1.0));
        for entry in &e.ledger.entries {
            let node = plan.model().node(entry.node);
            let Some(op) = node.op().and_then(|op| op.as_affine()).filter(|_| node.kind() != Some(Kind::Scale)) else { continue };
            // An output that sees nothing but padding has no input to give its bias's share to.
            let blind = apply_to_ones(op.map_weights(&|_| 1.0).as_ref()).iter().any(|&n| n == 0.0);
            prop_assert!(blind || entry.bias[0] == 0.0, "{}: {}", node.name, entry.bias[0]);
        }
    }

    /// The number of inputs that an output sees, and nothing else, is what `flat` divides by: padding is no input.
    #[test]
    fn connections_do_not_count_padding(net in nets(ANYTHING)) {
        let model: Model<f64> = net.build();
        for &id in model.layers() {
            let op = model.node(id).op().unwrap().as_affine().unwrap();
            let ones = apply_to_ones(op.map_weights(&|_| 1.0).as_ref());
            let inputs: usize = op.input_shapes()[0].iter().product();
            prop_assert!(ones.iter().all(|&n| n >= 0.0 && n <= inputs as f64 && n.fract() == 0.0));
        }
    }
}
