//! Signed contributions of an affine operator, computed only where they can differ from zero.
//!
//! With gains `g₊` and `g₋`, contributions of positive inputs have the weights `g₊w⁺ + g₋w⁻`, those of negative inputs `g₊w⁻ + g₋w⁺`. After a
//! ReLU `x⁻ = 0`, and half of the work disappears; whether it does is known from the graph or seen in the data. Skipping adds exact zeros, so it
//! changes no bit.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ndarray::Axis;

use super::bias::Bias;
use super::maps::{Gains, Map, Maps};
use super::quotient::{Quotient, quotient};
use crate::kernels::Accounts;
use crate::operator::Affine;
use crate::operator::fused::{adjoint_times, apply_biased, apply_divided, apply_divided_apart};
use crate::propagated::Propagated;
use crate::quotient::Quotients;
use crate::scalar::Scalar;
use crate::tensor::{
    Tensor, apply_epilogue, concat_channels, elements, is_nonnegative, negative, positive, samples, sum_of_halves,
};

/// If at most one output in this many has to be recomputed, each is computed by itself.
const FEW: usize = 256;

/// Inputs split by sign; the negative parts only where there are any.
pub(super) struct SignedInputs<'a, T: Scalar> {
    /// `x⁺` of every input.
    positive: Vec<Cow<'a, Tensor<T>>>,
    /// `x⁻` of every input, or nothing where all are zero.
    negative: Vec<Cow<'a, Tensor<T>>>,
    /// Both [concatenated](concat_channels), as soon as some operator reads them so.
    both: OnceLock<Tensor<T>>,
    /// Whether it is known of all inputs whether they have a negative part.
    known: bool,
}

impl<'a, T: Scalar> SignedInputs<'a, T> {
    /// Splits the inputs, unless they are known (`nonnegative`) or seen to have no negative element.
    pub(super) fn new(inputs: &[&'a Tensor<T>], nonnegative: bool) -> Self {
        if nonnegative || inputs.iter().all(|x| is_nonnegative(x)) {
            let positive = inputs.iter().map(|&x| Cow::Borrowed(x)).collect();
            return Self { positive, negative: Vec::new(), both: OnceLock::new(), known: nonnegative };
        }
        let part = |f: fn(&Tensor<T>) -> Tensor<T>| inputs.iter().map(|x| f(x)).collect();
        Self { known: false, ..Self::above_and_below(part(positive), part(negative)) }
    }

    /// Inputs in two parts, split at another reference than zero.
    pub(super) fn above_and_below(above: Vec<Tensor<T>>, below: Vec<Tensor<T>>) -> Self {
        let owned = |part: Vec<Tensor<T>>| part.into_iter().map(Cow::Owned).collect();
        Self { positive: owned(above), negative: owned(below), both: OnceLock::new(), known: true }
    }

    /// The inputs of some samples.
    pub(super) fn of_samples(&self, samples: &[usize]) -> SignedInputs<'static, T> {
        let select =
            |inputs: &[Cow<'a, Tensor<T>>]| inputs.iter().map(|x| Cow::Owned(x.select(Axis(0), samples))).collect();
        let (positive, negative) = (select(&self.positive), select(&self.negative));
        SignedInputs { positive, negative, both: OnceLock::new(), known: self.known }
    }

    /// The only input's positive part, and its negative part where there is one; `None` where there are several inputs.
    pub(super) fn only(&self) -> Option<(&Tensor<T>, Option<&Tensor<T>>)> {
        let [positive] = &self.positive[..] else { return None };
        Some((positive.as_ref(), self.negative.first().map(Cow::as_ref)))
    }

    /// The only input, both parts concatenated; `None` where there is no negative part, or several inputs.
    fn both(&self) -> Option<&Tensor<T>> {
        match (&self.positive[..], &self.negative[..]) {
            ([positive], [negative]) => Some(self.both.get_or_init(|| concat_channels(positive, negative))),
            _ => None,
        }
    }
}

/// The form in which an operator reads the inputs.
fn borrowed<'b, T: Scalar>(inputs: &'b [Cow<'_, Tensor<T>>]) -> Vec<&'b Tensor<T>> {
    inputs.iter().map(Cow::as_ref).collect()
}

/// An operator with packed maps, and its inputs.
type OnePass<'b, T> = (Arc<dyn Affine<T>>, Vec<&'b Tensor<T>>);

/// Contributions with gains: `x ↦ P x⁺ + N x⁻`, where `P` and `N` are maps of the operator's weights.
pub(super) struct Signed<T: Scalar> {
    pub(super) maps: Arc<Maps<T>>,
    pub(super) gains: Gains<T>,
}

impl<T: Scalar> Signed<T> {
    /// The map for positive inputs is made now, others when they are needed.
    pub(super) fn new(maps: &Arc<Maps<T>>, gains: Gains<T>) -> Self {
        let signed = Self { maps: Arc::clone(maps), gains };
        signed.for_positive();
        signed
    }

