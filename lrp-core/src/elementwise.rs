//! Functions of the elements of tensors, and sums over samples, compiled for the instruction set of the machine and divided among threads.
//!
//! Sums are accumulated in `f64`, in a fixed number of interleaved parts for each block of a sample: a number does not depend on the
//! instruction set, on the number of threads or on the rest of the batch.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use crate::blocks::{sum_blocks, write_blocks};
use crate::kernels::simd::{Isa, Simd, Task, with_isa};
use crate::kernels::with_room;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, elements, from_elements, per_sample, samples};

/// The parts of a sum that are accumulated beside each other.
const LANES: usize = 16;

/// Elements whose summands are computed before they are added: two simple loops, which compilers turn into vectors, where one that does
/// both becomes scalar. A multiple of [`LANES`].
const TILE: usize = 256;

/// `f(x)`, elementwise.
pub fn map<T: Scalar>(x: &Tensor<T>, f: impl Fn(T) -> T + Sync) -> Tensor<T> {
    zip(x, x, |x, _| f(x))
}

/// `f(a, b)`, elementwise; both have the same shape.
pub fn zip<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) -> Tensor<T> {
    zip_sums(a, b, |_| |a, b| (f(a, b), [])).0
}

/// `f(sample)(a, b)`, elementwise, where `f` gives each element and what it adds to `K` sums over its sample. `b` has the shape of `a`, or
/// the elements of one sample, which then serve all.
pub fn zip_sums<T: Scalar, G: Fn(T, T) -> (T, [f64; K]), const K: usize>(
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: impl Fn(usize) -> G + Sync,
) -> (Tensor<T>, Vec<[f64; K]>) {
    let (a_all, b_all, len) = (elements(a), elements(b), per_sample(a));
    assert!(b_all.len() == a_all.len() || b_all.len() == len, "{:?} and {:?}", a.shape(), b.shape());
    let mut y = with_room(a.len());
    let fresh = &mut y.spare_capacity_mut()[..a.len()];
    let isa = Isa::best();
    let sums = write_blocks(fresh, len, |range: Range<usize>, y| {
        let b = &b_all[range.start % b_all.len()..][..y.len()];
        with_isa!(isa, T, S => {
            let task = Zip::<S<T>, _, K> { a: &a_all[range.clone()], b, y, f: f(range.start / len), isa: PhantomData };
            // SAFETY: the machine has the instruction set.
            unsafe { <S<T> as Simd>::run(task) }
        })
    });
    // SAFETY: that many elements were asked for, and the blocks are all of them; a task writes every element of its block.
    unsafe { y.set_len(a.len()) };
    (from_elements(a.shape(), y), sums)
}

/// Replaces each element of `a` by `f(a, b, c)`; all have the same shape.
pub fn update<T: Scalar>(a: &mut Tensor<T>, b: &Tensor<T>, c: &Tensor<T>, f: impl Fn(T, T, T) -> T + Copy + Sync) {
    update_sums(a, b, c, move |a, b, c| (f(a, b, c), []));
}

/// Replaces each element of `a` by `f(a, b, c)`, which also gives what it adds to `K` sums over its sample; all have the same shape.
///
/// `f` is copied, with all that it captures, to where it is called: behind a reference, captured numbers might change with each element
/// that is written, for all that the compiler knows.
pub fn update_sums<T: Scalar, const K: usize>(
    a: &mut Tensor<T>,
    b: &Tensor<T>,
    c: &Tensor<T>,
    f: impl Fn(T, T, T) -> (T, [f64; K]) + Copy + Sync,
) -> Vec<[f64; K]> {
    if !a.is_standard_layout() {
        *a = from_elements(a.shape(), elements(a).into_owned());
    }
    let (b_all, c_all, len) = (elements(b), elements(c), per_sample(a));
    let a = a.as_slice_mut().unwrap_or_default();
    assert!(a.len() == b_all.len() && a.len() == c_all.len(), "{:?} and {:?}", b.shape(), c.shape());
    let isa = Isa::best();
    write_blocks(a, len, |range: Range<usize>, a| {
        with_isa!(isa, T, S => {
            let task = Update::<S<T>, _, K> { a, b: &b_all[range.clone()], c: &c_all[range], f, isa: PhantomData };
            // SAFETY: the machine has the instruction set.
            unsafe { <S<T> as Simd>::run(task) }
        })
    })
}

