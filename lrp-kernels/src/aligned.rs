//! Buffers that begin at a cache line.
//!
//! A vector of 64 bytes that straddles two cache lines costs two accesses; allocators align to 16 bytes only.

use std::ops::{Deref, DerefMut};

use super::CACHE_LINE;
use crate::simd::scalar::Scalar;

/// A buffer of fixed length whose first element stands at a multiple of 64 bytes.
#[derive(Debug)]
pub struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Scalar> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let slack = CACHE_LINE / size_of::<T>();
        let data = vec![T::zero(); len + slack];
        // Where the offset cannot be told, alignment is lost and nothing else.
        let start = data.as_ptr().align_offset(CACHE_LINE).min(slack);
        Self { data, start, len }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_a_cache_line() {
        for len in [0, 1, 15, 1000] {
            let (a, b) = (Aligned::<f32>::zeros(len), Aligned::<f64>::zeros(len));
            assert_eq!((a.len(), b.len()), (len, len));
            assert_eq!((a.as_ptr().align_offset(CACHE_LINE), b.as_ptr().align_offset(CACHE_LINE)), (0, 0));
        }
    }
}
