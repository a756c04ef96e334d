//! A rule on one operator.

use std::sync::Arc;

use lrp_core::operator::{Affine, Io, Kind, Operator};
use lrp_core::rule::{Needs, Outputs, PreparedRule, Propagated};
use lrp_core::tensor::{abs_sums, batch_shape, empty, samples, sums, volume};
use lrp_core::{Behaviour, Claims, Positive, Rule, Scalar, Tensor};
use ndarray::{Axis, Slice, Zip};

use super::Broken;
use crate::compare::{largest, max_difference, same_bits};
use crate::operators::Applied;
use crate::random::Random;

/// The tolerance of the ledger: rounding, in proportion to the relevance moved; mistakes are far larger.
const ROUNDING: f64 = 1e-9;

/// Outputs that are looked at one by one.
const OUTPUTS: usize = 24;

/// The result of a case.
pub(super) enum Outcome {
    /// The rule and the operator do not go together.
    Refused(Kind, String),
    /// Everything held.
    Held(Kind),
}

/// A prepared rule with its operator.
struct Subject<T: Scalar> {
    op: Arc<dyn Operator<T>>,
    prepared: Box<dyn PreparedRule<T>>,
}

impl<T: Scalar> Subject<T> {
    fn new(rule: &impl Rule<T>, case: &Applied) -> Result<Self, String> {
        let op = case.bound.build();
        let prepared = rule.prepare(&case.layer(&op)).map_err(|error| error.0)?;
        Ok(Self { op, prepared })
    }

    fn affine(&self) -> Option<&dyn Affine<T>> {
        self.op.as_affine()
    }

    /// Passes `r` back where `xs` went in; activations that are not in `given` are empty tensors, and outputs without relevance
    /// anything where only the others are.
    fn run_with(&self, xs: &[Tensor<T>], r: &Tensor<T>, given: Needs) -> Propagated<T> {
        let nothing = empty();
        let refs: Vec<&Tensor<T>> = xs.iter().collect();
        let output = self.op.forward(&refs);
        let inputs: Vec<&Tensor<T>> = xs.iter().map(|x| if given.inputs { x } else { &nothing }).collect();
        let output = match given.output {
            Outputs::All => output,
            Outputs::Relevant => {
                Zip::from(&output).and(r).map_collect(|&z, r| if r.is_zero() { T::one() - z } else { z })
            }
            Outputs::Nothing => empty(),
        };
        self.prepared.propagate(Io { inputs: &inputs, output: &output }, r)
    }

    fn run(&self, xs: &[Tensor<T>], r: &Tensor<T>) -> Propagated<T> {
        self.run_with(xs, r, Needs::BOTH)
    }
}

/// The four accounts of one sample.
fn accounts<T: Scalar>(out: &Propagated<T>, sample: usize) -> [f64; 4] {
    let propagated = out.relevance.iter().map(|r| sums(r)[sample]).sum();
    [propagated, out.bias[sample], out.stabilizer[sample], out.rule[sample]]
}

const ACCOUNTS: [&str; 4] = ["propagated", "absorbed by the bias", "absorbed by the stabilizer", "lost by the rule"];

fn written(accounts: [f64; 4]) -> String {
    accounts.iter().zip(ACCOUNTS).map(|(v, name)| format!("{v} {name}")).collect::<Vec<_>>().join(", ")
}

/// Everything that was moved, as one scale for rounding. What cancels inside (a denominator near zero makes huge parts of both signs,
/// whose sum is small) is in [`sensitivity`].
fn moved<T: Scalar>(out: &Propagated<T>, r: &Tensor<T>) -> f64 {
    let booked = [&out.bias, &out.stabilizer, &out.rule].into_iter().flatten().map(|v| v.abs());
    let propagated = out.relevance.iter().chain([r]).flat_map(abs_sums);
    booked.chain(propagated).fold(0.0, f64::max)
}

fn identical<T: Scalar>(a: &Propagated<T>, b: &Propagated<T>) -> bool {
    let bits = |p: &Propagated<T>| -> Vec<u64> {
        [&p.bias, &p.stabilizer, &p.rule].into_iter().flatten().map(|v| v.to_bits()).collect()
    };
    a.relevance.len() == b.relevance.len()
        && a.relevance.iter().zip(&b.relevance).all(|(a, b)| same_bits(a, b))
        && bits(a) == bits(b)
}

