//! Every rule on a layer small enough to be computed by hand, and the mistakes of others that must not happen here.

use std::sync::Arc;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::{Io, Operator};
use lrp_core::ops::{Activation, Add, Conv, Dense, Function};
use lrp_core::profile::Profile;
use lrp_core::rule::{Layer, Propagated};
use lrp_core::tensor::sums;
use lrp_core::{Assignment, Builder, Plan, Rule, Start, Target, Tensor};
use lrp_rules::{
    AlphaBeta, BiasMode, Branch, Deconvnet, Epsilon, EpsilonValue, Flat, Gains, Gamma, Gradient, GuidedBackprop, Norm,
    Pass, Residual, Side, WSquare, ZBox, ZPlus, Zero,
};

use BiasMode::{Absorb, Distribute, Ignore};

/// One number per sample axis of length one.
fn row(values: &[f64]) -> Tensor<f64> {
    Tensor::from_shape_vec(vec![1, values.len()], values.to_vec()).unwrap()
}

fn dense(weights: &[&[f64]], bias: &[f64]) -> Arc<dyn Operator<f64>> {
    let w = Tensor::from_shape_fn(vec![weights.len(), weights[0].len()], |i| weights[i[0]][i[1]]);
    Arc::new(Dense::new(w, Some(bias.to_vec()), &[weights[0].len()]).unwrap())
}

/// `z = 3·2 − 1·1 − 1 = 4`: contributions 6 and −1, bias −1.
fn mixed() -> Arc<dyn Operator<f64>> {
    dense(&[&[3.0, -1.0]], &[-1.0])
}

fn propagate(rule: &dyn Rule<f64>, op: &Arc<dyn Operator<f64>>, xs: &[Tensor<f64>], r: &[f64]) -> Propagated<f64> {
    let layer = Layer { name: "layer", op, nonnegative_inputs: false, nonnegative_outputs: false, skip_input: Some(0) };
    let xs: Vec<&Tensor<f64>> = xs.iter().collect();
    let z = op.forward(&xs);
    rule.prepare(&layer).unwrap().propagate(Io { inputs: &xs, output: &z }, &row(r))
}

/// Compares relevance, then the accounts bias, stabilizer and rule.
#[track_caller]
fn check(out: &Propagated<f64>, relevance: &[f64], bias: f64, stabilizer: f64, rule: f64) {
    let got: Vec<f64> = out.relevance.iter().flat_map(|r| r.iter().copied()).collect();
    let got = [got.as_slice(), &[out.bias[0], out.stabilizer[0], out.rule[0]]].concat();
    let expected = [relevance, &[bias, stabilizer, rule]].concat();
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "got {got:?}, expected {expected:?}");
}

/// The rule on the mixed layer with x = (2, 1) and R = 4.
#[track_caller]
fn on_mixed(rule: &dyn Rule<f64>, relevance: &[f64], bias: f64, stabilizer: f64, lost: f64) {
    check(&propagate(rule, &mixed(), &[row(&[2.0, 1.0])], &[4.0]), relevance, bias, stabilizer, lost);
}

#[test]
fn zero() {
    on_mixed(&Zero { bias: Absorb }, &[6.0, -1.0], -1.0, 0.0, 0.0);
    on_mixed(&Zero { bias: Ignore }, &[6.0 * 4.0 / 5.0, -4.0 / 5.0], 0.0, 0.0, 0.0);
    on_mixed(&Zero { bias: Distribute }, &[5.5, -1.5], 0.0, 0.0, 0.0);
    // z = (5, −3.5), s = (1, −2), c = (3, −4).
    let op = dense(&[&[1.0, -2.0], &[-1.0, 1.0]], &[1.0, -0.5]);
    check(&propagate(&Zero { bias: Absorb }, &op, &[row(&[2.0, -1.0])], &[5.0, 7.0]), &[6.0, 4.0], 2.0, 0.0, 0.0);
}

