//! `s = R / stab(z)`: the division that every rule contains, and what the stabilizer takes.

use std::borrow::Cow;

use lrp_core::kernels::conv::Finisher;
use lrp_core::quotient::{Dividend, Mirrored, divide, divide_piece};
use lrp_core::tensor::samples;
use lrp_core::{Accounts, Scalar, Tensor};

/// `s = R / stab(z)` with its two side accounts, per sample.
pub(crate) struct Quotient<T: Scalar> {
    /// One quotient per output.
    pub(crate) s: Tensor<T>,
    /// `Σ ε·s(z)·s`: what the stabilizer took.
    pub(crate) stabilizer: Vec<f64>,
    /// Relevance at denominators of exactly zero, which no input can claim.
    pub(crate) dead: Vec<f64>,
}

impl<T: Scalar> Quotient<T> {
    pub(crate) fn new(s: Tensor<T>, accounts: &[Accounts]) -> Self {
        let (stabilizer, dead) = accounts.iter().map(|a| (a.stabilizer, a.zero_denominator)).unzip();
        Self { s, stabilizer, dead }
    }
}

/// Divides `r` by `stab(z) = z + ε·s(z)`, with one ε per sample. `z` broadcasts to `r`.
pub(crate) fn quotient<T: Scalar>(r: &Tensor<T>, z: &Tensor<T>, epsilon: impl Fn(usize) -> T + Sync) -> Quotient<T> {
    quotient_of((T::one(), r), z, epsilon)
}

/// As [`quotient`], of `share` times the relevance `r`.
pub(crate) fn quotient_of<T: Scalar>(
    (share, r): (T, &Tensor<T>),
    z: &Tensor<T>,
    epsilon: impl Fn(usize) -> T + Sync,
) -> Quotient<T> {
    // Denominators that do not depend on the sample are there once; other broadcasts are written out.
    let z = match z.broadcast(r.raw_dim()) {
        Some(broadcast) if z.len() != r.len() / samples(r).max(1) && z.len() != r.len() => {
            Cow::Owned(broadcast.to_owned())
        }
        _ => Cow::Borrowed(z),
    };
    let (s, accounts) = divide((share, r), &z, epsilon);
    Quotient::new(s, &accounts)
}

/// Makes quotients of `share` times the relevance `r` of sums `z + b`, as they come out of an operator.
pub(crate) struct Divide<'a, T: Scalar> {
    pub(crate) share: T,
    /// The elements of the relevance.
    pub(crate) r: &'a [T],
    pub(crate) epsilon: T,
    /// Outputs where something else is divided by.
    pub(crate) mirrored: Option<Mirrored<'a, T>>,
}

impl<T: Scalar> Finisher<T> for Divide<'_, T> {
    fn finish(&self, piece: &mut [T], second: &mut [T], bias: [T; 2], first: usize) -> Accounts {
        let &Self { share, r, epsilon, mirrored } = self;
        let range = first..first + piece.len();
        let mirrored = mirrored.map(|Mirrored { all, output, own }| Mirrored {
            all,
            output: &output[range.clone()],
            own: &own[range.clone()],
        });
        divide_piece(piece, second, &Dividend { share, r: &r[range], bias, epsilon, mirrored })
    }
}

/// `a / b`, where a zero in `b` gives zero; returns also the `Σ a` that was lost to zeros, per sample.
pub(crate) fn safe_divide<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> (Tensor<T>, Vec<f64>) {
    let Quotient { s, dead, .. } = quotient(a, b, |_| T::zero());
    (s, dead)
}

/// The same ε for every sample.
pub(crate) fn constant<T: Scalar>(epsilon: f64) -> impl Fn(usize) -> T + Sync {
    let epsilon = T::of(epsilon);
    move |_| epsilon
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_stabilizer_is_signed_and_booked() {
        let r = array![[3.0, 3.0, 4.0, 5.0]].into_dyn();
        let z = array![[2.0, -2.0, 0.0, -1.0]].into_dyn();
        let q = quotient(&r, &z, |_| 1.0);
        assert_eq!(q.s, array![[1.0, -1.0, 4.0, -2.5]].into_dyn());
        assert_eq!(q.stabilizer, [1.0 + 1.0 + 4.0 + 2.5]);
        assert_eq!(q.dead, [0.0]);
    }

    #[test]
    fn an_unsigned_stabilizer_would_explode_where_z_is_minus_epsilon() {
        let r = array![[1.0]].into_dyn();
        let q = quotient::<f64>(&r, &array![[-1e-6]].into_dyn(), |_| 1e-6);
        assert!(q.s[[0, 0]].abs() < 1e6);
    }

    #[test]
    fn dead_denominators_lose_their_relevance_openly() {
        let r = array![[3.0, 7.0]].into_dyn();
        let q = quotient(&r, &array![[0.0, 2.0]].into_dyn(), |_| 0.0);
        assert_eq!(q.s, array![[0.0, 3.5]].into_dyn());
        assert_eq!(q.dead, [3.0]);
    }
}
