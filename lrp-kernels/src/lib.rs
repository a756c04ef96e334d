//! The loops that do the arithmetic: tensors, SIMD, threads, convolution, dense layers, pooling, and the sums and quotients of rules.
//!
//! Everything here works on plain slices of one sample and gives the same bits for every batch size and number of threads. This crate
//! knows neither operators nor rules, and is the only one of the workspace with `unsafe` in it (but for the memory map of a model file).

// Loops over arrays that live in registers are written with indices: that way they unroll for certain.
#![allow(clippy::needless_range_loop)]

mod accounts;
mod aligned;
pub mod axes;
pub mod blocks;
pub mod conv;
pub mod dense;
pub mod math;
pub mod memory;
mod outputs;
pub mod pool;
pub mod product;
pub mod quotient;
mod scratch;
mod shared;
pub mod simd;
mod spin;
pub mod tensor;
pub mod weights;
pub mod window;

use std::ops::Range;

pub use accounts::Accounts;
pub use outputs::uninit;
use rayon::prelude::*;
pub use scratch::Scratch;
pub use shared::Shared;
pub use simd::Isa;
pub use simd::scalar::{self, Scalar};
pub use tensor::Tensor;
pub use weights::Weights;

/// Bytes that caches take and give at once.
pub const CACHE_LINE: usize = 64;

/// Runs `f(input sample, output sample)` for every sample, in parallel, and returns the outputs.
pub fn map_samples<T: Scalar>(
    x: &[T],
    in_len: usize,
    out_len: usize,
    f: impl Fn(&[T], &mut [T]) + Send + Sync,
) -> Vec<T> {
    let n = x.len() / in_len.max(1);
    let mut out = vec![T::zero(); n * out_len];
    let xs: Vec<&[T]> = x.chunks(in_len.max(1)).collect();
    each_chunk(&mut out, out_len.max(1), 1, &|sample, o| f(xs[sample], o));
    out
}

/// Runs `f(task)` for every task, on several threads where there are more than `grain` of them. `f` is no type parameter:
/// dividing work among threads is a lot of code, and would be compiled again for every kind of work.
pub fn each(tasks: usize, grain: usize, f: &(dyn Fn(usize) + Sync)) {
    if grain >= tasks || rayon::current_num_threads() == 1 {
        (0..tasks).for_each(f);
    } else if !spin::divide(tasks, grain, f) {
        (0..tasks).into_par_iter().with_min_len(grain).for_each(f);
    }
}

/// As [`each`], with `f(index, chunk)` for every chunk of `len` elements.
#[allow(unsafe_code)]
pub fn each_chunk<T: Send>(elements: &mut [T], len: usize, grain: usize, f: &(dyn Fn(usize, &mut [T]) + Sync)) {
    let (all, shared) = (elements.len(), Shared::new(elements.as_mut_ptr(), elements.len()));
    each(all.div_ceil(len), grain.max(1), &|index| {
        let (start, end) = (index * len, ((index + 1) * len).min(all));
        // SAFETY: chunks do not overlap, and each is one task's.
        f(index, unsafe { std::slice::from_raw_parts_mut(shared.at(start, end - start), end - start) });
    });
}

/// Divides a range into the fewest parts of at most `most`, of nearly the same length.
#[inline]
pub fn parts(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let n = range.len().div_ceil(most).max(1);
    let at = move |i: usize| range.start + i * range.len() / n;
    (0..n).map(move |i| at(i)..at(i + 1))
}

/// Divides `0..len` into parts of `size` and a rest.
#[inline]
pub fn chunks(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    // A counter: iterators that step divide to know their length, which takes longer than many a short loop.
    std::iter::from_fn(move || {
        let part = start..(start + size).min(len);
        start = part.end;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::window::{Axis, WindowSpec};

    /// Windows over one to three axes with their input sizes.
    pub fn windows() -> impl Strategy<Value = (WindowSpec, Vec<usize>)> {
        let axis = (1..4usize, 1..4usize, 1..3usize, 0..3usize, 0..3usize, 1..40usize).prop_map(
            |(kernel, stride, dilation, pad_begin, pad_end, input)| Axis {
                input,
                output: 0,
                kernel,
                stride,
                dilation,
                pad_begin,
                pad_end,
            },
        );
        (prop::collection::vec(axis, 1..4), any::<bool>()).prop_map(|(axes, ceil_mode)| {
            let list = |f: fn(&Axis) -> usize| axes.iter().map(f).collect::<Vec<_>>();
            let spec = WindowSpec {
                kernel: list(|a| a.kernel),
                stride: list(|a| a.stride),
                dilation: list(|a| a.dilation),
                pad_begin: list(|a| a.pad_begin),
                pad_end: list(|a| a.pad_end),
                ceil_mode,
            };
            let longest = [40, 20, 8][axes.len() - 1];
            (spec, axes.iter().map(|a| a.input.min(longest)).collect())
        })
    }

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