#[test]
fn zero_loses_the_relevance_of_a_zero_denominator() {
    let op = dense(&[&[1.0, 1.0], &[1.0, 0.0]], &[0.0, 0.0]);
    let out = propagate(&Zero { bias: Absorb }, &op, &[row(&[1.0, -1.0])], &[3.0, 2.0]);
    check(&out, &[2.0, 0.0], 0.0, 0.0, 3.0);
}

#[test]
fn epsilon() {
    let absolute = |e| Epsilon { epsilon: EpsilonValue::Absolute(e), bias: Absorb };
    on_mixed(&absolute(1.0), &[6.0 * 0.8, -0.8], -0.8, 0.8, 0.0);
    // z < 0: the stabilizer has its sign. s = (5/6, −14/9).
    let op = dense(&[&[1.0, -2.0], &[-1.0, 1.0]], &[1.0, -0.5]);
    let out = propagate(&absolute(1.0), &op, &[row(&[2.0, -1.0])], &[5.0, 7.0]);
    check(&out, &[86.0 / 18.0, 58.0 / 18.0], 29.0 / 18.0, 43.0 / 18.0, 0.0);
    // rms(z) of a single output is |z|: ε = 0.25 · 4.
    on_mixed(&Epsilon { epsilon: EpsilonValue::Relative(0.25), bias: Absorb }, &[4.8, -0.8], -0.8, 0.8, 0.0);
    assert!(Rule::<f64>::check(&Epsilon { epsilon: EpsilonValue::Absolute(-1.0), bias: Absorb }).is_err());
    assert!(Rule::<f64>::check(&Epsilon { epsilon: EpsilonValue::Relative(f64::NAN), bias: Absorb }).is_err());
}

#[test]
fn gamma() {
    let rule = Gamma { gamma: 0.5, stabilizer: 0.0, bias: Absorb };
    on_mixed(&rule, &[36.0 / 7.0, -4.0 / 7.0], -4.0 / 7.0, 0.0, 0.0);
    // z = −4 < 0: negative contributions are favoured: 6, −1.5 and a bias of −13.5.
    let op = dense(&[&[3.0, -1.0]], &[-9.0]);
    check(&propagate(&rule, &op, &[row(&[2.0, 1.0])], &[4.0]), &[-24.0 / 9.0, 6.0 / 9.0], 54.0 / 9.0, 0.0, 0.0);
    // Negative inputs: (−2)·(−3) is a positive contribution and favoured as one.
    let op = dense(&[&[-3.0, -1.0]], &[-1.0]);
    check(&propagate(&rule, &op, &[row(&[-2.0, 1.0])], &[4.0]), &[36.0 / 7.0, -4.0 / 7.0], -4.0 / 7.0, 0.0, 0.0);
}

#[test]
fn alpha_beta() {
    let rule = AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer: 0.0, bias: Absorb };
    on_mixed(&rule, &[8.0, -2.0], -2.0, 0.0, 0.0);
    // Where all contributions have one sign, the other denominator is zero and its share lost (or, for β, created) openly.
    let op = dense(&[&[1.0, -2.0], &[-1.0, 1.0]], &[1.0, -0.5]);
    check(&propagate(&rule, &op, &[row(&[2.0, -1.0])], &[5.0, 7.0]), &[0.0, 2.0], 1.0, 0.0, 9.0);
}

#[test]
fn alpha_beta_puts_each_part_of_the_bias_into_one_denominator() {
    // z⁺ = 1 and z⁻ = −1. A full bias of −0.999 in both denominators would leave z⁺ = 0.001 and amplify a thousandfold.
    let op = dense(&[&[1.0, -0.001]], &[-0.999]);
    let rule = AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer: 0.0, bias: Absorb };
    let out = propagate(&rule, &op, &[row(&[1.0, 1.0])], &[1.0]);
    check(&out, &[2.0, -0.001], -0.999, 0.0, 0.0);
}

