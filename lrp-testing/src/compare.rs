//! The distance of two tensors, and whether they have the same bits.

use lrp_core::{Scalar, Tensor};

/// `‖a − b‖₂ / ‖b‖₂` over all elements; infinite where a value is NaN.
///
/// # Panics
/// When the shapes differ.
pub fn relative_l2<A: Scalar, B: Scalar>(a: &Tensor<A>, b: &Tensor<B>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let difference: f64 = a.iter().zip(b.iter()).map(|(a, b)| (a.wide() - b.wide()).powi(2)).sum();
    let size: f64 = b.iter().map(|b| b.wide().powi(2)).sum();
    let error = if difference == 0.0 { 0.0 } else { (difference / size).sqrt() };
    if error.is_nan() { f64::INFINITY } else { error }
}

/// The largest `|a − b|`; infinite where a value is NaN.
///
/// # Panics
/// When the shapes differ.
pub fn max_difference<A: Scalar, B: Scalar>(a: &Tensor<A>, b: &Tensor<B>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let differences = a.iter().zip(b.iter()).map(|(a, b)| (a.wide() - b.wide()).abs());
    differences.fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) })
}

/// The largest `|a|`; infinite where a value is NaN.
pub fn largest<T: Scalar>(a: &Tensor<T>) -> f64 {
    a.iter().fold(0.0, |m, v| if v.is_nan() { f64::INFINITY } else { m.max(v.wide().abs()) })
}

/// Whether shapes and all bits agree (widening keeps bits apart that are apart; NaN is equal to NaN).
pub fn same_bits<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> bool {
    a.shape() == b.shape() && a.iter().zip(b.iter()).all(|(a, b)| a.wide().to_bits() == b.wide().to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn nan_is_far_from_everything() {
        let (a, b) = (array![1.0, f64::NAN].into_dyn(), array![1.0, 2.0].into_dyn());
        assert_eq!(max_difference(&a, &b), f64::INFINITY);
        assert_eq!(relative_l2(&a, &b), f64::INFINITY);
        assert_eq!(relative_l2(&b, &b), 0.0);
        assert_eq!(relative_l2(&array![0.0, 6.0].into_dyn(), &array![3.0, 2.0].into_dyn()), (25.0_f64 / 13.0).sqrt());
        assert_eq!(largest(&array![1.0, -3.0].into_dyn()), 3.0);
        assert!(same_bits(&b, &b) && !same_bits(&array![0.0].into_dyn(), &array![-0.0].into_dyn()));
    }
}