/// As [`identical`], but that a zero may have either sign: it has that of a denominator without relevance.
fn same(a: &Propagated<f64>, b: &Propagated<f64>) -> bool {
    let unsigned = |p: &Propagated<f64>| {
        let plus = |account: &[f64]| account.iter().map(|v| v + 0.0).collect();
        Propagated {
            relevance: p.relevance.iter().map(|r| r + 0.0).collect(),
            bias: plus(&p.bias),
            stabilizer: plus(&p.stabilizer),
            rule: plus(&p.rule),
        }
    };
    identical(&unsigned(a), &unsigned(b))
}

/// Everything that must hold for this rule on this operator.
pub(super) fn check<R: Rule<f64> + Rule<f32>>(rule: &R, case: &Applied) -> Result<Outcome, Broken> {
    let subject = match Subject::<f64>::new(rule, case) {
        Ok(subject) => subject,
        Err(reason) => return Ok(Outcome::Refused(case.bound.build::<f64>().kind(), reason)),
    };
    let out = subject.run(&case.xs, &case.r);
    shapes(rule, &subject, case, &out)?;
    balance(&subject, case, &out)?;
    repeated(rule, case, &subject, &out)?;
    printed(rule)?;
    narrow(rule, case, &subject, &out)?;

    let claims = Rule::<f64>::claims(rule);
    if claims.linear {
        linear(&subject, case, &out)?;
    }
    if claims.conserving {
        conserving(&subject, case, &claims)?;
    }
    if let Some(most) = claims.amplification {
        amplification(&out, &case.r, most)?;
    }
    if claims.input_independent {
        input_independent(&subject, case, &out)?;
    }
    if claims.vanishing {
        vanishing(&subject, case)?;
    }
    positive(rule, case, claims.positive)?;
    Ok(Outcome::Held(subject.op.kind()))
}

fn shapes<R: Rule<f64>>(rule: &R, subject: &Subject<f64>, case: &Applied, out: &Propagated<f64>) -> Result<(), Broken> {
    let n = samples(&case.r);
    let got: Vec<&[usize]> = out.relevance.iter().map(|r| r.shape()).collect();
    let expected: Vec<&[usize]> = case.xs.iter().map(|x| x.shape()).collect();
    if got != expected {
        return Err(format!("of the right shape: relevance of {got:?} for inputs of {expected:?}"));
    }
    if [&out.bias, &out.stabilizer, &out.rule].iter().any(|account| account.len() != n) {
        return Err(format!("keeping accounts for every sample: there are {n}"));
    }
    let booked = [&out.bias, &out.stabilizer, &out.rule].into_iter().flatten();
    if out.relevance.iter().flatten().chain(booked).any(|v| !v.is_finite()) {
        return Err(format!("finite: {:?}", out.relevance));
    }
    // A bias that does not exist takes nothing; an output that counts as a constant is one.
    let is_constant = rule.behaviour() == Behaviour::Constant;
    if !is_constant && subject.affine().is_some_and(|op| op.bias().is_none()) && out.bias.iter().any(|&b| b != 0.0) {
        return Err(format!("honest about the bias: it takes {:?}, and there is none", out.bias));
    }
    Ok(())
}

fn balance(subject: &Subject<f64>, case: &Applied, out: &Propagated<f64>) -> Result<(), Broken> {
    let received = sums(&case.r);
    let scale = moved(out, &case.r);
    for (sample, &received) in received.iter().enumerate() {
        let accounts = accounts(out, sample);
        let off = received - accounts.iter().sum::<f64>();
        // Most cases need no second look.
        if off.abs() > ROUNDING * scale && off.abs() > 1e3 * sensitivity(subject, case, out, f64::EPSILON) {
            return Err(format!(
                "balanced: sample {sample} receives {received}; {}: {off} is missing",
                written(accounts)
            ));
        }
    }
    Ok(())
}