#[test]
fn gains() {
    let rule = |branches: &[Branch], stabilizer| Gains {
        branches: branches.to_vec(),
        stabilizer: EpsilonValue::Absolute(stabilizer),
        bias: Absorb,
    };
    // By size: 6, 1 and a bias of 1 over 8, or over 8 + 2.
    on_mixed(&rule(&[Branch::all(1.0, -1.0)], 0.0), &[3.0, 0.5], 0.5, 0.0, 0.0);
    on_mixed(&rule(&[Branch::all(1.0, -1.0)], 2.0), &[2.4, 0.4], 0.4, 0.8, 0.0);
    // 6, −0.5 and −0.5 over 5; half of R, and the rest is lost.
    let half = Branch { coefficient: 0.5, ..Branch::all(1.0, 0.5) };
    on_mixed(&rule(&[half], 0.0), &[2.4, -0.2], -0.2, 0.0, 2.0);
    // The one output that is not negative has no relevance.
    let below = Branch { outputs: Side::Negative, ..Branch::all(1.0, 1.0) };
    on_mixed(&rule(&[below], 0.0), &[0.0, 0.0], 0.0, 0.0, 4.0);
    assert!(
        Rule::<f64>::check(&Gains { branches: Vec::new(), stabilizer: EpsilonValue::Absolute(0.0), bias: Absorb })
            .is_err()
    );
}

#[test]
fn z_plus() {
    on_mixed(&ZPlus { stabilizer: 0.0, bias: Absorb }, &[4.0, 0.0], 0.0, 0.0, 0.0);
    on_mixed(&ZPlus { stabilizer: 2.0, bias: Absorb }, &[3.0, 0.0], 0.0, 1.0, 0.0);
}

#[test]
fn w_square() {
    on_mixed(&WSquare { stabilizer: 0.0, bias: Ignore }, &[3.6, 0.4], 0.0, 0.0, 0.0);
    on_mixed(&WSquare { stabilizer: 0.0, bias: Absorb }, &[36.0 / 11.0, 4.0 / 11.0], 4.0 / 11.0, 0.0, 0.0);
    on_mixed(&WSquare { stabilizer: 0.0, bias: Distribute }, &[38.0 / 11.0, 6.0 / 11.0], 0.0, 0.0, 0.0);
}

#[test]
fn flat() {
    on_mixed(&Flat { stabilizer: 0.0 }, &[2.0, 2.0], 0.0, 0.0, 0.0);
    on_mixed(&Flat { stabilizer: 2.0 }, &[1.0, 1.0], 0.0, 2.0, 0.0);
}

#[test]
fn z_box() {
    // 3·2 − (−1)·3 = 9 and −1 − 3·(−1) = 2.
    let rule = ZBox { low: Some(vec![-1.0]), high: Some(vec![3.0]), stabilizer: 0.0 };
    on_mixed(&rule, &[36.0 / 11.0, 8.0 / 11.0], 0.0, 0.0, 0.0);
    let per_channel = ZBox { low: Some(vec![-1.0, 0.0]), high: Some(vec![3.0, 5.0]), stabilizer: 0.0 };
    on_mixed(&per_channel, &[4.0 * 9.0 / 13.0, 4.0 * 4.0 / 13.0], 0.0, 0.0, 0.0);
}

#[test]
fn pass_and_gradient() {
    on_mixed(&Gradient, &[12.0, -4.0], 0.0, 0.0, -4.0);
    let op = dense(&[&[1.0, -2.0], &[-1.0, 1.0]], &[1.0, -0.5]);
    check(&propagate(&Pass, &op, &[row(&[2.0, -1.0])], &[5.0, 7.0]), &[5.0, 7.0], 0.0, 0.0, 0.0);
    let layer =
        Layer { name: "layer", op: &mixed(), nonnegative_inputs: false, nonnegative_outputs: false, skip_input: None };
    assert!(Rule::<f64>::prepare(&Pass, &layer).is_err());
}

