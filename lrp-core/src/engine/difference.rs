//! Denominators without a pass of their own: since `z = P + N` is recorded, one computed `A = a₊P + a₋N` gives every other `D = g₊P + g₋N` as
//! `λz + μA` with `μ = (g₊ − g₋) / (a₊ − a₋)` and `λ = g₊ − μa₊`.

use super::signed::{Signed, SignedInputs};
use crate::formula::{Branch, Side};
use crate::operator::Affine;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, map, update, update_sums};

/// A sum that is found as the difference of two, and is a smaller part of them, is computed: where the two have nearly cancelled, it has the
/// rounding errors of both.
pub(super) const LEFT: f64 = 0.125;

/// Whether an output has enough weights that the difference of two sums rarely cancels, and that a pass over the inputs is worth saving.
pub(super) fn has_many_weights<T: Scalar>(op: &dyn Affine<T>) -> bool {
    const MANY: usize = 32;
    op.parameters() >= MANY * op.output_shape().first().copied().unwrap_or(1)
}

/// `D = λz + μA`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Difference {
    pub(super) lambda: f64,
    pub(super) mu: f64,
    /// Whether `D` can be a small part of `λz` and `μA` while it is none of its own contributions.
    pub(super) cancels: bool,
    /// The sign that `D` has, if it can have one only.
    sign: Option<f64>,
}

impl Difference {
    /// The denominators of `wanted` from those of `known`, or from `z` alone. With the bias ignored, the sign of an output says nothing of `z`.
    pub(super) fn new(known: Option<&Branch>, wanted: &Branch, with_bias: bool) -> Option<Self> {
        let (g, a) = ([wanted.positive, wanted.negative], known.map_or([1.0; 2], |a| [a.positive, a.negative]));
        let mu = match (g[0] == g[1], a[0] == a[1]) {
            (true, _) => 0.0,
            (false, true) => return None,
            (false, false) => (g[0] - g[1]) / (a[0] - a[1]),
        };
        let lambda = g[0] - mu * a[0];
        // The ratio of both sums of sizes is monotonous in the part of positive contributions, `P / (P + |N|)`.
        let parts = match wanted.outputs {
            Side::Nonnegative if with_bias => [0.5, 1.0],
            Side::Negative if with_bias => [0.0, 0.5],
            _ => [0.0, 1.0],
        };
        let size = |gains: [f64; 2], part: f64| gains[0].abs() * part + gains[1].abs() * (1.0 - part);
        let cancels = parts.iter().any(|&part| size(g, part) < LEFT * (lambda.abs() + mu.abs() * size(a, part)));
        let sign = (g[0] * g[1] <= 0.0).then(|| if g[0] > 0.0 || g[1] < 0.0 { 1.0 } else { -1.0 });
        Some(Self { lambda, mu, cancels, sign })
    }

    /// The sums from `z` and `a`, where relevance `r` is nonzero; cancelled sums are recomputed from the inputs `x`. The computation for a
    /// sample depends on that sample alone.
    pub(super) fn sums<T: Scalar>(
        &self,
        z: &Tensor<T>,
        a: Option<Tensor<T>>,
        contributions: &Signed<T>,
        (x, b, r): (&SignedInputs<'_, T>, Option<&Tensor<T>>, &Tensor<T>),
    ) -> Tensor<T> {
        let (lambda, mu, left) = (T::of(self.lambda), T::of(self.mu), T::of(LEFT));
        let Some(mut sums) = a.filter(|_| self.mu != 0.0) else { return map(z, move |z| lambda * z) };
        if !self.cancels {
            update(&mut sums, z, r, move |a, z, _| lambda * z + mu * a);
            return sums;
        }
        // Marked by infinity, which no sum is.
        let (sign, signed) = (T::of(self.sign.unwrap_or(1.0)), self.sign.is_some());
        let unknown = update_sums(&mut sums, z, r, move |a, z, r| {
            let (computed, d) = (mu * a, lambda * z + mu * a);
            let size = if signed { sign * d } else { d.abs() };
            let known = (size >= left * computed.abs()) | r.is_zero();
            (if known { d } else { T::infinity() }, [f64::from(u8::from(!known))])
        });
        contributions.recompute(&mut sums, &unknown, x, b, r);
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_the_papers_rules() {
        let branch = |outputs, positive, negative| Branch { outputs, coefficient: 1.0, positive, negative };
        let difference = |known: &Branch, wanted: &Branch, with_bias| {
            let d = Difference::new(Some(known), wanted, with_bias).unwrap();
            (d.lambda, d.mu, d.cancels)
        };
        // γ below zero: (2+γ)z − A. Without the bias, outputs below zero can have positive contributions alone.
        for gamma in [0.25, 2.0, 1000.0] {
            let [up, down] = [branch(Side::Nonnegative, 1.0 + gamma, 1.0), branch(Side::Negative, 1.0, 1.0 + gamma)];
            assert_eq!(difference(&up, &down, true), (2.0 + gamma, -1.0, false));
            assert_eq!(difference(&up, &down, false), (2.0 + gamma, -1.0, gamma > 2.5));
        }
        // α-β: z − z⁺, of which nothing may be left.
        let apart = [branch(Side::All, 1.0, 0.0), branch(Side::All, 0.0, 1.0)];
        assert_eq!(difference(&apart[0], &apart[1], true), (1.0, -1.0, true));
        // Without gains that differ, z is all.
        let all = branch(Side::All, 2.0, 2.0);
        assert_eq!(difference(&apart[0], &all, true), (2.0, 0.0, false));
        assert_eq!(Difference::new(None, &all, true).map(|d| d.mu), Some(0.0));
        assert_eq!(Difference::new(Some(&all), &apart[0], true), None);
    }
}
