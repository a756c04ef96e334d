//! Positive and negative contributions of an affine operator, computed only where they can differ from zero.
//!
//! The positive contributions to an output are `x⁺w⁺ + x⁻w⁻`, the negative ones `x⁺w⁻ + x⁻w⁺`. After a ReLU `x⁻ = 0`, and half of
//! the work disappears; whether it does is known from the graph or seen in the data. Skipping adds exact zeros, so it
//! changes no bit.

use std::sync::{Arc, OnceLock};

use lrp_core::operator::Affine;
use lrp_core::rule::Propagated;
use lrp_core::tensor::{is_nonnegative, negative, positive};
use lrp_core::{Scalar, Tensor};

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
    inputs: &'a [&'a Tensor<T>],
    split: Option<Parts<T>>,
}

/// `x⁺` and `x⁻` of every input.
struct Parts<T: Scalar> {
    positive: Vec<Tensor<T>>,
    negative: Vec<Tensor<T>>,
}

impl<'a, T: Scalar> SignedInputs<'a, T> {
    /// Splits the inputs, unless they are known (`nonnegative`) or seen to have no negative element.
    pub(crate) fn new(inputs: &'a [&'a Tensor<T>], nonnegative: bool) -> Self {
        let split = (!nonnegative && !inputs.iter().all(|x| is_nonnegative(x))).then(|| Parts {
            positive: inputs.iter().map(|x| positive(x)).collect(),
            negative: inputs.iter().map(|x| negative(x)).collect(),
        });
        Self { inputs, split }
    }
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
        let apply = |op: &Variant<T>, x: &[Tensor<T>], b: Option<&Tensor<T>>| {
            op.get().apply_biased(&x.iter().collect::<Vec<_>>(), b, Some(wanted))
        };
        match &x.split {
            None => self.for_positive.get().apply_biased(x.inputs, b, Some(wanted)),
            Some(Parts { positive, negative }) => {
                let mut z = apply(&self.for_positive, positive, b);
                lrp_core::tensor::add(&mut z, &apply(&self.for_negative, negative, None));
                z
            }
        }
    }

    /// `x⁺ ⊙ Pᵀ s + x⁻ ⊙ Nᵀ s`, added to `relevance`, which is empty at first.
    pub(crate) fn add_relevance(&self, x: &SignedInputs<'_, T>, s: &Tensor<T>, relevance: &mut Vec<Tensor<T>>) {
        let mut add = |op: &Variant<T>, x: &[&Tensor<T>]| {
            if relevance.is_empty() {
                *relevance = op.get().adjoint_times(s, x);
            } else {
                *relevance = op.get().adjoint_times_onto(s, x, std::mem::take(relevance));
            }
        };
        match &x.split {
            None => add(&self.for_positive, x.inputs),
            Some(Parts { positive, negative }) => {
                add(&self.for_positive, &positive.iter().collect::<Vec<_>>());
                add(&self.for_negative, &negative.iter().collect::<Vec<_>>());
            }
        }
    }
}

/// One account of a rule that keeps contributions apart: gives each input its contribution over the stabilized sum of
/// contributions and bias, `R_j += contribution_jk / stab(Σ_j contribution_jk + b_k) · R_k` for `share` times the relevance `r`, and
/// books the rest in `result`.
pub(crate) fn add_shares<T: Scalar>(
    contributions: &SignedPair<T>,
    bias: (&Bias<T>, Option<Tensor<T>>),
    stabilizer: f64,
    x: &SignedInputs<'_, T>,
    (share, r): (f64, &Tensor<T>),
    result: &mut Propagated<T>,
) {
    let (settlement, b) = bias;
    let z = contributions.apply(x, b.as_ref(), r);
    let Quotient { s, stabilizer, dead } = quotient_of((T::of(share), r), &z, constant(stabilizer));
    contributions.add_relevance(x, &s, &mut result.relevance);
    if let Some(b) = &b {
        add(&mut result.bias, &settlement.settle(&s, b, &mut result.relevance));
    }
    add(&mut result.stabilizer, &stabilizer);
    add(&mut result.rule, &dead);
}

fn add(account: &mut [f64], amounts: &[f64]) {
    account.iter_mut().zip(amounts).for_each(|(sum, v)| *sum += v);
}

/// Empty books for a batch of `n`, and relevance to be added to.
pub(crate) fn no_shares<T: Scalar>(n: usize) -> Propagated<T> {
    let nothing = vec![0.0; n];
    Propagated { relevance: Vec::new(), bias: nothing.clone(), stabilizer: nothing.clone(), rule: nothing }
}
