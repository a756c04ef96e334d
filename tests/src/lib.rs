//! Support for the tests: random networks and tensors, and the comparison of tensors.

pub mod mutation;
pub mod network;
pub mod presets;
pub mod program;
pub mod which_rule;

/// The code blocks of the guides are tested as documentation.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../CONTRIBUTING.md")]
    struct Contributing;
    #[doc = include_str!("../../README.md")]
    struct Readme;
}

use lrp_core::{Scalar, Tensor};

/// A small, fast, seeded generator (SplitMix64): tests must not depend on a library's choice of algorithm.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// A tensor with elements uniform in `[low, high)`.
    pub fn tensor<T: Scalar>(&mut self, shape: &[usize], low: f64, high: f64) -> Tensor<T> {
        Tensor::from_shape_simple_fn(shape, || T::of(self.uniform(low, high)))
    }

    /// `n` numbers uniform in `[low, high)`.
    pub fn numbers<T: Scalar>(&mut self, n: usize, low: f64, high: f64) -> Vec<T> {
        (0..n).map(|_| T::of(self.uniform(low, high))).collect()
    }
}

/// How many cases each property is tested on: 256, or what `LRP_CASES` says (`LRP_CASES=20000 cargo test -p lrp-tests --release`).
pub fn cases() -> u32 {
    std::env::var("LRP_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
}

/// `‖a − b‖₂ / ‖b‖₂` over all elements; infinite where a value is NaN.
pub fn relative_l2<A: Scalar, B: Scalar>(a: &Tensor<A>, b: &Tensor<B>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let difference: f64 = a.iter().zip(b.iter()).map(|(a, b)| (a.wide() - b.wide()).powi(2)).sum();
    let size: f64 = b.iter().map(|b| b.wide().powi(2)).sum();
    let error = if difference == 0.0 { 0.0 } else { (difference / size).sqrt() };
    if error.is_nan() { f64::INFINITY } else { error }
}

/// The largest `|a − b|`; infinite where a value is NaN.
pub fn max_difference<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let differences = a.iter().zip(b.iter()).map(|(a, b)| (a.wide() - b.wide()).abs());
    differences.fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) })
}
