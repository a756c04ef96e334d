//! Working memory of kernels, kept by each thread from one call to the next: fresh pages and zeroing them would cost more than
//! some layers.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;

use super::CACHE_LINE;
use crate::simd::scalar::Scalar;

thread_local! {
    /// Memory of the thread that is not in use.
    static KEPT: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Memory that holds anything: what is not written first must not matter.
pub struct Scratch<T> {
    memory: Vec<u64>,
    numbers: PhantomData<T>,
}

impl<T: Scalar> Scratch<T> {
    /// Memory for [`slices`](Self::slices) of these lengths.
    pub fn new<const N: usize>(lengths: [usize; N]) -> Self {
        let bytes = lengths.map(Self::padded).iter().sum::<usize>() * size_of::<T>() + CACHE_LINE;
        let words = bytes.div_ceil(size_of::<u64>());
        let mut memory = KEPT.take();
        if memory.len() < words {
            memory = vec![0; words];
        }
        let mut scratch = Self { memory, numbers: PhantomData };
        if cfg!(debug_assertions) {
            scratch.numbers().fill(T::nan());
        }
        scratch
    }

    /// Slices of these lengths, each from the beginning of a cache line.
    pub fn slices<const N: usize>(&mut self, lengths: [usize; N]) -> [&mut [T]; N] {
        let mut rest = self.numbers();
        let start = rest.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE / size_of::<T>());
        rest = &mut rest[start..];
        lengths.map(|len| {
            let (slice, others) = std::mem::take(&mut rest).split_at_mut(Self::padded(len));
            rest = others;
            &mut slice[..len]
        })
    }

    /// A length that ends with a cache line.
    fn padded(len: usize) -> usize {
        len.next_multiple_of(CACHE_LINE / size_of::<T>())
    }

    fn numbers(&mut self) -> &mut [T] {
        let len = self.memory.len() * size_of::<u64>() / size_of::<T>();
        // SAFETY: `f32` and `f64`, the only scalars there are kernels for, are no larger and no more aligned than `u64`, any bits are
        // a number, and the memory is initialized and borrowed for as long as the slice.
        const { assert!(size_of::<T>() <= size_of::<u64>() && align_of::<T>() <= align_of::<u64>()) };
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast::<T>(), len) }
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_do_not_overlap_and_begin_at_cache_lines() {
        let lengths = [3, 0, 100, 16];
        for _ in 0..2 {
            let mut scratch = Scratch::<f32>::new(lengths);
            let slices = scratch.slices(lengths);
            assert!(
                slices.iter().zip(lengths).all(|(p, len)| p.len() == len && p.as_ptr().align_offset(CACHE_LINE) == 0)
            );
            for (i, slice) in slices.into_iter().enumerate() {
                slice.fill(i as f32);
            }
            let mut inner = Scratch::<f64>::new([5]);
            assert_eq!(inner.slices([5])[0].len(), 5);
            let slices = scratch.slices(lengths);
            assert!(slices.iter().enumerate().all(|(i, slice)| slice.iter().all(|&v| v == i as f32)));
        }
    }
}
