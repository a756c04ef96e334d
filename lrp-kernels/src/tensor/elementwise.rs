//! Functions of the elements of tensors, and sums over samples, compiled for the instruction set of the machine and divided among threads.
//!
//! Sums are accumulated in `f64`, in a fixed number of interleaved parts for each block of a sample: a number does not depend on the
//! instruction set, on the number of threads or on the rest of the batch.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::copy_nonoverlapping;
use std::sync::atomic::{AtomicBool, Ordering};

use num_traits::Zero;

use crate::accounts::Accounts;
use crate::blocks::{sum_blocks, write_blocks, write_blocks_to};
use crate::conv::BlockEpilogue;
use crate::simd::scalar::Scalar;
use crate::simd::{Isa, Simd, Task, left, with_isa};
use crate::tensor::{Tensor, elements, from_elements, per_sample, samples};
use crate::{Shared, uninit};

/// The parts of a sum that are accumulated beside each other.
pub const LANES: usize = 16;

/// Elements whose summands are computed before they are added: two simple loops, which compilers turn into vectors, where one that does
/// both becomes scalar. A multiple of [`LANES`]. Tiles have one size only, the last one included: another would be the same code again, for every
/// function, type and instruction set.
const TILE: usize = 64;

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
    blockwise(a, b, &|sample, a, b, output| {
        let (len, f, a, b) = (a.len().min(b.len()), f(sample), a.as_ptr(), b.as_ptr());
        // SAFETY: there are as many elements at `a` and `b`, and `blockwise` has as many at `output`.
        unsafe { compute::<_, _, K, true>([a, b, b], output, len, move |a, b, _| f(a, b)) }
    })
}

/// A block of elements, of its sample, its first input, its second one and its output; gives its sums.
type Zipped<'f, T, const K: usize> = &'f (dyn Fn(usize, &[T], &[T], *mut T) -> [f64; K] + Sync);

/// The blocks of [`zip_sums`]. `f` writes all elements of the output, which is as long as both inputs.
fn blockwise<T: Scalar, const K: usize>(
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: Zipped<'_, T, K>,
) -> (Tensor<T>, Vec<[f64; K]>) {
    let (a_all, b_all, len) = (elements(a), elements(b), per_sample(a));
    assert!(b_all.len() == a_all.len() || b_all.len() == len, "{:?} and {:?}", a.shape(), b.shape());
    let mut y = uninit(a.len());
    let fresh = &mut y.spare_capacity_mut()[..a.len()];
    let sums = write_blocks(fresh, len, &|range: Range<usize>, y| {
        let b = &b_all[range.start % b_all.len()..][..y.len()];
        let (sample, a) = (range.start / len, &a_all[range]);
        assert!(a.len() == y.len());
        f(sample, a, b, y.as_mut_ptr().cast())
    });
    // SAFETY: that many elements were asked for, and the blocks are all of them; every element of each is written.
    unsafe { y.set_len(a.len()) };
    (from_elements(a.shape(), y), sums)
}

/// Replaces each element of `a` by `f(a, b, c)`, and gives `K` sums; all have the same length. For blocks of tensors, in the cache.
pub fn update_piece<T: Scalar, const K: usize>(
    a: &mut [T],
    b: &[T],
    c: &[T],
    f: impl Fn(T, T, T) -> (T, [f64; K]),
) -> [f64; K] {
    let (len, a) = (a.len(), a.as_mut_ptr());
    assert!(b.len() == len && c.len() == len);
    // SAFETY: all have as many elements.
    unsafe { compute::<_, _, K, true>([a, b.as_ptr(), c.as_ptr()], a, len, f) }
}

/// Applies a block epilogue to complete sums, bias included. Returns the accounts of each sample, without the bias.
pub fn apply_epilogue<T: Scalar>(z: &mut Tensor<T>, epilogue: &dyn BlockEpilogue<T>) -> Vec<Accounts> {
    let z = standard(z);
    let len = per_sample(z);
    let z = z.as_slice_mut().unwrap_or_default();
    write_blocks_to(z, len, &|range: Range<usize>, piece| epilogue.apply(piece, &mut [], [T::zero(); 2], range.start))
}

