//! The loops that do the arithmetic. Everything here works on plain slices of one sample and gives the
//! same bits for every batch size and number of threads.

pub(crate) mod aligned;
pub(crate) mod axes;
pub mod conv;
pub mod matmul;
mod shared;
pub mod simd;
pub mod window;

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
