//! Relevance divided by outputs, for operators with a behaviour of their own.

use crate::propagated::Propagated;
use crate::quotient::divide;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

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
        let (q, accounts) = divide((T::one(), r), z, |_| T::of(stabilizer));
        let (stabilizer, lost) = accounts.iter().map(|a| (a.stabilizer, a.zero_denominator)).unzip();
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