/// In standard layout, if it was in another.
fn standard<T: Scalar>(a: &mut Tensor<T>) -> &mut Tensor<T> {
    if !a.is_standard_layout() {
        *a = from_elements(a.shape(), elements(a).into_owned());
    }
    a
}

/// Replaces each element of `a` by `f(a, b, c)`; all have the same shape.
pub fn update<T: Scalar>(a: &mut Tensor<T>, b: &Tensor<T>, c: &Tensor<T>, f: impl Fn(T, T, T) -> T + Copy + Sync) {
    update_sums(a, b, c, move |a, b, c| (f(a, b, c), []));
}

/// Replaces each element of `a` by `f(a, b, c)`, which also gives what it adds to `K` sums over its sample. `b` and `c` have the shape of `a`, or
/// the elements of one sample, which then serve all.
///
/// `f` is copied, with all that it captures, to where it is called: behind a reference, captured numbers might change with each element
/// that is written, for all that the compiler knows.
pub fn update_sums<T: Scalar, const K: usize>(
    a: &mut Tensor<T>,
    b: &Tensor<T>,
    c: &Tensor<T>,
    f: impl Fn(T, T, T) -> (T, [f64; K]) + Copy + Sync,
) -> Vec<[f64; K]> {
    update_blockwise(a, b, c, &|a, b, c| update_piece(a, b, c, f))
}

/// A block of elements that are replaced, and the blocks beside it; gives its sums.
type Updated<'f, T, const K: usize> = &'f (dyn Fn(&mut [T], &[T], &[T]) -> [f64; K] + Sync);

/// The blocks of [`update_sums`].
fn update_blockwise<T: Scalar, const K: usize>(
    a: &mut Tensor<T>,
    b: &Tensor<T>,
    c: &Tensor<T>,
    f: Updated<'_, T, K>,
) -> Vec<[f64; K]> {
    let (b_all, c_all, len) = (elements(b), elements(c), per_sample(a));
    let a = standard(a).as_slice_mut().unwrap_or_default();
    let fits = |other: usize| other == a.len() || other == len;
    assert!(fits(b_all.len()) && fits(c_all.len()), "{:?} and {:?}", b.shape(), c.shape());
    write_blocks(a, len, &|range: Range<usize>, a| {
        let [b, c] = [&b_all, &c_all].map(|all| &all[range.start % all.len()..][..range.len()]);
        f(a, b, c)
    })
}

/// `Σ f(a, b)` over each sample, for `K` sums at once. `b` has the shape of `a`, or the elements of one sample, which then serve all.
pub fn sums_of<T: Scalar, const K: usize>(
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: impl Fn(T, T) -> [f64; K] + Sync,
) -> Vec<[f64; K]> {
    sums_blockwise(a, b, &|a, b| sums_of_piece(a, b, &f))
}

/// Two blocks of elements; gives their sums.
type Summed<'f, T, const K: usize> = &'f (dyn Fn(&[T], &[T]) -> [f64; K] + Sync);

/// The blocks of [`sums_of`].
fn sums_blockwise<T: Scalar, const K: usize>(a: &Tensor<T>, b: &Tensor<T>, f: Summed<'_, T, K>) -> Vec<[f64; K]> {
    let (a_all, b_all) = (elements(a), elements(b));
    assert!(b_all.len() == a_all.len() || b_all.len() == per_sample(a), "{:?} and {:?}", a.shape(), b.shape());
    sum_blocks(samples(a), per_sample(a), &|range| {
        let b = &b_all[range.start % b_all.len()..][..range.len()];
        f(&a_all[range], b)
    })
}

/// `Σ f(a, b)` over a block; both have the same length.
pub fn sums_of_piece<T: Scalar, const K: usize>(a: &[T], b: &[T], f: impl Fn(T, T) -> [f64; K]) -> [f64; K] {
    assert!(a.len() == b.len());
    let (len, a, b) = (a.len(), a.as_ptr(), b.as_ptr());
    // SAFETY: both have as many elements, and nothing is written.
    unsafe { compute::<_, _, K, false>([a, b, b], std::ptr::null_mut(), len, |a, b, _| (T::zero(), f(a, b))) }
}