#[test]
fn norm_and_the_policies_of_residual_sums() {
    let op: Arc<dyn Operator<f64>> = Arc::new(Add::new(2, &[1]).unwrap());
    let on_sum = |residual, expected: &[f64]| {
        let rule = Norm { stabilizer: 0.0, residual };
        check(&propagate(&rule, &op, &[row(&[3.0]), row(&[-1.0])], &[4.0]), expected, 0.0, 0.0, 0.0);
    };
    on_sum(Residual::Signed, &[6.0, -2.0]);
    on_sum(Residual::Absolute, &[3.0, 1.0]);
    on_sum(Residual::Equal, &[2.0, 2.0]);
    on_sum(Residual::SkipOnly, &[4.0, 0.0]);
    on_sum(Residual::BranchOnly, &[0.0, 4.0]);
    let layer =
        Layer { name: "layer", op: &mixed(), nonnegative_inputs: false, nonnegative_outputs: false, skip_input: None };
    assert!(Rule::<f64>::prepare(&Norm { stabilizer: 0.0, residual: Residual::Signed }, &layer).is_err());
}

#[test]
fn modifiers_of_activations() {
    let relu: Arc<dyn Operator<f64>> = Arc::new(Activation::new(Function::Relu, &[4]).unwrap());
    let x = [row(&[1.0, -1.0, 1.0, -1.0])];
    let r = [2.0, 4.0, -8.0, -16.0];
    check(&propagate(&GuidedBackprop, &relu, &x, &r), &[2.0, 0.0, 0.0, 0.0], 0.0, 0.0, -20.0);
    check(&propagate(&Deconvnet, &relu, &x, &r), &[2.0, 4.0, 0.0, 0.0], 0.0, 0.0, -24.0);
    check(&propagate(&Gradient, &relu, &x, &r), &[2.0, 0.0, -8.0, 0.0], 0.0, 0.0, -12.0);
}

/// Treated as a plain gradient, every residual sum would double relevance: 2⁸ for the eight blocks of a ResNet-18.
#[test]
fn residual_sums_do_not_double_relevance() {
    let mut net = Builder::<f64>::new();
    let mut x = net.input("x", &[2]);
    for block in 0..8 {
        let w = Tensor::from_shape_vec(vec![2, 2], vec![0.5, 0.25, 0.125, 0.5]).unwrap();
        let branch = net.add(format!("dense{block}"), Dense::new(w, None, &[2]).unwrap(), &[x]).unwrap();
        let branch =
            net.add(format!("relu{block}"), Activation::new(Function::Relu, &[2]).unwrap(), &[branch]).unwrap();
        x = net.add(format!("add{block}"), Add::new(2, &[2]).unwrap(), &[x, branch]).unwrap();
    }
    let model = Arc::new(net.finish(x).unwrap());
    let zero: Arc<dyn Rule<f64>> = Arc::new(Zero { bias: Absorb });
    let rules: Assignment<f64> = model
        .nodes()
        .filter(|(_, n)| n.op().is_some_and(|op| op.as_affine().is_some()))
        .map(|(id, _)| (id, Arc::clone(&zero)))
        .collect();
    let plan = Plan::new(model, &rules).unwrap();
    let e = plan.explain(&row(&[1.0, 2.0]), &Target::Argmax, Start::One).unwrap();
    assert!((sums(e.input_relevance())[0] - 1.0).abs() < 1e-12, "{:?}", e.input_relevance());

    // And rules are not used up by the first call.
    let again = plan.explain(&row(&[1.0, 2.0]), &Target::Argmax, Start::One).unwrap();
    assert_eq!(e.input_relevance(), again.input_relevance());
}

