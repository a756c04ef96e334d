//! `s = R / stab(z)`: the division that every rule contains, and what the stabilizer takes.

use std::borrow::Cow;

use lrp_core::kernels::conv::Finisher;
use lrp_core::tensor::{samples, update_piece, zip_sums};
use lrp_core::{Scalar, Tensor};

/// `s = R / stab(z)` with its two side accounts, per sample.
pub(crate) struct Quotient<T: Scalar> {
    /// One quotient per output.
    pub(crate) s: Tensor<T>,
    /// `Σ ε·s(z)·s`: what the stabilizer took.
    pub(crate) stabilizer: Vec<f64>,
    /// Relevance at denominators of exactly zero, which no input can claim.
    pub(crate) dead: Vec<f64>,
}

/// `stab(z) = z + ε·s(z)`, and the sign of the stabilizer, `s(z)`: +1 for `z ≥ 0`, −1 below. Never 0.
#[inline(always)]
fn stabilized<T: Scalar>(z: T, epsilon: T) -> (T, T) {
    let sign = if z < T::zero() { -T::one() } else { T::one() };
    (z + epsilon * sign, sign)
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
    let (s, accounts) = zip_sums(r, &z, |sample| {
        let epsilon = epsilon(sample);
        move |r, z| divide(share * r, z, epsilon)
    });
    let (stabilizer, dead) = (0..).zip(accounts).map(|(i, [signed, dead])| (epsilon(i).wide() * signed, dead)).unzip();
    Quotient { s, stabilizer, dead }
}

/// `s = r / stab(z)`, `s(z)·s`, of which the stabilizer takes ε times as much, and what is lost if `stab(z)` is zero.
#[inline(always)]
fn divide<T: Scalar>(r: T, z: T, epsilon: T) -> (T, [f64; 2]) {
    let (denominator, sign) = stabilized(z, epsilon);
    let dead = denominator.is_zero();
    let s = if dead { T::zero() } else { r / denominator };
    (s, [(sign * s).wide(), if dead { r.wide() } else { 0.0 }])
}

/// Makes quotients of `share` times the relevance `r` of sums `z + b`, as they come out of an operator.
pub(crate) struct Divide<'a, T: Scalar> {
    pub(crate) share: T,
    /// The elements of the relevance.
    pub(crate) r: &'a [T],
    pub(crate) epsilon: T,
    /// What is divided by at some outputs instead of the sums themselves.
    pub(crate) mirrored: Option<Mirrored<'a, T>>,
}

/// At outputs below zero, `all` times their own sum of contributions, minus the sum that came out of the operator.
pub(crate) struct Mirrored<'a, T> {
    pub(crate) all: T,
    pub(crate) output: &'a [T],
    /// The outputs' own sums, where they are not the outputs themselves.
    pub(crate) own: Option<&'a [T]>,
}

impl<T: Scalar> Finisher<T> for Divide<'_, T> {
    fn finish(&self, piece: &mut [T], b: T, first: usize) -> [f64; 3] {
        let &Self { share, epsilon, .. } = self;
        let [signed, sum, dead] = if epsilon > T::zero() {
            // Then no denominator is zero.
            let [signed, sum] = self.update(piece, b, first, move |r, z| {
                let (denominator, sign) = stabilized(z, epsilon);
                let s = share * r / denominator;
                (s, [(sign * s).wide(), s.wide()])
            });
            [signed, sum, 0.0]
        } else {
            self.update(piece, b, first, move |r, z| {
                let (s, [signed, dead]) = divide(share * r, z, epsilon);
                (s, [signed, s.wide(), dead])
            })
        };
        [epsilon.wide() * signed, dead, sum]
    }
}

impl<T: Scalar> Divide<'_, T> {
    /// Replaces sums `z` by what `quotient` makes of the relevance and the denominator, and gives the sums of what else it gives.
    fn update<const K: usize>(
        &self,
        piece: &mut [T],
        b: T,
        first: usize,
        quotient: impl Fn(T, T) -> (T, [f64; K]),
    ) -> [f64; K] {
        let range = first..first + piece.len();
        let r = &self.r[range.clone()];
        let Some(&Mirrored { all, output, own }) = self.mirrored.as_ref() else {
            return update_piece(piece, r, r, move |z, r, _| quotient(r, z + b));
        };
        let output = &output[range.clone()];
        let denominator = move |z: T, own: T, output: T| if output < T::zero() { all * own - z } else { z };
        match own {
            None => update_piece(piece, r, output, move |z, r, out| quotient(r, denominator(z + b, out, out))),
            Some(own) => {
                let own = &own[range];
                update_piece(piece, own, output, move |z, own, out| (denominator(z + b, own, out), []));
                update_piece(piece, r, r, move |z, r, _| quotient(r, z))
            }
        }
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