/// `Σ f(a, b)` over each sample, for `K` sums at once. `b` has the shape of `a`, or the elements of one sample, which then serve all.
pub fn sums_of<T: Scalar, const K: usize>(
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: impl Fn(T, T) -> [f64; K] + Sync,
) -> Vec<[f64; K]> {
    let (a_all, b_all) = (elements(a), elements(b));
    assert!(b_all.len() == a_all.len() || b_all.len() == per_sample(a), "{:?} and {:?}", a.shape(), b.shape());
    let isa = Isa::best();
    sum_blocks(samples(a), per_sample(a), |range| {
        let b = &b_all[range.start % b_all.len()..][..range.len()];
        with_isa!(isa, T, S => {
            let task = Sum::<S<T>, _, K> { a: &a_all[range], b, f: &f, isa: PhantomData };
            // SAFETY: the machine has the instruction set.
            unsafe { <S<T> as Simd>::run(task) }
        })
    })
}

/// `K` sums over a block, each in [`LANES`] parts.
struct Sums<const K: usize>([[f64; LANES]; K]);

impl<const K: usize> Sums<K> {
    /// Adds the first `n` summands of each sum, of a tile.
    #[inline(always)]
    fn add(&mut self, tile: &[[f64; TILE]; K], n: usize) {
        for (sums, tile) in self.0.iter_mut().zip(tile) {
            let mut parts = *sums;
            let chunks = tile[..n].chunks_exact(LANES);
            let rest = chunks.remainder();
            for chunk in chunks {
                for i in 0..LANES {
                    parts[i] += chunk[i];
                }
            }
            parts.iter_mut().zip(rest).for_each(|(part, v)| *part += v);
            *sums = parts;
        }
    }

    /// The sums of the parts, in their order.
    #[inline(always)]
    fn joined(self) -> [f64; K] {
        self.0.map(|parts| parts.into_iter().sum())
    }
}

/// Elements of a block, and their sums.
struct Zip<'a, S: Simd, F, const K: usize> {
    a: &'a [S::T],
    b: &'a [S::T],
    y: &'a mut [MaybeUninit<S::T>],
    f: F,
    isa: PhantomData<S>,
}

impl<S: Simd, F: Fn(S::T, S::T) -> (S::T, [f64; K]), const K: usize> Task for Zip<'_, S, F, K> {
    type Output = [f64; K];

    #[inline(always)]
    unsafe fn run(self) -> [f64; K] {
        let Self { a, b, y, f, .. } = self;
        assert!(a.len() == y.len() && b.len() == y.len());
        let mut sums = Sums([[0.0; LANES]; K]);
        let mut tile = [[0.0; TILE]; K];
        for ((y, a), b) in y.chunks_mut(TILE).zip(a.chunks(TILE)).zip(b.chunks(TILE)) {
            let n = y.len();
            let (a, b) = (&a[..n], &b[..n]);
            for i in 0..n {
                let (value, parts) = f(a[i], b[i]);
                y[i].write(value);
                for k in 0..K {
                    tile[k][i] = parts[k];
                }
            }
            sums.add(&tile, n);
        }
        sums.joined()
    }
}

/// Elements of a block that are changed, and their sums.
struct Update<'a, S: Simd, F, const K: usize> {
    a: &'a mut [S::T],
    b: &'a [S::T],
    c: &'a [S::T],
    f: F,
    isa: PhantomData<S>,
}

