//! The loops that do the arithmetic. Everything here works on plain slices of one sample and gives the
//! same bits for every batch size and number of threads.

pub(crate) mod aligned;
pub(crate) mod axes;
pub mod conv;
pub mod dense;
mod shared;
pub mod simd;
pub mod window;

use std::ops::Range;

use rayon::prelude::*;
pub(crate) use shared::Shared;
pub use simd::Isa;

use crate::scalar::Scalar;

/// Runs `f(input sample, output sample)` for every sample, in parallel, and returns the outputs.
pub(crate) fn map_samples<T: Scalar>(
    x: &[T],
    in_len: usize,
    out_len: usize,
    f: impl Fn(&[T], &mut [T]) + Send + Sync,
) -> Vec<T> {
    let n = x.len() / in_len.max(1);
    let mut out = vec![T::zero(); n * out_len];
    out.par_chunks_mut(out_len.max(1)).zip(x.par_chunks(in_len.max(1))).for_each(|(o, x)| f(x, o));
    out
}

/// Divides a range into the fewest parts of at most `most`, of nearly the same length.
pub(crate) fn parts(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let n = range.len().div_ceil(most).max(1);
    let at = move |i: usize| range.start + i * range.len() / n;
    (0..n).map(move |i| at(i)..at(i + 1))
}

/// Divides `0..len` into parts of `size` and a rest.
pub(crate) fn chunks(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |start| start..(start + size).min(len))
}

#[cfg(test)]
pub(crate) mod tests {
    /// Numbers in −0.5..0.5 from a linear congruential generator.
    pub fn noise(len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / 16_777_216.0 - 0.5
        };
        (0..len).map(|_| next()).collect()
    }
}