/// What a ReLU leaves is all that is kept of the layer before it, where no rule can tell the difference: not below a rule that gives
/// relevance to inputs of zero, and not for one that reads outputs without relevance.
#[test]
fn outputs_before_a_relu_are_kept_only_where_they_are_read() {
    let mut net = Builder::<f64>::new();
    let x = net.input("x", &[2]);
    let w = |n: usize| Tensor::from_shape_fn(vec![n, 2], |i| [[3.0, -1.0], [-1.0, 0.5]][i[0]][i[1]]);
    let first = net.add("first", Dense::new(w(2), Some(vec![0.5, 0.25]), &[2]).unwrap(), &[x]).unwrap();
    let relu = net.add("relu", Activation::new(Function::Relu, &[2]).unwrap(), &[first]).unwrap();
    let last = net.add("last", Dense::new(w(1), None, &[2]).unwrap(), &[relu]).unwrap();
    let model = Arc::new(net.finish(last).unwrap());
    let explain = |lower: Arc<dyn Rule<f64>>, upper: Arc<dyn Rule<f64>>| {
        let plan = Plan::new(Arc::clone(&model), &Assignment::from([(first, lower), (last, upper)])).unwrap();
        let mut profile = Profile::default();
        let record = profile.record(&plan, &[row(&[1.0, 1.0])]).unwrap();
        let start = record.seed(&Target::Argmax, Start::Logit).unwrap();
        let found = record.propagate(start.clone());
        // For the last time, too: a value is handed from the ReLU to the layer before it.
        let again = profile.propagate_last(record, start, &mut |_, _| {});
        assert_eq!(found.input_relevance(), again.input_relevance());
        (found, [first, relu].map(|id| profile.nodes[id.index()].kept > 0))
    };
    let epsilon = |e| -> Arc<dyn Rule<f64>> { Arc::new(Epsilon { epsilon: e, bias: Absorb }) };
    let absolute = || epsilon(EpsilonValue::Absolute(0.25));
    let flat: Arc<dyn Rule<f64>> = Arc::new(Flat { stabilizer: 0.0 });

    // z = (2.5, −0.25), y = 7.5: all of it goes to the first neuron, 7.5·7.5/7.75; s = 2.63956 and R = (3, −1)·s.
    let (found, kept) = explain(absolute(), absolute());
    assert_eq!(kept, [false, true]);
    let s = 7.5 * 7.5 / 7.75 / 2.75;
    assert!((found.input_relevance() - &row(&[3.0 * s, -s])).iter().all(|d| d.abs() < 1e-12), "{found:?}");

    // Flat gives half of it to the second neuron, whose output was −0.25: s = (3.75 / 2.75, 3.75 / −0.5).
    let (found, kept) = explain(absolute(), flat);
    assert_eq!(kept, [true, false]);
    let (s, t) = (3.75 / 2.75, -7.5);
    let expected = row(&[3.0 * s - t, 0.5 * t - s]);
    assert!((found.input_relevance() - &expected).iter().all(|d| d.abs() < 1e-12), "{found:?}");

    let (_, kept) = explain(epsilon(EpsilonValue::Relative(0.25)), absolute());
    assert_eq!(kept, [true, true]);
}

/// Where positive and negative contributions nearly cancel, or there are no negative ones, the negative sum is computed from the inputs, for
/// few outputs and for many.
#[test]
fn negative_sums_are_computed_where_little_is_left_of_the_output() {
    // Each output sees 1·x₀ and −size/64·x_j of 64 others, all inputs being 1: α·R goes to x₀ and −β·R/64 to each of the others, whatever the
    // size, down to 1e-9.
    let others = 64;
    let conv = |sizes: &[f64], space: usize| -> Arc<dyn Operator<f64>> {
        let weight = |o: usize, j: usize| if j == 0 { 1.0 } else { -sizes[o] / others as f64 };
        let w = Tensor::from_shape_fn(vec![sizes.len(), 1 + others, 1], |i| weight(i[0], i[1]));
        Arc::new(Conv::new(w, None, &WindowSpec::new(&[1]), 1, &[1 + others, space]).unwrap())
    };
    let rule = AlphaBeta { alpha: 2.0, beta: 1.0, stabilizer: 0.0, bias: Absorb };
    let mut few = vec![0.5; 512];
    few[7] = 1e-9;
    for (sizes, space) in [(vec![1e-9], 4), (vec![0.5], 4), (few, 1), (vec![0.5, 1e-9, 1e-4], 3)] {
        let (op, outputs) = (conv(&sizes, space), sizes.len());
        let x = Tensor::from_elem(vec![1, 1 + others, space], 1.0);
        let r = Tensor::from_elem(vec![1, outputs, space], 1.0);
        let layer =
            Layer { name: "layer", op: &op, nonnegative_inputs: false, nonnegative_outputs: false, skip_input: None };
        let out = rule.prepare(&layer).unwrap().propagate(Io { inputs: &[&x], output: &op.forward(&[&x]) }, &r);
        let n = outputs as f64;
        for (index, &got) in out.relevance[0].indexed_iter() {
            let expected = if index[1] == 0 { 2.0 * n } else { -n / others as f64 };
            assert!((got - expected).abs() < 1e-12 * n, "{sizes:?}: {got}, not {expected}, at {index:?}");
        }
    }
}