    fn for_positive(&self) -> Arc<dyn Affine<T>> {
        self.maps.one(self.gains)
    }

    fn for_negative(&self) -> Arc<dyn Affine<T>> {
        self.maps.one(self.gains.swapped())
    }

    /// The operator and its inputs, where one pass does it.
    fn in_one_pass<'b>(&self, x: &'b SignedInputs<'_, T>) -> Option<OnePass<'b, T>> {
        if x.negative.is_empty() {
            return Some((self.for_positive(), borrowed(&x.positive)));
        }
        let op = self.maps.get(Map::Inputs(self.gains, self.gains.swapped()))?;
        Some((op, vec![x.both()?]))
    }

    /// `P x⁺ + N x⁻ + b` where `mask` is nonzero.
    pub(super) fn apply(&self, x: &SignedInputs<'_, T>, b: Option<&Tensor<T>>, mask: &Tensor<T>) -> Tensor<T> {
        if let Some((op, x)) = self.in_one_pass(x) {
            return apply_biased(op.as_ref(), &x, b, Some(mask));
        }
        let mut z = apply_biased(self.for_positive().as_ref(), &borrowed(&x.positive), b, Some(mask));
        let part = apply_biased(self.for_negative().as_ref(), &borrowed(&x.negative), None, Some(mask));
        crate::tensor::add(&mut z, &part);
        z
    }

    /// The quotients of `P x⁺ + N x⁻ + b`, and `Σ b·s` for each sample where it came with them. Divided as the sums come
    /// out of the operator, where that is the same for all inputs: where a number is added up must not depend on the rest of the batch.
    pub(super) fn quotient(
        &self,
        x: &SignedInputs<'_, T>,
        b: Option<&Tensor<T>>,
        r: &Tensor<T>,
        quotients: &Quotients<'_, T>,
    ) -> (Quotient<T>, Option<Vec<f64>>) {
        let base = &self.maps.op;
        let concats = base.fused().is_some_and(|op| op.concats_inputs());
        let always = x.known || (concats && base.input_shapes().len() == 1);
        let (s, accounts, settled) = match self.in_one_pass(x).filter(|_| always) {
            Some((op, x)) => {
                let (s, accounts) = apply_divided(op.as_ref(), &x, b, r, quotients);
                (s, accounts, true)
            }
            None => {
                let mut z = self.apply(x, b, r);
                let accounts = apply_epilogue(&mut z, quotients);
                (z, accounts, false)
            }
        };
        let shares = settled.then(|| accounts.iter().map(|a| a.bias).collect());
        (Quotient::new(s, &accounts), shares)
    }

    /// The quotients of `P x⁺ + N x⁻ + b`, apart for both signs of outputs; see [`Epilogue::DivideApart`](crate::operator::fused::Epilogue).
    pub(super) fn quotients_apart(
        &self,
        x: &SignedInputs<'_, T>,
        biases: Option<[&Tensor<T>; 2]>,
        quotients: &Quotients<'_, T>,
    ) -> Option<(Tensor<T>, Vec<Accounts>)> {
        let (op, x) = self.in_one_pass(x)?;
        apply_divided_apart(op.as_ref(), &x, biases, quotients)
    }

