//! Fused operations: fewer passes over memory than `apply`, `adjoint` and `map_weights` need: two maps of their weights in one
//! operator, and sums that become something else while they are in the cache.
//!
//! The functions here use what an operator offers, and the four methods of [`Affine`] otherwise.

use std::sync::Arc;

use crate::kernels::Accounts;
use crate::operator::Affine;
use crate::quotient::Quotients;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, add_broadcast, add_times, apply_epilogue, dots, times};

/// Two maps of the weights of an operator `A`, packed as one operator.
#[derive(Clone, Copy)]
pub enum Packing<'a, T> {
    /// `A_f x + A_g y`, which takes `x` and `y` next to each other on axis 1 (`[N, 2C, …]`). Where `y` is zero, it has the bits of `A_f x` alone,
    /// both ways.
    ConcatInputs(&'a dyn Fn(T) -> T, &'a dyn Fn(T) -> T),
    /// `A_f x` and `A_g x` next to each other on axis 1 of the output (`[N, 2C, …]`).
    ConcatOutputs(&'a dyn Fn(T) -> T, &'a dyn Fn(T) -> T),
}

/// An epilogue of `A x`.
#[derive(Debug, Clone, Copy)]
pub enum Epilogue<'a, T: Scalar> {
    /// `A x + b`. Where `mask` is zero, the result is unspecified (but finite). The computation for a sample depends on that sample alone.
    Add {
        /// Broadcasts to the output's sample shape, and need not be the operator's bias.
        b: Option<&'a Tensor<T>>,
        /// As large as the output; without it, all outputs are computed.
        mask: Option<&'a Tensor<T>>,
    },
    /// The quotients of the denominators `A x + b`.
    Divide {
        /// As for [`Epilogue::Add`].
        b: Option<&'a Tensor<T>>,
        /// The dividends.
        quotients: &'a Quotients<'a, T>,
    },
    /// The quotients where outputs are not negative, and those where they are, next to each other on axis 1 (`[N, 2C, …]`), with zeros in the
    /// other's places: as an operator with [concatenated outputs](Packing::ConcatOutputs) takes them.
    DivideApart {
        /// The bias of each.
        biases: Option<[&'a Tensor<T>; 2]>,
        /// The dividends.
        quotients: &'a Quotients<'a, T>,
    },
}

/// An epilogue of `Aᵀ s`, for each input.
#[derive(Debug, Clone, Copy)]
pub enum AdjointEpilogue<'a, T: Scalar> {
    /// `x ⊙ Aᵀ s`, zeros made `+0`.
    Times(&'a [&'a Tensor<T>]),
    /// `r + x ⊙ Aᵀ s` with what each input has got already.
    TimesOnto(&'a [&'a Tensor<T>], &'a [Tensor<T>]),
}

/// The optional capability of an affine operator. `None` means that it does not do this one.
pub trait Fused<T: Scalar> {
    /// Whether it packs two maps [for two inputs](Packing::ConcatInputs).
    fn concats_inputs(&self) -> bool {
        false
    }

    /// Whether a pass takes as long as its multiply-adds, so that fewer passes are worth more than zeros that are skipped.
    fn is_compute_bound(&self) -> bool {
        false
    }

    /// Two maps of its weights in one operator.
    fn pack(&self, packing: Packing<'_, T>) -> Option<Arc<dyn Affine<T>>> {
        let _ = packing;
        None
    }

    /// `A x` with an epilogue, and what that adds to the accounts of each sample.
    fn apply_then(&self, xs: &[&Tensor<T>], epilogue: Epilogue<'_, T>) -> Option<(Tensor<T>, Vec<Accounts>)> {
        let _ = (xs, epilogue);
        None
    }

    /// `A x` of one sample (`[1, …]`) at some elements of its output, accumulated in `f64`, where that is cheaper than all of it.
    fn apply_at(&self, xs: &[&Tensor<T>], at: &[usize]) -> Option<Vec<T>> {
        let _ = (xs, at);
        None
    }

    /// `Aᵀ s` with an epilogue.
    fn adjoint_then(&self, s: &Tensor<T>, epilogue: AdjointEpilogue<'_, T>) -> Option<Vec<Tensor<T>>> {
        let _ = (s, epilogue);
        None
    }
}

/// Two maps of an operator's weights in one operator, where it can.
pub fn pack<T: Scalar>(op: &dyn Affine<T>, packing: Packing<'_, T>) -> Option<Arc<dyn Affine<T>>> {
    op.fused()?.pack(packing)
}

/// `A x + b`; see [`Epilogue::Add`].
pub fn apply_biased<T: Scalar>(
    op: &dyn Affine<T>,
    xs: &[&Tensor<T>],
    b: Option<&Tensor<T>>,
    mask: Option<&Tensor<T>>,
) -> Tensor<T> {
    if let Some((z, _)) = op.fused().and_then(|op| op.apply_then(xs, Epilogue::Add { b, mask })) {
        return z;
    }
    let mut z = op.apply(xs);
    if let Some(b) = b {
        add_broadcast(&mut z, b);
    }
    z
}

/// The quotients of `A x + b`, where `mask` is nonzero; see [`Epilogue::Divide`].
pub fn apply_divided<T: Scalar>(
    op: &dyn Affine<T>,
    xs: &[&Tensor<T>],
    b: Option<&Tensor<T>>,
    mask: &Tensor<T>,
    quotients: &Quotients<'_, T>,
) -> (Tensor<T>, Vec<Accounts>) {
    op.fused().and_then(|op| op.apply_then(xs, Epilogue::Divide { b, quotients })).unwrap_or_else(|| {
        let mut s = apply_biased(op, xs, b, Some(mask));
        let mut accounts = apply_epilogue(&mut s, quotients);
        if let Some(b) = b {
            accounts.iter_mut().zip(dots(&s, b)).for_each(|(accounts, share)| accounts.bias = share);
        }
        (s, accounts)
    })
}

/// Both quotients of `A x + b`, where it can; see [`Epilogue::DivideApart`].
pub fn apply_divided_apart<T: Scalar>(
    op: &dyn Affine<T>,
    xs: &[&Tensor<T>],
    biases: Option<[&Tensor<T>; 2]>,
    quotients: &Quotients<'_, T>,
) -> Option<(Tensor<T>, Vec<Accounts>)> {
    op.fused()?.apply_then(xs, Epilogue::DivideApart { biases, quotients })
}

/// `r + x ⊙ Aᵀ s` for each input `x`, and what it has got already, `r`; nothing, if that is empty.
pub fn adjoint_times<T: Scalar>(
    op: &dyn Affine<T>,
    s: &Tensor<T>,
    xs: &[&Tensor<T>],
    mut onto: Vec<Tensor<T>>,
) -> Vec<Tensor<T>> {
    let epilogue = match onto.is_empty() {
        true => AdjointEpilogue::Times(xs),
        false => AdjointEpilogue::TimesOnto(xs, &onto),
    };
    if let Some(relevance) = op.fused().and_then(|op| op.adjoint_then(s, epilogue)) {
        return relevance;
    }
    if onto.is_empty() {
        return xs.iter().zip(op.adjoint(s)).map(|(x, c)| times(x, &c)).collect();
    }
    onto.iter_mut().zip(xs).zip(op.adjoint(s)).for_each(|((r, x), c)| add_times(r, x, &c));
    onto
}
