//! The engine against the definition of a formula, connection by connection, and against itself in other batches.

use std::sync::Arc;

use ndarray::Axis;

use super::*;
use crate::formula::{BiasMode, Side, Stabilizer};
use crate::kernels::window::WindowSpec;
use crate::operator::{Affine, Io, Operator};
use crate::ops::{Add, AvgPool, Conv, ConvTranspose, Dense};
use crate::propagated::Propagated;
use crate::tensor::{Tensor, batch_shape, neg, pos};

fn number(i: usize, seed: usize) -> f64 {
    f64::from(u32::try_from((i + seed).pow(2) % 97).unwrap()) / 48.5 - 1.0
}

fn tensor(shape: &[usize], seed: usize) -> Tensor<f64> {
    let len = shape.iter().product();
    Tensor::from_shape_vec(shape, (0..len).map(|i| number(i, seed)).collect()).unwrap()
}

fn numbers(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| number(i, seed) / 4.0).collect()
}

fn branch(outputs: Side, coefficient: f64, positive: f64, negative: f64) -> Branch {
    Branch { outputs, coefficient, positive, negative }
}

fn gamma(gamma: f64) -> Vec<Branch> {
    vec![branch(Side::Nonnegative, 1.0, 1.0 + gamma, 1.0), branch(Side::Negative, 1.0, 1.0, 1.0 + gamma)]
}

fn operators() -> Vec<Arc<dyn Operator<f64>>> {
    let spec = WindowSpec::new(&[3, 3]).pad(1);
    let few = Conv::new(tensor(&[4, 3, 3, 3], 1), Some(numbers(4, 7)), &spec, 1, &[3, 5, 6]).unwrap();
    // Enough weights for differences that may cancel.
    let many = Conv::new(tensor(&[5, 8, 3, 3], 1), Some(numbers(5, 9)), &spec, 1, &[8, 4, 5]).unwrap();
    let grouped = Conv::new(tensor(&[4, 2, 3, 3], 5), Some(numbers(4, 7)), &spec, 2, &[4, 4, 5]).unwrap();
    let transposed = tensor(&[3, 2, 2, 2], 3);
    let stride = WindowSpec::new(&[2, 2]).stride(2);
    let transposed = ConvTranspose::new(transposed, Some(numbers(2, 4)), &stride, 1, &[3, 3, 4], &[6, 8]).unwrap();
    vec![
        Arc::new(few),
        Arc::new(many),
        Arc::new(grouped),
        Arc::new(transposed),
        Arc::new(Dense::new(tensor(&[6, 40], 2), Some(numbers(6, 3)), &[40]).unwrap()),
        // As many rows as are multiplied as a matrix.
        Arc::new(Dense::new(tensor(&[6, 40], 2), Some(numbers(6, 3)), &[5, 40]).unwrap()),
        Arc::new(Add::difference(&[3, 4]).unwrap()),
        Arc::new(AvgPool::new(&WindowSpec::new(&[2, 2]), true, &[2, 4, 4]).unwrap()),
    ]
}

/// A batch whose first two samples have no negative input; the second one has relevance at outputs `z ≥ 0` only, the fourth at few outputs.
fn batch(op: &Arc<dyn Operator<f64>>) -> (Vec<Tensor<f64>>, Tensor<f64>, Tensor<f64>) {
    let xs: Vec<Tensor<f64>> = op
        .input_shapes()
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            let mut x = tensor(&batch_shape(4, shape), 2 + i);
            x.slice_axis_mut(Axis(0), (0..2).into()).mapv_inplace(pos);
            x
        })
        .collect();
    let z = op.forward(&xs.iter().collect::<Vec<_>>());
    let mut r = tensor(&batch_shape(4, op.output_shape()), 3);
    r.index_axis_mut(Axis(0), 1).zip_mut_with(&z.index_axis(Axis(0), 1), |r, &z| *r = if z < 0.0 { 0.0 } else { *r });
    r.index_axis_mut(Axis(0), 3).iter_mut().enumerate().for_each(|(i, r)| *r *= f64::from(u8::from(i % 5 == 0)));
    (xs, z, r)
}

fn layer(op: &Arc<dyn Operator<f64>>, nonnegative: [bool; 2]) -> Layer<'_, f64> {
    let [nonnegative_inputs, nonnegative_outputs] = nonnegative;
    Layer { name: "", op, nonnegative_inputs, nonnegative_outputs, skip_input: None }
}

