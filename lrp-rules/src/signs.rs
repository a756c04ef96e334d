//! Positive and negative contributions of an affine operator, computed only where they can differ from zero.
//!
//! The positive contributions to an output are `x⁺w⁺ + x⁻w⁻`, the negative ones `x⁺w⁻ + x⁻w⁺`. After a ReLU `x⁻ = 0`, and half of
//! the work disappears; whether it does is known from the graph or seen in the data. Skipping adds exact zeros, so it
//! changes no bit.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use lrp_core::operator::Affine;
use lrp_core::rule::Propagated;
use lrp_core::tensor::{is_nonnegative, negative, positive};
use lrp_core::{Scalar, Tensor};
use ndarray::Axis;

use crate::bias::Bias;
use crate::quotient::{Quotient, constant, quotient_of};

/// An operator for positive inputs and one for negative inputs: `x ↦ P x⁺ + N x⁻`.
///
/// With `P = W⁺, N = W⁻` these are the positive contributions, with `P = W⁻, N = W⁺` the negative ones.
pub(crate) struct SignedPair<T: Scalar> {
    for_positive: Variant<T>,
    for_negative: Variant<T>,
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

    fn get(&self) -> &dyn Affine<T> {
        self.made.get_or_init(|| self.base.map_weights(&|w| (self.map)(w, self.parameter))).as_ref()
    }
}

/// Inputs split by sign; the negative parts only where there are any.
pub(crate) struct SignedInputs<'a, T: Scalar> {
    /// `x⁺` of every input.
    positive: Vec<Cow<'a, Tensor<T>>>,
    /// `x⁻` of every input, or nothing where all are zero.
    negative: Vec<Cow<'a, Tensor<T>>>,
}

impl<'a, T: Scalar> SignedInputs<'a, T> {
    /// Splits the inputs, unless they are known (`nonnegative`) or seen to have no negative element.
    pub(crate) fn new(inputs: &[&'a Tensor<T>], nonnegative: bool) -> Self {
        if nonnegative || inputs.iter().all(|x| is_nonnegative(x)) {
            return Self { positive: inputs.iter().map(|&x| Cow::Borrowed(x)).collect(), negative: Vec::new() };
        }
        let part = |f: fn(&Tensor<T>) -> Tensor<T>| inputs.iter().map(|x| Cow::Owned(f(x))).collect();
        Self { positive: part(positive), negative: part(negative) }
    }

    /// The inputs of some samples.
    pub(crate) fn of_samples(&self, samples: &[usize]) -> SignedInputs<'static, T> {
        let select =
            |inputs: &[Cow<'a, Tensor<T>>]| inputs.iter().map(|x| Cow::Owned(x.select(Axis(0), samples))).collect();
        SignedInputs { positive: select(&self.positive), negative: select(&self.negative) }
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
        };
        pair.for_positive.get();
        pair
    }

    /// `P x⁺ + N x⁻ + b` where `wanted` is not zero.
    pub(crate) fn apply(&self, x: &SignedInputs<'_, T>, b: Option<&Tensor<T>>, wanted: &Tensor<T>) -> Tensor<T> {
        let mut z = self.for_positive.get().apply_biased(&borrowed(&x.positive), b, Some(wanted));
        if !x.negative.is_empty() {
            let part = self.for_negative.get().apply_biased(&borrowed(&x.negative), None, Some(wanted));
            lrp_core::tensor::add(&mut z, &part);
        }
        z
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

    /// `x⁺ ⊙ Pᵀ s + x⁻ ⊙ Nᵀ s`, added to `relevance`, which is empty at first.
    pub(crate) fn add_relevance(&self, x: &SignedInputs<'_, T>, s: &Tensor<T>, relevance: &mut Vec<Tensor<T>>) {
        for (op, x) in [(&self.for_positive, &x.positive), (&self.for_negative, &x.negative)] {
            if x.is_empty() {
                continue;
            }
            let x = borrowed(x);
            *relevance = match relevance.is_empty() {
                true => op.get().adjoint_times(s, &x),
                false => op.get().adjoint_times_onto(s, &x, std::mem::take(relevance)),
            };
        }
    }
}

/// One account of a rule that keeps contributions apart: gives each input its contribution over the stabilized sum `z` of contributions
/// and bias, `R_j += contribution_jk / stab(z_k) · R_k` for `share` times the relevance `r`, and books the rest in `result`.
pub(crate) fn add_shares<T: Scalar>(
    contributions: &SignedPair<T>,
    z: &Tensor<T>,
    bias: (&Bias<T>, Option<&Tensor<T>>),
    stabilizer: f64,
    x: &SignedInputs<'_, T>,
    (share, r): (f64, &Tensor<T>),
    result: &mut Propagated<T>,
) {
    let Quotient { s, stabilizer, dead } = quotient_of((T::of(share), r), z, constant(stabilizer));
    add(&mut result.stabilizer, &stabilizer);
    add(&mut result.rule, &dead);
    hand_on(contributions, &s, bias, x, result);
}

/// Gives each input its contribution times the quotient `s` of each output, and settles the bias's.
pub(crate) fn hand_on<T: Scalar>(
    contributions: &SignedPair<T>,
    s: &Tensor<T>,
    (settlement, b): (&Bias<T>, Option<&Tensor<T>>),
    x: &SignedInputs<'_, T>,
    result: &mut Propagated<T>,
) {
    contributions.add_relevance(x, s, &mut result.relevance);
    if let Some(b) = b {
        add(&mut result.bias, &settlement.settle(s, b, &mut result.relevance));
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