/// A layer that no rule reaches is an error that names it, not a silent gradient.
#[test]
fn a_layer_without_a_rule_is_named() {
    let mut net = Builder::<f64>::new();
    let x = net.input("x", &[2]);
    let w = Tensor::ones(vec![2, 2]);
    let y = net.add("fc", Dense::new(w, None, &[2]).unwrap(), &[x]).unwrap();
    let model = Arc::new(net.finish(y).unwrap());
    let error = Plan::new(model, &Assignment::new()).unwrap_err().to_string();
    let expected = "no rule for this layer: 'fc' (dense); affine operators need one, and those whose relevance behaviour nobody defined, so \
                    assign a rule to it";
    assert_eq!(error, expected);
}

/// A walk that begins inside the network with what the node receives is the end of the whole walk; a part of it is that part alone.
#[test]
fn a_walk_begins_inside_the_network() {
    let mut net = Builder::<f64>::new();
    let x = net.input("x", &[2]);
    let w = |n: usize| Tensor::from_shape_fn(vec![n, 2], |i| [[3.0, -1.0], [1.0, 2.0]][i[0]][i[1]]);
    let first = net.add("first", Dense::new(w(2), None, &[2]).unwrap(), &[x]).unwrap();
    let relu = net.add("relu", Activation::new(Function::Relu, &[2]).unwrap(), &[first]).unwrap();
    let last = net.add("last", Dense::new(w(1), None, &[2]).unwrap(), &[relu]).unwrap();
    let zero = || -> Arc<dyn Rule<f64>> { Arc::new(Zero { bias: Absorb }) };
    let rules = Assignment::from([(first, zero()), (last, zero())]);
    let plan = Plan::new(Arc::new(net.finish(last).unwrap()), &rules).unwrap();
    // z = (2, 3), y = 3·2 − 1·3 = 3: the neurons receive (6, −3), and pass on 6·(3, −1)/2 = (9, −3) and −3·(1, 2)/3 = (−1, −2).
    let record = plan.record(&row(&[1.0, 1.0])).unwrap();
    let start = record.seed(&Target::Argmax, Start::Logit).unwrap();
    let mut received = None;
    let whole =
        record.propagate_observed(start, &mut |id, r| received = received.take().or((id == relu).then(|| r.clone())));
    assert_eq!((received.as_ref(), whole.input_relevance()), (Some(&row(&[6.0, -3.0])), &row(&[8.0, -5.0])));
    let end = record.propagate_from(relu, received.unwrap(), &mut |_, _| {}).unwrap();
    assert_eq!(end.input_relevance(), whole.input_relevance());
    let part = record.propagate_from(relu, row(&[0.0, -3.0]), &mut |_, _| {}).unwrap();
    assert_eq!(part.input_relevance(), &row(&[-1.0, -2.0]));
    assert_eq!((part.ledger.start[0], part.ledger.entries.len(), part.ledger.worst_imbalance()), (-3.0, 3, 0.0));
    assert!(record.propagate_from(relu, row(&[1.0]), &mut |_, _| {}).is_err());
}