/// The definition of the formula, from the four methods of an operator alone.
fn expected(
    formula: &Formula,
    op: &dyn Affine<f64>,
    xs: &[Tensor<f64>],
    z: &Tensor<f64>,
    r: &Tensor<f64>,
) -> Vec<Tensor<f64>> {
    let Contributions::Branches(branches) = &formula.contributions else { panic!("branches only") };
    let own = if formula.bias == BiasMode::Ignore { op.bias().map_or_else(|| z.clone(), |b| z - b) } else { z.clone() };
    let bias = op.bias().filter(|_| formula.bias != BiasMode::Ignore);
    let epsilon = |sample: usize| match formula.stabilizer {
        Stabilizer::Absolute(epsilon) => epsilon,
        Stabilizer::Relative(factor) => factor * own.index_axis(Axis(0), sample).mapv(|z| z * z).mean().unwrap().sqrt(),
    };
    let parts = |f: fn(f64) -> f64| xs.iter().map(|x| x.mapv(f)).collect::<Vec<_>>();
    let (above, below) = (parts(pos), parts(neg));
    let mut relevance: Vec<Tensor<f64>> = xs.iter().map(|x| Tensor::zeros(x.raw_dim())).collect();
    for branch in branches {
        let gain = |w: f64| branch.positive * pos(w) + branch.negative * neg(w);
        let swapped = |w: f64| branch.positive * neg(w) + branch.negative * pos(w);
        let (up, down) = (op.map_weights(&gain), op.map_weights(&swapped));
        let mut d = up.apply(&above.iter().collect::<Vec<_>>()) + down.apply(&below.iter().collect::<Vec<_>>());
        if let Some(b) = bias {
            d = d + b.mapv(gain);
        }
        let mut s = r.clone();
        for ((index, s), &d) in s.indexed_iter_mut().zip(&d) {
            let stabilized = if d < 0.0 { d - epsilon(index[0]) } else { d + epsilon(index[0]) };
            let share = if branch.outputs.contains(z[&index] < 0.0) { branch.coefficient * *s } else { 0.0 };
            *s = if stabilized == 0.0 { 0.0 } else { share / stabilized };
        }
        for (i, relevance) in relevance.iter_mut().enumerate() {
            *relevance = &*relevance + &above[i] * &up.adjoint(&s)[i] + &below[i] * &down.adjoint(&s)[i];
        }
        if let Some(b) = bias.filter(|_| formula.bias == BiasMode::Distribute) {
            let connected = op.map_weights(&|_| 1.0);
            let inputs = crate::operator::apply_to_ones(connected.as_ref());
            for (relevance, part) in relevance.iter_mut().zip(connected.adjoint(&(&s * &b.mapv(gain) / &inputs))) {
                *relevance += &part;
            }
        }
    }
    relevance
}

fn formulas() -> Vec<Formula> {
    let all = |coefficient, positive, negative| branch(Side::All, coefficient, positive, negative);
    let lists = [
        vec![all(1.0, 1.0, 1.0)],
        vec![all(1.0, 1.0, 0.0)],
        vec![all(1.0, 1.0, -1.0)],
        vec![all(2.0, 1.0, 0.0), all(-1.0, 0.0, 1.0)],
        gamma(0.25),
        gamma(0.0),
        gamma(10.0).into_iter().rev().collect(),
        // No rule of a paper: some relevance belongs to no branch, or belongs to three.
        vec![branch(Side::Nonnegative, 0.75, 1.5, 0.5)],
        vec![branch(Side::Negative, 1.0, 0.0, 2.0)],
        vec![all(0.5, 2.0, 2.0), all(1.0, 0.25, 1.0), branch(Side::Negative, -0.5, 0.0, 1.0)],
        vec![branch(Side::Nonnegative, 2.0, 1.0, 0.5), branch(Side::Negative, 0.5, 0.5, 1.0)],
    ];
    let modes = [BiasMode::Absorb, BiasMode::Ignore, BiasMode::Distribute];
    let stabilizers = [Stabilizer::Absolute(1e-3), Stabilizer::Relative(0.25)];
    let with = |branches: &Vec<Branch>| {
        let branches = branches.clone();
        modes.into_iter().flat_map(move |bias| {
            let branches = branches.clone();
            stabilizers.map(move |stabilizer| Formula::branches(branches.clone(), stabilizer, bias))
        })
    };
    lists.iter().flat_map(with).collect()
}

fn accounts(out: &Propagated<f64>) -> String {
    format!("{:?} {:?} {:?}", out.bias, out.stabilizer, out.rule)
}