/// By how much the result moves when inputs are off by this much, relatively: what rounding does to any way of computing it. The output
/// is computed from these inputs, or is the right one: numerators and denominators are rounded apart. Moved both ways, so that a
/// denominator near zero gets either sign.
fn sensitivity(subject: &Subject<f64>, case: &Applied, out: &Propagated<f64>, rounding: f64) -> f64 {
    // Large enough to be computed, whatever the inputs are.
    let by = rounding.max(1e-11);
    let refs: Vec<&Tensor<f64>> = case.xs.iter().collect();
    let output = subject.op.forward(&refs);
    let mut most = 0.0_f64;
    for (seed, by) in (0..3).flat_map(|seed| [(seed, by), (seed, -by)]) {
        let xs = jittered(&case.xs, by, seed);
        let apart = subject.prepared.propagate(Io { inputs: &xs.iter().collect::<Vec<_>>(), output: &output }, &case.r);
        most = most.max(distance(out, &subject.run(&xs, &case.r))).max(distance(out, &apart));
    }
    most * rounding / by
}

/// The largest difference of the relevance propagated.
fn distance(a: &Propagated<f64>, b: &Propagated<f64>) -> f64 {
    a.relevance.iter().zip(&b.relevance).map(|(a, b)| max_difference(a, b)).fold(0.0, f64::max)
}

/// The same bits in another batch, from another preparation, and from no more than it needs.
fn repeated(
    rule: &impl Rule<f64>,
    case: &Applied,
    subject: &Subject<f64>,
    out: &Propagated<f64>,
) -> Result<(), Broken> {
    let again = Subject::new(rule, case)?.run(&case.xs, &case.r);
    if !identical(out, &again) {
        return Err("the same when it is prepared again".into());
    }
    let needs = subject.prepared.needs();
    // All of the relevance, and every third of it, so that some outputs have none.
    let mut third = case.r.clone();
    third.iter_mut().enumerate().for_each(|(i, r)| *r *= f64::from(u8::from(i % 3 == 0)));
    for r in [&case.r, &third] {
        if !same(&subject.run(&case.xs, r), &subject.run_with(&case.xs, r, needs)) {
            return Err(format!("honest about what it needs: with {needs:?} alone the result is another"));
        }
    }
    for sample in 0..samples(&case.r) {
        let one = |t: &Tensor<f64>| t.slice_axis(Axis(0), Slice::from(sample..=sample)).to_owned();
        let xs: Vec<Tensor<f64>> = case.xs.iter().map(one).collect();
        let part = Propagated {
            relevance: out.relevance.iter().map(one).collect(),
            bias: vec![out.bias[sample]],
            stabilizer: vec![out.stabilizer[sample]],
            rule: vec![out.rule[sample]],
        };
        let alone = subject.run(&xs, &one(&case.r));
        if !identical(&part, &alone) {
            return Err(format!("the same for a batch as for its sample {sample} alone: {part:?} and {alone:?}"));
        }
    }
    Ok(())
}

fn printed<R: Rule<f64> + Rule<f32>>(rule: &R) -> Result<(), Broken> {
    let printed = rule.to_string();
    if printed.trim().is_empty() { Err("printing itself: `Display` is empty".into()) } else { Ok(()) }
}

/// Each element times a random factor within `1 ± by`; with `−by`, on the other side of 1.
fn jittered(xs: &[Tensor<f64>], by: f64, seed: u64) -> Vec<Tensor<f64>> {
    let mut random = Random(seed);
    xs.iter().map(|x| x.mapv(|v| v * (1.0 + by * random.uniform(-1.0, 1.0)))).collect()
}

/// `f32` against `f64`, unless the result turns on the last digits of the inputs.
fn narrow<R: Rule<f64> + Rule<f32>>(
    rule: &R,
    case: &Applied,
    subject: &Subject<f64>,
    out: &Propagated<f64>,
) -> Result<(), Broken> {
    let scale = out.relevance.iter().map(largest).fold(largest(&case.r), f64::max);
    let sensitive = sensitivity(subject, case, out, 1e-6);
    if sensitive > 1e-3 * scale {
        return Ok(());
    }
    let narrow = Subject::<f32>::new(rule, case).map_err(|error| format!("prepared in f32: {error}"))?;
    let xs: Vec<Tensor<f32>> = case.xs.iter().map(|x| x.mapv(|v| v as f32)).collect();
    let result = narrow.run(&xs, &case.r.mapv(|v| v as f32));
    let error = out.relevance.iter().zip(&result.relevance).map(|(a, b)| max_difference(a, b)).fold(0.0, f64::max);
    if error > 1e-4 * scale + 100.0 * sensitive {
        let (wide, narrow) = (&out.relevance, &result.relevance);
        return Err(format!("the same in f32: {narrow:?} where f64 gives {wide:?}"));
    }
    Ok(())
}

