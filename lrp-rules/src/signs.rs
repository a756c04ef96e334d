//! Positive and negative contributions of an affine operator, computed only where they can differ from zero.
//!
//! The positive contributions to an output are `x⁺w⁺ + x⁻w⁻`, the negative ones `x⁺w⁻ + x⁻w⁺`. After a ReLU `x⁻ = 0`, and half of
//! the work disappears; whether it does is known from the graph or seen in the data. Skipping adds exact zeros, so it
//! changes no bit.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use lrp_core::operator::Affine;
use lrp_core::rule::Propagated;
use lrp_core::tensor::{elements, finish, is_nonnegative, negative, positive, stacked, sum_of_halves};
use lrp_core::{Accounts, Scalar, Tensor};
use ndarray::Axis;

use crate::bias::Bias;
use crate::quotient::{Divide, Quotient, quotient_of};

/// A sum that is found as the difference of two, and is a smaller part of them, is computed: what is left when the two have nearly cancelled has
/// the rounding errors of both.
pub(crate) const LEFT: f64 = 0.125;

/// Where no more than one output in this many has to be computed, each is computed by itself.
const FEW: usize = 256;

/// Whether an output has so many weights that the difference of two sums mostly has enough left, and that a pass over the inputs is worth saving.
pub(crate) fn has_many_weights<T: Scalar>(op: &dyn Affine<T>) -> bool {
    const MANY: usize = 32;
    op.parameters() >= MANY * op.output_shape().first().copied().unwrap_or(1)
}

/// An operator for positive inputs and one for negative inputs: `x ↦ P x⁺ + N x⁻`.
///
/// With `P = W⁺, N = W⁻` these are the positive contributions, with `P = W⁻, N = W⁺` the negative ones.
pub(crate) struct SignedPair<T: Scalar> {
    for_positive: Variant<T>,
    for_negative: Variant<T>,
    /// Both in one, where there is such an operator.
    for_both: OnceLock<Option<Arc<dyn Affine<T>>>>,
}

/// A copy of an operator with modified weights, made when it is first needed.
struct Variant<T: Scalar> {
    base: Arc<dyn Affine<T>>,
    map: fn(T, T) -> T,
    parameter: T,
    made: OnceLock<Arc<dyn Affine<T>>>,
}

impl<T: Scalar> Variant<T> {
    fn new(base: &Arc<dyn Affine<T>>, map: fn(T, T) -> T, parameter: T) -> Self {
        Self { base: Arc::clone(base), map, parameter, made: OnceLock::new() }
    }

    fn weight(&self, w: T) -> T {
        (self.map)(w, self.parameter)
    }

    fn get(&self) -> &dyn Affine<T> {
        self.made.get_or_init(|| self.base.map_weights(&|w| self.weight(w))).as_ref()
    }
}

/// Inputs split by sign; the negative parts only where there are any.
pub(crate) struct SignedInputs<'a, T: Scalar> {
    /// `x⁺` of every input.
    positive: Vec<Cow<'a, Tensor<T>>>,
    /// `x⁻` of every input, or nothing where all are zero.
    negative: Vec<Cow<'a, Tensor<T>>>,
    /// Both [stacked](Affine::stacked), as soon as some operator takes them so.
    both: OnceLock<Tensor<T>>,
    /// Whether it is known of all inputs whether they have a negative part.
    known: bool,
}