/// Inputs and outputs of both signs, with relevance of both signs.
#[test]
fn every_formula_is_its_definition_in_any_batch() {
    for op in operators() {
        let (xs, z, r) = batch(&op);
        for formula in formulas() {
            let part = |t: &Tensor<f64>, samples: &[usize]| t.select(Axis(0), samples);
            let run = |samples: &[usize], nonnegative: [bool; 2]| {
                let xs: Vec<Tensor<f64>> = xs.iter().map(|x| part(x, samples)).collect();
                let io = Io { inputs: &xs.iter().collect::<Vec<_>>(), output: &part(&z, samples) };
                prepare(&formula, &layer(&op, nonnegative)).unwrap().propagate(io, &part(&r, samples))
            };
            let what = format!("{formula:?} on {op:?}");
            let all = run(&[0, 1, 2, 3], [false; 2]);
            let expected = expected(&formula, op.as_affine().unwrap(), &xs, &z, &r);
            for (found, expected) in all.relevance.iter().zip(&expected) {
                let size = expected.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
                let off = (found - expected).iter().fold(0.0_f64, |most, v| most.max(v.abs()));
                assert!(off <= 1e-9 * size, "{off} of {size}: {what}");
            }
            for sample in 0..4 {
                let sum = |t: &Tensor<f64>| t.index_axis(Axis(0), sample).sum();
                let moved = |t: &Tensor<f64>| t.index_axis(Axis(0), sample).mapv(f64::abs).sum();
                let given: f64 = all.relevance.iter().map(sum).sum();
                let scale: f64 = all.relevance.iter().map(moved).sum::<f64>() + moved(&r);
                let booked = given + all.bias[sample] + all.stabilizer[sample] + all.rule[sample];
                assert!((sum(&r) - booked).abs() < 1e-9 * scale, "sample {sample} {booked}: {what}");
                // The same bits alone, and with whatever is known of it.
                let alone = run(&[sample], [false; 2]);
                let same = |other: &Propagated<f64>, whole: &[Tensor<f64>]| {
                    other.relevance.iter().zip(whole).all(|(a, b)| *a == part(b, &[sample]))
                };
                assert!(same(&alone, &all.relevance), "sample {sample}: {what}");
                assert_eq!(alone.stabilizer[0].to_bits(), all.stabilizer[sample].to_bits(), "{what}");
                if sample < 2 {
                    let known = run(&[sample], [true, false]);
                    assert!(same(&known, &all.relevance), "sample {sample}: {what}");
                }
                if sample == 1 {
                    assert!(same(&run(&[sample], [true, true]), &all.relevance), "{what}");
                }
            }
            let two = run(&[0, 1], [true, false]);
            assert!(two.relevance.iter().zip(&all.relevance).all(|(a, b)| *a == part(b, &[0, 1])), "{what}");
        }
    }
}

/// Known properties of a γ layer's inputs change no bit of its accounts.
#[test]
fn accounts_do_not_depend_on_what_is_known_of_inputs() {
    let op = &operators()[0];
    let (xs, z, r) = batch(op);
    let formula = Formula::branches(gamma(0.25), Stabilizer::Absolute(1e-3), BiasMode::Absorb);
    for sample in 0..2 {
        let part = |t: &Tensor<f64>| t.select(Axis(0), &[sample]);
        let run = |nonnegative_inputs| {
            let io = Io { inputs: &[&part(&xs[0])], output: &part(&z) };
            accounts(&prepare(&formula, &layer(op, [nonnegative_inputs, false])).unwrap().propagate(io, &part(&r)))
        };
        assert_eq!(run(true), run(false));
    }
}

/// Outputs are not read but where the formula says, and prepared rules say no more than it.
#[test]
fn needs_are_those_of_the_formula_or_less() {
    for op in operators() {
        for formula in formulas() {
            let (most, needs) = (formula.needs(), prepare(&formula, &layer(&op, [false; 2])).unwrap().needs());
            assert!(needs.inputs <= most.inputs && needs.output as u8 <= most.output as u8, "{formula:?}");
        }
    }
}

#[test]
fn what_no_engine_can_run_is_refused() {
    let op = &operators()[0];
    let prepare = |branches: Vec<Branch>| {
        prepare(&Formula::branches(branches, Stabilizer::Absolute(0.0), BiasMode::Absorb), &layer(op, [false; 2])).err()
    };
    assert!(prepare(Vec::new()).is_some() && prepare(vec![Branch::all(f64::NAN, 1.0)]).is_some());
    assert!(prepare(vec![Branch { coefficient: 0.0, ..Branch::all(1.0, 1.0) }]).is_some());
    assert!(prepare(vec![Branch::all(1.0, 0.0)]).is_none());
}