/// `Σ` and `Σ |·|` over each sample in one pass.
pub fn totals<T: Scalar>(x: &Tensor<T>) -> Vec<[f64; 2]> {
    let all = elements(x);
    sum_blocks(samples(x), per_sample(x), &|range| sums_of_sizes(&all[range]))
}

/// `Σ a` over a block.
pub fn sum_of<T: Scalar>(a: &[T]) -> f64 {
    let [sum] = sums_of_sizes(a);
    sum
}

/// `Σ a` over a block, and `Σ |a|`, if `K` is 2.
fn sums_of_sizes<T: Scalar, const K: usize>(a: &[T]) -> [f64; K] {
    let isa = Isa::best();
    // SAFETY: the machine has the instruction set.
    with_isa!(isa, T, S => unsafe { <S<T> as Simd>::run(Totals::<S<T>, K>(a)) })
}

/// A block whose elements, and their absolute values, are added up.
struct Totals<'a, S: Simd, const K: usize>(&'a [S::T]);

impl<S: Simd, const K: usize> Task for Totals<'_, S, K> {
    type Output = [f64; K];

    #[inline(always)]
    unsafe fn run(self) -> [f64; K] {
        let mut sums = [[0.0; LANES]; K];
        for start in (0..self.0.len()).step_by(LANES) {
            for column in (0..LANES).step_by(S::LANES) {
                let first = start + column;
                // SAFETY: the instruction set is the caller's; nothing beyond the end is read.
                unsafe {
                    let from = self.0.as_ptr().wrapping_add(first);
                    let v = S::load_first(from, left::<S>(self.0.len(), first));
                    for (k, sums) in sums.iter_mut().enumerate() {
                        S::add_wide(sums.as_mut_ptr().add(column), if k == 0 { v } else { S::negate_where(v, v) });
                    }
                }
            }
        }
        sums.map(total)
    }
}

/// Takes the elements of `a` where `by` is negative out of it: they become zero, and are given back, with zeros for the others. Both have the
/// same shape.
pub fn take_negative<T: Scalar>(a: &mut Tensor<T>, by: &Tensor<T>) -> Tensor<T> {
    let (by_all, len, shape) = (elements(by), per_sample(a), a.shape().to_vec());
    let a = standard(a).as_slice_mut().unwrap_or_default();
    assert!(a.len() == by_all.len(), "{shape:?} and {:?}", by.shape());
    let mut taken = uninit(a.len());
    let (isa, to) = (Isa::best(), Shared::new(taken.as_mut_ptr(), a.len()));
    write_blocks(a, len, &|range: Range<usize>, a| {
        let to = to.at(range.start, range.len());
        // SAFETY: the machine has the instruction set; these elements are this block's alone.
        with_isa!(isa, T, S => unsafe { <S<T> as Simd>::run(Taken::<S<T>> { a, by: &by_all[range], to }) });
        []
    });
    // SAFETY: that many elements were asked for, and the blocks are all of them; every element of each is written.
    unsafe { taken.set_len(by_all.len()) };
    from_elements(&shape, taken)
}

/// A block of [`take_negative`]: negative elements move to `to`, which has as many elements.
struct Taken<'a, S: Simd> {
    a: &'a mut [S::T],
    by: &'a [S::T],
    to: *mut S::T,
}

impl<S: Simd> Task for Taken<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { a, by, to } = self;
        assert!(a.len() == by.len());
        for i in (0..a.len()).step_by(S::LANES) {
            // SAFETY: the instruction set is the caller's; nothing beyond the end is read or written.
            unsafe {
                let (n, zero) = (left::<S>(a.len(), i), S::splat(S::T::zero()));
                let (here, v) = (a.as_mut_ptr().add(i), S::load_first(a.as_ptr().add(i), n));
                // −0 has the sign of +0.
                let by = S::add(S::load_first(by.as_ptr().add(i), n), zero);
                S::store_first(to.add(i), n, S::select_negative(by, v, zero));
                S::store_first(here, n, S::select_negative(by, zero, v));
            }
        }
    }
}