impl<S: Simd, F: Fn(S::T, S::T, S::T) -> (S::T, [f64; K]), const K: usize> Task for Update<'_, S, F, K> {
    type Output = [f64; K];

    #[inline(always)]
    unsafe fn run(self) -> [f64; K] {
        let Self { a, b, c, f, .. } = self;
        let mut sums = Sums([[0.0; LANES]; K]);
        let mut tile = [[0.0; TILE]; K];
        for ((a, b), c) in a.chunks_mut(TILE).zip(b.chunks(TILE)).zip(c.chunks(TILE)) {
            let n = a.len();
            let (b, c) = (&b[..n], &c[..n]);
            for i in 0..n {
                let (value, parts) = f(a[i], b[i], c[i]);
                a[i] = value;
                for k in 0..K {
                    tile[k][i] = parts[k];
                }
            }
            sums.add(&tile, n);
        }
        sums.joined()
    }
}

/// The sums of a block.
struct Sum<'a, S: Simd, F, const K: usize> {
    a: &'a [S::T],
    b: &'a [S::T],
    f: &'a F,
    isa: PhantomData<S>,
}

impl<S: Simd, F: Fn(S::T, S::T) -> [f64; K], const K: usize> Task for Sum<'_, S, F, K> {
    type Output = [f64; K];

    #[inline(always)]
    unsafe fn run(self) -> [f64; K] {
        let Self { a, b, f, .. } = self;
        let mut sums = Sums([[0.0; LANES]; K]);
        let mut tile = [[0.0; TILE]; K];
        for (a, b) in a.chunks(TILE).zip(b.chunks(TILE)) {
            let n = a.len();
            let b = &b[..n];
            for i in 0..n {
                let parts = f(a[i], b[i]);
                for k in 0..K {
                    tile[k][i] = parts[k];
                }
            }
            sums.add(&tile, n);
        }
        sums.joined()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tests::noise;

    fn tensor(n: usize, len: usize, seed: u64) -> Tensor<f32> {
        from_elements(&[n, len], noise(n * len, seed).into_iter().map(|v| v as f32).collect())
    }

    #[test]
    fn every_element_and_every_sum() {
        for (n, len) in [(0, 3), (1, 1), (3, 17), (2, 16), (1, 100_003), (3, 40_000)] {
            let (a, b) = (tensor(n, len, 1), tensor(n, len, 2));
            let (y, sums) = zip_sums(&a, &b, |sample| move |a, b| (a - b, [a.wide() * sample as f64, b.wide()]));
            assert_eq!(y, &a - &b);
            let mut z = a.clone();
            update(&mut z, &a, &b, |z, a, b| z + a * b);
            assert_eq!(z, &a + &(&a * &b));
            let changed = update_sums(&mut z, &a, &b, |_, a, b| (a - b, [a.wide(), b.wide()]));
            assert_eq!(z, y);
            let again = sums_of(&a, &b, |a, b| [a.wide(), b.wide()]);
            assert_eq!(changed, again);
            for sample in 0..n {
                let sum: f64 = a.index_axis(ndarray::Axis(0), sample).iter().map(|v| v.wide()).sum();
                assert!((sums[sample][0] - sum * sample as f64).abs() < 1e-9 && again[sample][1] == sums[sample][1]);
                assert!((again[sample][0] - sum).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn one_sample_serves_all_and_a_sample_alone_gives_the_same_bits() {
        let (a, b) = (tensor(3, 70_001, 3), tensor(1, 70_001, 4));
        let f = |_| |a: f32, b: f32| (a * b, [f64::from(a * b)]);
        let (y, sums) = zip_sums(&a, &b, f);
        assert_eq!(y, &a * &b);
        assert_eq!(sums_of(&a, &b, |a, b| [f64::from(a * b)]), sums);
        for sample in 0..3 {
            let alone = a.slice_axis(ndarray::Axis(0), (sample..=sample).into()).to_owned();
            assert_eq!(zip_sums(&alone, &b, f).1, sums[sample..=sample]);
        }
    }
}
