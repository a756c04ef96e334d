//! Relevance divided by outputs, for operators with a behaviour of their own.

use crate::propagated::Propagated;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, dots, sums, zip};

/// `q = R / stab(z)` with `stab(z) = z + ε·s(z)`, and what becomes of the rest.
pub(super) struct Quotient<T: Scalar> {
    /// `q`, zero where the denominator is.
    pub q: Tensor<T>,
    stabilizer: Vec<f64>,
    lost: Vec<f64>,
}

impl<T: Scalar> Quotient<T> {
    /// Of relevance `r` at outputs `z`, both `[N, …]`.
    pub fn new(r: &Tensor<T>, z: &Tensor<T>, stabilizer: f64) -> Self {
        let shift = |z: T| T::of(if z < T::zero() { -stabilizer } else { stabilizer });
        let divided = |r: T, z: T| {
            let denominator = z + shift(z);
            if denominator.is_zero() { T::zero() } else { r / denominator }
        };
        let q = zip(r, z, divided);
        let nowhere = |r: T, z: T| if (z + shift(z)).is_zero() { r } else { T::zero() };
        // Only without a stabilizer can a denominator be zero.
        let lost = if stabilizer == 0.0 { sums(&zip(r, z, nowhere)) } else { vec![0.0; crate::tensor::samples(r)] };
        let stabilizer = dots(&q, &z.mapv(shift));
        Self { q, stabilizer, lost }
    }

    /// The relevance at the inputs, with the accounts of the division.
    pub fn booked(self, relevance: Vec<Tensor<T>>) -> Propagated<T> {
        let mut result = Propagated::lossless(relevance);
        result.stabilizer = self.stabilizer;
        result.rule = self.lost;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_has_no_denominator_is_lost() {
        let (r, z) = (array![[2.0, 3.0]].into_dyn(), array![[4.0, 0.0]].into_dyn());
        let quotient = Quotient::<f64>::new(&r, &z, 0.0);
        assert_eq!(quotient.q, array![[0.5, 0.0]].into_dyn());
        let booked = quotient.booked(Vec::new());
        assert_eq!((booked.rule, booked.stabilizer), (vec![3.0], vec![0.0]));
        let quotient = Quotient::<f64>::new(&r, &z, 1.0);
        assert_eq!(quotient.q, array![[0.4, 3.0]].into_dyn());
        assert_eq!(quotient.booked(Vec::new()).stabilizer, [3.4]);
    }
}