/// The set of `K` properties among the elements of a batch: `f(a, b)` gives those of one. Both have the same shape. Stops when all have
/// been seen.
pub fn seen<T: Scalar, const K: usize>(
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: impl Fn(T, T) -> [bool; K] + Sync,
) -> [bool; K] {
    let (a_all, b_all) = (elements(a), elements(b));
    assert!(a_all.len() == b_all.len(), "{:?} and {:?}", a.shape(), b.shape());
    let found = [const { AtomicBool::new(false) }; K];
    sum_blocks(samples(a), per_sample(a), &|range| {
        if !found.iter().all(|found| found.load(Ordering::Relaxed)) {
            let count = |a, b| f(a, b).map(|seen| f64::from(u8::from(seen)));
            let counts = sums_of_piece(&a_all[range.clone()], &b_all[range], count);
            found
                .iter()
                .zip(counts)
                .filter(|(_, n)| *n > 0.0)
                .for_each(|(found, _)| found.store(true, Ordering::Relaxed));
        }
        []
    });
    found.map(AtomicBool::into_inner)
}

/// The sum of all parts, two by two: one after the other, each addition would wait for the one before.
#[inline(always)]
pub fn total(mut parts: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            parts[i] += parts[i + half];
        }
        half /= 2;
    }
    parts[0]
}

/// Elements of a block, their results, and their sums; see [`compute`]. Source and target may be the same.
struct Tiles<S: Simd, F, const K: usize, const WRITES: bool> {
    inputs: [*const S::T; 3],
    output: *mut S::T,
    len: usize,
    f: F,
    isa: PhantomData<S>,
}

impl<S: Simd, F: Fn(S::T, S::T, S::T) -> (S::T, [f64; K]), const K: usize, const WRITES: bool> Task
    for Tiles<S, F, K, WRITES>
{
    type Output = [f64; K];

    #[inline(always)]
    unsafe fn run(self) -> [f64; K] {
        let mut sums = [[0.0; LANES]; K];
        let mut values = [S::T::zero(); TILE];
        let mut start = 0;
        // SAFETY: these elements exist, and the last few are padded to a tile.
        unsafe {
            while start + TILE <= self.len {
                let inputs = self.inputs.map(|from| from.add(start));
                self.tile(inputs, self.output.wrapping_add(start), TILE, &mut sums);
                start += TILE;
            }
            if start < self.len {
                let n = self.len - start;
                let padded = padded(self.inputs, start, n);
                self.tile(
                    [padded[0].as_ptr(), padded[1].as_ptr(), padded[2].as_ptr()],
                    values.as_mut_ptr(),
                    n,
                    &mut sums,
                );
                if WRITES {
                    copy_nonoverlapping(values.as_ptr(), self.output.add(start), n);
                }
            }
        }
        sums.map(total)
    }
}

/// `n` elements of each input, and zeros after them.
///
/// # Safety
/// There are as many from `start` on.
#[inline(never)]
unsafe fn padded<T: Scalar>(inputs: [*const T; 3], start: usize, n: usize) -> [[T; TILE]; 3] {
    inputs.map(|from| {
        let mut tile = [T::zero(); TILE];
        // SAFETY: the caller's.
        unsafe { copy_nonoverlapping(from.add(start), tile.as_mut_ptr(), n.min(TILE)) };
        tile
    })
}

