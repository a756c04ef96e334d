//! `s = R / stab(z)`: the division that every rule contains, and what the stabilizer takes.

use std::borrow::Cow;

use lrp_core::blocks::write_blocks;
use lrp_core::tensor::{elements, samples};
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

/// The sign of the stabilizer: +1 for `z ≥ 0`, −1 below. Never 0.
pub(crate) fn sign<T: Scalar>(z: T) -> T {
    if z < T::zero() { -T::one() } else { T::one() }
}

/// Divides `r` by `stab(z) = z + ε·s(z)`, with one ε per sample. `z` broadcasts to `r`.
pub(crate) fn quotient<T: Scalar>(r: &Tensor<T>, z: &Tensor<T>, epsilon: impl Fn(usize) -> T) -> Quotient<T> {
    let n = samples(r);
    let mut s = Tensor::zeros(r.raw_dim());
    let len = r.len() / n.max(1);
    let epsilons: Vec<T> = (0..n).map(epsilon).collect();
    // Denominators that do not depend on the sample are there once; other broadcasts are written out.
    let z = match z.broadcast(r.raw_dim()) {
        Some(broadcast) if z.len() != len && z.len() != r.len() => Cow::Owned(broadcast.to_owned()),
        _ => Cow::Borrowed(z),
    };
    let (r_all, z_all) = (elements(r), elements(&z));
    let accounts = s.as_slice_mut().map_or_else(Vec::new, |s| {
        write_blocks(s, len, |range, s| {
            let sample = range.start / len;
            let first = range.start % z_all.len();
            let mut accounts = [0.0, 0.0];
            for ((s, &r), &z) in s.iter_mut().zip(&r_all[range]).zip(&z_all[first..]) {
                let shift = epsilons[sample] * sign(z);
                let denominator = z + shift;
                if denominator.is_zero() {
                    accounts[1] += r.wide();
                } else {
                    *s = r / denominator;
                    accounts[0] += shift.wide() * s.wide();
                }
            }
            accounts
        })
    });
    let (stabilizer, dead) = accounts.into_iter().map(|[stabilizer, dead]| (stabilizer, dead)).unzip();
    Quotient { s, stabilizer, dead }
}

/// `a / b`, where a zero in `b` gives zero; returns also the `Σ a` that was lost to zeros, per sample.
pub(crate) fn safe_divide<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> (Tensor<T>, Vec<f64>) {
    let Quotient { s, dead, .. } = quotient(a, b, |_| T::zero());
    (s, dead)
}

/// The same ε for every sample.
pub(crate) fn constant<T: Scalar>(epsilon: f64) -> impl Fn(usize) -> T {
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
