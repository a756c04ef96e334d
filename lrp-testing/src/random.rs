//! A generator of random numbers that will give the same ones for ever.

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

    /// The numbers `0..n` in a random order (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| order.swap(i, self.below(i + 1)));
        order
    }
}