fn linear(subject: &Subject<f64>, case: &Applied, out: &Propagated<f64>) -> Result<(), Broken> {
    let (a, b) = (0.75, -1.5);
    let other = case.r.mapv(|v| 0.5 - v * v);
    let second = subject.run(&case.xs, &other);
    let both = subject.run(&case.xs, &(&case.r * a + &other * b));
    let scale = moved(out, &case.r).max(moved(&second, &other)).max(moved(&both, &case.r));
    for ((u, v), w) in out.relevance.iter().zip(&second.relevance).zip(&both.relevance) {
        let expected = u * a + v * b;
        if max_difference(&expected, w) > ROUNDING * scale {
            return Err(format!("linear: {a} times one relevance and {b} times another give {w}, not {expected}"));
        }
    }
    for sample in 0..samples(&case.r) {
        let [u, v, w] = [out, &second, &both].map(|p| accounts(p, sample));
        if (0..4).any(|i| (a * u[i] + b * v[i] - w[i]).abs() > ROUNDING * scale) {
            return Err(format!("linear: the accounts are not: {u:?} and {v:?} give {w:?}"));
        }
    }
    Ok(())
}

/// Relevance 1 at one output after the other, of the first sample.
fn conserving(subject: &Subject<f64>, case: &Applied, claims: &Claims) -> Result<(), Broken> {
    let shape = subject.op.output_shape();
    let count = volume(shape);
    let outputs: Vec<usize> = (0..count).step_by(count.div_ceil(OUTPUTS)).collect();
    let mut r = Tensor::zeros(vec![outputs.len(), count]);
    outputs.iter().enumerate().for_each(|(row, &k)| r[[row, k]] = 1.0);
    let r = r.into_shape_with_order(batch_shape(outputs.len(), shape)).expect("as many elements");

    // As it stands, where contributions may cancel exactly, and a little moved, where they do not.
    for (xs, generic) in [(case.xs.clone(), false), (jittered(&case.xs, 0.1, 0), true)] {
        let repeat = |x: &Tensor<f64>| {
            let first = x.index_axis(Axis(0), 0);
            let shape = batch_shape(outputs.len(), first.shape());
            first.broadcast(shape).expect("repeated").to_owned()
        };
        let out = subject.run(&xs.iter().map(repeat).collect::<Vec<_>>(), &r);
        let live = if generic { live(subject, &xs) } else { vec![false; count] };
        for (row, &k) in outputs.iter().enumerate() {
            let [propagated, bias, stabilizer, rule] = accounts(&out, row);
            let accounts = written([propagated, bias, stabilizer, rule]);
            let off = ROUNDING * (1.0 + propagated.abs() + bias.abs());
            if stabilizer < -claims.beta - off || stabilizer > 1.0 + claims.beta + off {
                let limits = format!("between {} and {}", 0.0 - claims.beta, 1.0 + claims.beta);
                return Err(format!("conserving: of 1 at output {k} the stabilizer must take {limits}; {accounts}"));
            }
            // A zero denominator loses its whole part.
            let parts = [0.0, 1.0, 1.0 + claims.beta, -claims.beta];
            if (live[k] && rule.abs() > off) || !parts.iter().any(|part| (rule - part).abs() <= off) {
                return Err(format!("conserving: output {k} receives 1; {accounts}"));
            }
        }
    }
    Ok(())
}

/// The outputs that are not zero, of an operator that divides relevance by its outputs.
fn unless_zero(subject: &Subject<f64>, xs: &[Tensor<f64>]) -> Vec<bool> {
    let output = subject.op.forward(&xs.iter().collect::<Vec<_>>());
    output.index_axis(Axis(0), 0).iter().map(|z| *z != 0.0).collect()
}

