//! `s = R / stab(D)`: the division that every rule contains, and the relevance absorbed by the stabilizer.

use std::borrow::Cow;

use crate::formula::Stabilizer;
use crate::kernels::Accounts;
use crate::quotient::divide;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, rms, samples};

/// `s = R / stab(D)` with its two side accounts, per sample.
pub(super) struct Quotient<T: Scalar> {
    /// One quotient per output.
    pub(super) s: Tensor<T>,
    /// `Σ ε·s(D)·s`: absorbed by the stabilizer.
    pub(super) stabilizer: Vec<f64>,
    /// Relevance at denominators of exactly zero, which no input can claim.
    pub(super) zero_denominator: Vec<f64>,
}

impl<T: Scalar> Quotient<T> {
    pub(super) fn new(s: Tensor<T>, accounts: &[Accounts]) -> Self {
        let (stabilizer, zero_denominator) = accounts.iter().map(|a| (a.stabilizer, a.zero_denominator)).unzip();
        Self { s, stabilizer, zero_denominator }
    }
}

/// Divides `share` times the relevance `r` by `stab(d)`, with an ε for each sample. `d` broadcasts to `r`.
pub(super) fn quotient<T: Scalar>((share, r): (T, &Tensor<T>), d: &Tensor<T>, epsilon: &[T]) -> Quotient<T> {
    // Denominators that do not depend on the sample are there once; other broadcasts are written out.
    let d = match d.broadcast(r.raw_dim()) {
        Some(broadcast) if d.len() != r.len() / samples(r).max(1) && d.len() != r.len() => {
            Cow::Owned(broadcast.to_owned())
        }
        _ => Cow::Borrowed(d),
    };
    let (s, accounts) = divide((share, r), &d, |sample| epsilon[sample]);
    Quotient::new(s, &accounts)
}

/// `a / b`, where a zero in `b` gives zero.
pub(super) fn divide_exactly<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> Quotient<T> {
    quotient((T::one(), a), b, &vec![T::zero(); samples(a)])
}

/// The ε of each of `n` samples whose outputs are `z`.
pub(super) fn epsilons<T: Scalar>(stabilizer: Stabilizer, n: usize, z: &Tensor<T>) -> Vec<T> {
    match stabilizer {
        Stabilizer::Absolute(epsilon) => vec![T::of(epsilon); n],
        Stabilizer::Relative(factor) => rms(z).into_iter().map(|rms| T::of(factor * rms)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_stabilizer_is_signed_and_booked() {
        let r = array![[3.0, 3.0, 4.0, 5.0]].into_dyn();
        let z = array![[2.0, -2.0, 0.0, -1.0]].into_dyn();
        let q = quotient((1.0, &r), &z, &[1.0]);
        assert_eq!(q.s, array![[1.0, -1.0, 4.0, -2.5]].into_dyn());
        assert_eq!(q.stabilizer, [1.0 + 1.0 + 4.0 + 2.5]);
        assert_eq!(q.zero_denominator, [0.0]);
    }

    #[test]
    fn an_unsigned_stabilizer_would_explode_where_z_is_minus_epsilon() {
        let r = array![[1.0]].into_dyn();
        let q = quotient::<f64>((1.0, &r), &array![[-1e-6]].into_dyn(), &[1e-6]);
        assert!(q.s[[0, 0]].abs() < 1e6);
    }

    #[test]
    fn zero_denominators_lose_their_relevance_openly() {
        let r = array![[3.0, 7.0]].into_dyn();
        let q = divide_exactly(&r, &array![[0.0, 2.0]].into_dyn());
        assert_eq!(q.s, array![[0.0, 3.5]].into_dyn());
        assert_eq!(q.zero_denominator, [3.0]);
    }
}