impl<'a, T: Scalar> SignedInputs<'a, T> {
    /// Splits the inputs, unless they are known (`nonnegative`) or seen to have no negative element.
    pub(crate) fn new(inputs: &[&'a Tensor<T>], nonnegative: bool) -> Self {
        if nonnegative || inputs.iter().all(|x| is_nonnegative(x)) {
            let positive = inputs.iter().map(|&x| Cow::Borrowed(x)).collect();
            return Self { positive, negative: Vec::new(), both: OnceLock::new(), known: nonnegative };
        }
        let part = |f: fn(&Tensor<T>) -> Tensor<T>| inputs.iter().map(|x| f(x)).collect();
        Self { known: false, ..Self::above_and_below(part(positive), part(negative)) }
    }

    /// Inputs in two parts that some other reference than zero tells apart.
    pub(crate) fn above_and_below(above: Vec<Tensor<T>>, below: Vec<Tensor<T>>) -> Self {
        let owned = |part: Vec<Tensor<T>>| part.into_iter().map(Cow::Owned).collect();
        Self { positive: owned(above), negative: owned(below), both: OnceLock::new(), known: true }
    }

    /// The inputs of some samples.
    pub(crate) fn of_samples(&self, samples: &[usize]) -> SignedInputs<'static, T> {
        let select =
            |inputs: &[Cow<'a, Tensor<T>>]| inputs.iter().map(|x| Cow::Owned(x.select(Axis(0), samples))).collect();
        let (positive, negative) = (select(&self.positive), select(&self.negative));
        SignedInputs { positive, negative, both: OnceLock::new(), known: self.known }
    }

    /// The only input's positive part, and its negative part where there is one; `None` where there are several inputs.
    pub(crate) fn only(&self) -> Option<(&Tensor<T>, Option<&Tensor<T>>)> {
        let [positive] = &self.positive[..] else { return None };
        Some((positive.as_ref(), self.negative.first().map(Cow::as_ref)))
    }

    /// The only input, both parts stacked; `None` where there is no negative part, or several inputs.
    fn both(&self) -> Option<&Tensor<T>> {
        match (&self.positive[..], &self.negative[..]) {
            ([positive], [negative]) => Some(self.both.get_or_init(|| stacked(positive, negative))),
            _ => None,
        }
    }
}

/// What operators take.
fn borrowed<'b, T: Scalar>(inputs: &'b [Cow<'_, Tensor<T>>]) -> Vec<&'b Tensor<T>> {
    inputs.iter().map(Cow::as_ref).collect()
}

impl<T: Scalar> SignedPair<T> {
    /// `map(w, parameter)` gives the weights for positive and for negative inputs. Those for positive inputs are made now,
    /// the others when a negative input first occurs.
    pub(crate) fn new(
        base: &Arc<dyn Affine<T>>,
        for_positive: fn(T, T) -> T,
        for_negative: fn(T, T) -> T,
        parameter: T,
    ) -> Self {
        let pair = Self {
            for_positive: Variant::new(base, for_positive, parameter),
            for_negative: Variant::new(base, for_negative, parameter),
            for_both: OnceLock::new(),
        };
        pair.for_positive.get();
        pair
    }

    /// The operator and what it takes, where one pass does it.
    fn at_once<'b>(&'b self, x: &'b SignedInputs<'_, T>) -> Option<(&'b dyn Affine<T>, Vec<&'b Tensor<T>>)> {
        if x.negative.is_empty() {
            return Some((self.for_positive.get(), borrowed(&x.positive)));
        }
        let [positive, negative] = [&self.for_positive, &self.for_negative];
        let stack = || positive.base.stacked(&|w| positive.weight(w), &|w| negative.weight(w));
        let op = self.for_both.get_or_init(stack).as_deref()?;
        Some((op, vec![x.both()?]))
    }

    /// `P x⁺ + N x⁻ + b` where `wanted` is not zero.
    pub(crate) fn apply(&self, x: &SignedInputs<'_, T>, b: Option<&Tensor<T>>, wanted: &Tensor<T>) -> Tensor<T> {
        if let Some((op, x)) = self.at_once(x) {
            return op.apply_biased(&x, b, Some(wanted));
        }
        let mut z = self.for_positive.get().apply_biased(&borrowed(&x.positive), b, Some(wanted));
        let part = self.for_negative.get().apply_biased(&borrowed(&x.negative), None, Some(wanted));
        lrp_core::tensor::add(&mut z, &part);
        z
    }

    /// The quotients that `divide` makes of `P x⁺ + N x⁻ + b`, and `Σ b·s` for each sample where it came with them. Divided as the sums come
    /// out of the operator, where that is the same for all inputs: where a number is added up must not depend on the rest of the batch.
    pub(crate) fn quotient(
        &self,
        x: &SignedInputs<'_, T>,
        b: Option<&Tensor<T>>,
        r: &Tensor<T>,
        divide: &Divide<'_, T>,
    ) -> (Quotient<T>, Option<Vec<f64>>) {
        let base = &self.for_positive.base;
        let always = x.known || (base.is_stackable() && base.input_shapes().len() == 1);
        let (s, accounts, settled) = match self.at_once(x).filter(|_| always) {
            Some((op, x)) => {
                let (s, accounts) = op.apply_finished(&x, b, r, divide);
                (s, accounts, true)
            }
            None => {
                let mut z = self.apply(x, b, r);
                let accounts = finish(&mut z, divide);
                (z, accounts, false)
            }
        };
        let shares = settled.then(|| accounts.iter().map(|a| a.bias).collect());
        (Quotient::new(s, &accounts), shares)
    }

    /// The two quotients that `divide` makes of each sum `P x⁺ + N x⁻ + b`; see [`Affine::apply_finished_twice`].
    pub(crate) fn quotients(
        &self,
        x: &SignedInputs<'_, T>,
        biases: Option<[&Tensor<T>; 2]>,
        divide: &Divide<'_, T>,
    ) -> Option<(Tensor<T>, Vec<Accounts>)> {
        let (op, x) = self.at_once(x)?;
        op.apply_finished_twice(&x, biases, divide)
    }

    /// `P x⁺ + N x⁻` of one sample, at some elements of the output; see [`Affine::apply_at`].
    pub(crate) fn apply_at(&self, x: &SignedInputs<'_, T>, at: &[usize]) -> Option<Vec<T>> {
        let mut z = self.for_positive.get().apply_at(&borrowed(&x.positive), at)?;
        if !x.negative.is_empty() {
            let part = self.for_negative.get().apply_at(&borrowed(&x.negative), at)?;
            z.iter_mut().zip(part).for_each(|(z, part)| *z += part);
        }
        Some(z)
    }

    /// Computes `P x⁺ + N x⁻ + b` where infinity stands for it in `sums` and the relevance `r` is not zero: `unknown` times in each sample. What is
    /// done for a sample depends on that sample alone.
    pub(crate) fn complete(
        &self,
        sums: &mut Tensor<T>,
        unknown: &[[f64; 1]],
        x: &SignedInputs<'_, T>,
        b: Option<&Tensor<T>>,
        r: &Tensor<T>,
    ) {
        let (mut wholly, nothing) = (Vec::new(), Tensor::zeros(vec![1]));
        for (sample, _) in unknown.iter().enumerate().filter(|(_, [count])| *count > 0.0) {
            let mut sums = sums.index_axis_mut(Axis(0), sample);
            let at: Vec<usize> =
                sums.iter().enumerate().filter(|(_, sum)| sum.is_infinite()).map(|(index, _)| index).collect();
            let few = at.len() * FEW <= sums.len();
            match few.then(|| self.apply_at(&x.of_samples(&[sample]), &at)).flatten() {
                Some(found) => {
                    let b = b.unwrap_or(&nothing).broadcast(sums.raw_dim()).into_iter().flatten();
                    let unknown = sums.iter_mut().zip(b).filter(|(sum, _)| sum.is_infinite());
                    unknown.zip(found).for_each(|((sum, &b), found)| *sum = found + b);
                }
                None => wholly.push(sample),
            }
        }
        if !wholly.is_empty() {
            let part = |t: &Tensor<T>| t.select(Axis(0), &wholly);
            let found = self.apply(&x.of_samples(&wholly), b, &part(r));
            for (found, &sample) in found.outer_iter().zip(&wholly) {
                sums.index_axis_mut(Axis(0), sample).assign(&found);
            }
        }
    }

    /// `x⁺ ⊙ Pᵀ s + x⁻ ⊙ Nᵀ s`, added to `relevance`, which is empty at first.
    pub(crate) fn add_relevance(&self, x: &SignedInputs<'_, T>, s: &Tensor<T>, relevance: &mut Vec<Tensor<T>>) {
        let mut add = |op: &dyn Affine<T>, x: &[&Tensor<T>]| {
            *relevance = match relevance.is_empty() {
                true => op.adjoint_times(s, x),
                false => op.adjoint_times_onto(s, x, std::mem::take(relevance)),
            };
        };
        match self.at_once(x) {
            Some((op, inputs)) if x.negative.is_empty() => add(op, &inputs),
            Some((op, both)) => {
                let parts = op.adjoint_times(s, &both);
                let sums = parts.iter().map(sum_of_halves);
                if relevance.is_empty() {
                    relevance.extend(sums);
                } else {
                    relevance.iter_mut().zip(sums).for_each(|(r, sum)| lrp_core::tensor::add(r, &sum));
                }
            }
            None => {
                add(self.for_positive.get(), &borrowed(&x.positive));
                add(self.for_negative.get(), &borrowed(&x.negative));
            }
        }
    }
}

/// One account of a rule that keeps contributions apart: gives each input its contribution over the stabilized sum of contributions and
/// bias, `R_j += contribution_jk / stab(Σ_j contribution_jk + b_k) · R_k` for `share` times the relevance `r`, and books the rest in `result`.
/// The sums may be there already.
pub(crate) fn add_shares<T: Scalar>(
    contributions: &SignedPair<T>,
    sums: Option<&Tensor<T>>,
    bias: (&Bias<T>, Option<&Tensor<T>>),
    stabilizer: f64,
    x: &SignedInputs<'_, T>,
    (share, r): (f64, &Tensor<T>),
    result: &mut Propagated<T>,
) {
    let (share, epsilon) = (T::of(share), T::of(stabilizer));
    let (quotient, shares) = match sums {
        Some(z) => (quotient_of((share, r), z, |_| epsilon), None),
        None => contributions.quotient(x, bias.1, r, &Divide { share, r: &elements(r), epsilon, mirrored: None }),
    };
    add(&mut result.stabilizer, &quotient.stabilizer);
    add(&mut result.rule, &quotient.dead);
    hand_on(contributions, &quotient.s, bias, shares, x, result);
}

/// Gives each input its contribution times the quotients `s`, and settles the bias's shares, whose sums may be known.
pub(crate) fn hand_on<T: Scalar>(
    contributions: &SignedPair<T>,
    s: &Tensor<T>,
    (settlement, b): (&Bias<T>, Option<&Tensor<T>>),
    shares: Option<Vec<f64>>,
    x: &SignedInputs<'_, T>,
    result: &mut Propagated<T>,
) {
    contributions.add_relevance(x, s, &mut result.relevance);
    if let Some(b) = b {
        add(&mut result.bias, &settlement.settle(s, b, shares, &mut result.relevance));
    }
}

fn add(account: &mut [f64], amounts: &[f64]) {
    account.iter_mut().zip(amounts).for_each(|(sum, v)| *sum += v);
}

/// Empty books for a batch of `n`, and relevance to be added to.
pub(crate) fn no_shares<T: Scalar>(n: usize) -> Propagated<T> {
    let nothing = vec![0.0; n];
    Propagated { relevance: Vec::new(), bias: nothing.clone(), stabilizer: nothing.clone(), rule: nothing }
}