/// The outputs at which contributions of both signs meet, so that no denominator is zero.
fn live(subject: &Subject<f64>, xs: &[Tensor<f64>]) -> Vec<bool> {
    let count = volume(subject.op.output_shape());
    let Some(op) = subject.affine() else { return unless_zero(subject, xs) };
    let mut signs = vec![[false; 2]; count];
    for (i, x) in xs.iter().enumerate() {
        let first: Vec<f64> = x.index_axis(Axis(0), 0).iter().copied().collect();
        // One sample for each element of this input, which has that element alone.
        let alone: Vec<Tensor<f64>> = xs
            .iter()
            .enumerate()
            .map(|(other, x)| {
                let mut batch = Tensor::zeros(batch_shape(first.len(), &x.shape()[1..]));
                if other == i {
                    for (mut sample, (j, &v)) in batch.axis_iter_mut(Axis(0)).zip(first.iter().enumerate()) {
                        sample.iter_mut().nth(j).into_iter().for_each(|slot| *slot = v);
                    }
                }
                batch
            })
            .collect();
        let contributions = op.apply(&alone.iter().collect::<Vec<_>>());
        for sample in contributions.axis_iter(Axis(0)) {
            for (signs, &c) in signs.iter_mut().zip(sample) {
                signs[0] |= c > 0.0;
                signs[1] |= c < 0.0;
            }
        }
    }
    signs.iter().map(|[plus, minus]| *plus && *minus).collect()
}

fn amplification(out: &Propagated<f64>, r: &Tensor<f64>, most: f64) -> Result<(), Broken> {
    for (sample, received) in abs_sums(r).into_iter().enumerate() {
        let propagated: f64 = out.relevance.iter().map(|r| abs_sums(r)[sample]).sum();
        if propagated > most * received * (1.0 + ROUNDING) {
            let factor = propagated / received;
            return Err(format!(
                "of bounded amplification: Σ|R| grows from {received} to {propagated}, by {factor}, not {most}"
            ));
        }
    }
    Ok(())
}

fn input_independent(subject: &Subject<f64>, case: &Applied, out: &Propagated<f64>) -> Result<(), Broken> {
    let sign = |v: f64| if case.nonnegative { v.abs() } else { v };
    let others: Vec<Tensor<f64>> = case.xs.iter().map(|x| x.mapv(|v| sign(0.6 - 1.3 * v))).collect();
    let other = subject.run(&others, &case.r);
    if identical(out, &other) {
        return Ok(());
    }
    Err(format!("input-independent: {:?} for x, {:?} for 0.6 − 1.3·x", out.relevance, other.relevance))
}

/// Every other element of the inputs is made zero.
fn vanishing(subject: &Subject<f64>, case: &Applied) -> Result<(), Broken> {
    let half = |x: &Tensor<f64>| {
        let mut x = x.clone();
        x.iter_mut().step_by(2).for_each(|v| *v = 0.0);
        x
    };
    let out = subject.run(&case.xs.iter().map(half).collect::<Vec<_>>(), &case.r);
    match out.relevance.iter().flat_map(|r| r.iter().step_by(2)).find(|r| **r != 0.0) {
        Some(r) => Err(format!("vanishing: an input of zero gets {r}")),
        None => Ok(()),
    }
}

fn positive(rule: &impl Rule<f64>, case: &Applied, claim: Positive) -> Result<(), Broken> {
    let mut inside = case.clone();
    match claim {
        Positive::Never => return Ok(()),
        Positive::Always => {}
        Positive::Between { low, high } => {
            // From ±2 into the range, of which the last tenths stay empty.
            let fit = |v: f64| low + (high - low) * (0.5 + 0.2 * v).clamp(0.1, 0.9);
            inside.xs.iter_mut().for_each(|x| x.mapv_inplace(fit));
            inside.nonnegative &= low >= 0.0;
        }
    }
    inside.r.mapv_inplace(f64::abs);
    let out = Subject::new(rule, &inside)?.run(&inside.xs, &inside.r);
    let scale = largest(&inside.r);
    match out.relevance.iter().flatten().find(|&&v| v < -ROUNDING * scale) {
        Some(v) => Err(format!("positive ({claim:?}): R ≥ 0 gives {v} among {:?}", out.relevance)),
        None => Ok(()),
    }
}