impl<S: Simd, F: Fn(S::T, S::T, S::T) -> (S::T, [f64; K]), const K: usize, const WRITES: bool> Tiles<S, F, K, WRITES> {
    /// A tile, of which the first `n` elements count in the sums. As many as fit are computed, whatever their number: what compilers make of the
    /// last few elements of a loop is slower than all before them.
    ///
    /// # Safety
    /// There are [`TILE`] elements at all inputs, and at the output, if something is written.
    #[inline(always)]
    unsafe fn tile(&self, from: [*const S::T; 3], to: *mut S::T, n: usize, sums: &mut [[f64; LANES]; K]) {
        let mut inputs = [[S::T::zero(); TILE]; 3];
        for (to, from) in inputs.iter_mut().zip(from) {
            for i in (0..TILE).step_by(S::LANES) {
                // SAFETY: the caller's.
                unsafe { S::store(to.as_mut_ptr().add(i), S::load(from.add(i))) };
            }
        }
        let [a, b, c] = inputs;
        let (mut values, mut parts) = ([S::T::zero(); TILE], [[0.0; TILE]; K]);
        for i in 0..TILE {
            let (value, summands) = (self.f)(a[i], b[i], c[i]);
            values[i] = value;
            for k in 0..K {
                parts[k][i] = summands[k];
            }
        }
        if WRITES {
            for i in (0..TILE).step_by(S::LANES) {
                // SAFETY: the caller's.
                unsafe { S::store(to.add(i), S::load(values.as_ptr().add(i))) };
            }
        }
        if n < TILE {
            parts.iter_mut().for_each(|part| part[n..].fill(0.0));
        }
        for k in 0..K {
            for i in (0..TILE).step_by(LANES) {
                for lane in 0..LANES {
                    sums[k][lane] += parts[k][i + lane];
                }
            }
        }
    }
}

/// Computes `len` elements.
///
/// # Safety
/// There are as many at all `inputs`, and at `output`, which nobody else may use, if something is written.
#[inline(always)]
unsafe fn compute<T: Scalar, F: Fn(T, T, T) -> (T, [f64; K]), const K: usize, const WRITES: bool>(
    inputs: [*const T; 3],
    output: *mut T,
    len: usize,
    f: F,
) -> [f64; K] {
    // SAFETY: the machine has the instruction set; the rest is the caller's.
    unsafe { compute_with::<T, F, K, WRITES>(Isa::best(), inputs, output, len, f) }
}

/// As [`compute`], with an instruction set.
///
/// # Safety
/// The machine has it, and see [`compute`].
#[inline(always)]
unsafe fn compute_with<T: Scalar, F: Fn(T, T, T) -> (T, [f64; K]), const K: usize, const WRITES: bool>(
    isa: Isa,
    inputs: [*const T; 3],
    output: *mut T,
    len: usize,
    f: F,
) -> [f64; K] {
    with_isa!(isa, T, S => {
        let task = Tiles::<S<T>, _, K, WRITES> { inputs, output, len, f, isa: PhantomData };
        // SAFETY: the caller's.
        unsafe { <S<T> as Simd>::run(task) }
    })
}

/// `f(x)` for each element, with each instruction set of this machine.
#[cfg(test)]
pub(crate) fn with_every_isa<T: Scalar>(x: &[T], f: impl Fn(T) -> T + Copy) -> Vec<(Isa, Vec<T>)> {
    let one = |isa| {
        let mut y = vec![T::zero(); x.len()];
        // SAFETY: the machine has the instruction set, and there are as many elements.
        unsafe { compute_with::<T, _, 0, true>(isa, [x.as_ptr(); 3], y.as_mut_ptr(), x.len(), |x, _, _| (f(x), [])) };
        (isa, y)
    };
    Isa::available().into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::noise;

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
                assert_eq!(totals(&a)[sample], sums_of(&a, &a, |a, _| [a.wide(), a.wide().abs()])[sample]);
            }
        }
    }

    #[test]
    fn what_is_negative_is_taken_out() {
        let (a, mut by) = (tensor(3, 20_003, 5), tensor(3, 20_003, 6));
        by.iter_mut().step_by(7).for_each(|v| *v = -0.0);
        let mut left = a.clone();
        let taken = take_negative(&mut left, &by);
        let expected = |wanted: bool| zip(&a, &by, move |a, by| if (by < 0.0) == wanted { a } else { 0.0 });
        assert_eq!((taken, left), (expected(true), expected(false)));
    }

    #[test]
    fn what_is_seen() {
        for (n, len) in [(1, 1), (2, 100_003), (3, 64)] {
            // The last element alone tells.
            let mut last = Tensor::zeros(vec![n, len]);
            last.iter_mut().last().into_iter().for_each(|v| *v = 1.0);
            assert_eq!(seen(&last, &last, |v, _| [v == 1.0, v == 0.0, v == 2.0]), [true, n * len > 1, false]);
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