    /// `P x⁺ + N x⁻` of one sample, at some elements of the output.
    fn apply_at(&self, x: &SignedInputs<'_, T>, at: &[usize]) -> Option<Vec<T>> {
        let apply = |op: &dyn Affine<T>, x: &[Cow<'_, Tensor<T>>]| op.fused()?.apply_at(&borrowed(x), at);
        let mut z = apply(self.for_positive().as_ref(), &x.positive)?;
        if !x.negative.is_empty() {
            let part = apply(self.for_negative().as_ref(), &x.negative)?;
            z.iter_mut().zip(part).for_each(|(z, part)| *z += part);
        }
        Some(z)
    }

    /// Recomputes `P x⁺ + N x⁻ + b` where infinity stands for it in `sums`: `unknown` times in each sample, only where the relevance `r` is nonzero.
    /// The computation for a sample depends on that sample alone.
    pub(super) fn recompute(
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
    pub(super) fn add_relevance(&self, x: &SignedInputs<'_, T>, s: &Tensor<T>, relevance: &mut Vec<Tensor<T>>) {
        let mut add = |op: &dyn Affine<T>, x: &[&Tensor<T>]| {
            *relevance = adjoint_times(op, s, x, std::mem::take(relevance));
        };
        match self.in_one_pass(x) {
            Some((op, inputs)) if x.negative.is_empty() => add(op.as_ref(), &inputs),
            Some((op, both)) => {
                let parts = adjoint_times(op.as_ref(), s, &both, Vec::new());
                let sums = parts.iter().map(sum_of_halves);
                if relevance.is_empty() {
                    relevance.extend(sums);
                } else {
                    relevance.iter_mut().zip(sums).for_each(|(r, sum)| crate::tensor::add(r, &sum));
                }
            }
            None => {
                add(self.for_positive().as_ref(), &borrowed(&x.positive));
                add(self.for_negative().as_ref(), &borrowed(&x.negative));
            }
        }
    }

    /// Gives each input its contribution over the stabilized sum of contributions and bias, `contribution_jk / stab(Σ_j contribution_jk + b_k) · R_k`
    /// for `share` times the relevance `r`, and records the rest in `result`. The sums may be there already.
    pub(super) fn add_shares(
        &self,
        sums: Option<&Tensor<T>>,
        bias: (&Bias<T>, Option<&Tensor<T>>),
        epsilon: &[T],
        x: &SignedInputs<'_, T>,
        (share, r): (T, &Tensor<T>),
        result: &mut Propagated<T>,
    ) {
        let (quotient, shares) = match sums {
            Some(d) => (quotient((share, r), d, epsilon), None),
            None => self.quotient(x, bias.1, r, &Quotients { share, r: &elements(r), epsilon, negative: None }),
        };
        add(&mut result.stabilizer, &quotient.stabilizer);
        add(&mut result.rule, &quotient.zero_denominator);
        self.propagate(&quotient.s, bias, shares, x, result);
    }

    /// Gives each input its contribution times the quotients `s`, and settles the bias's shares, whose sums may be known.
    pub(super) fn propagate(
        &self,
        s: &Tensor<T>,
        (settlement, b): (&Bias<T>, Option<&Tensor<T>>),
        shares: Option<Vec<f64>>,
        x: &SignedInputs<'_, T>,
        result: &mut Propagated<T>,
    ) {
        self.add_relevance(x, s, &mut result.relevance);
        if let Some(b) = b {
            add(&mut result.bias, &settlement.settle(s, b, shares, &mut result.relevance));
        }
    }
}

/// Adds amounts to an account, sample by sample.
pub(super) fn add(account: &mut [f64], amounts: &[f64]) {
    account.iter_mut().zip(amounts).for_each(|(sum, v)| *sum += v);
}

/// Empty accounts for the samples of `r`, and relevance to be added to.
pub(super) fn nothing_yet<T: Scalar>(r: &Tensor<T>) -> Propagated<T> {
    let nothing = vec![0.0; samples(r)];
    Propagated { relevance: Vec::new(), bias: nothing.clone(), stabilizer: nothing.clone(), rule: nothing }
}
