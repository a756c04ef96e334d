//! Epilogues: operations on sums before they are written, while they are in the cache, in place of a pass of their own over memory.

#![allow(unsafe_code)]

use num_traits::Zero;

use super::super::simd::{Simd, Task};
use crate::accounts::Accounts;
use crate::simd::scalar::Scalar;

/// An epilogue for each element.
#[derive(Debug, Clone, Copy)]
pub enum ElementEpilogue<'a, T> {
    /// `z`.
    Plain,
    /// `z + b`, with one number for each channel.
    Add(&'a [T]),
    /// `min(max(z + b, low), high)`.
    AddClamp(&'a [T], Limits<T>),
    /// `z · x` with an element for each, in the layout of the result; zeros are made `+0`.
    Times(&'a [T]),
    /// `r + z · x` with an element of both for each, in the layout of the result.
    TimesOnto(&'a [T], &'a [T]),
}

/// An epilogue for blocks of elements, such as the quotient of a rule, which also has terms of the ledger.
pub trait BlockEpilogue<T>: Sync {
    /// Replaces a block of a sample's sums `z` by its result for `z + b`. The first element has the index `first` among the sums of the whole
    /// batch. If the epilogue has two results, `second` is as long as the block and receives the second one, and `biases` are `b` and the bias
    /// of that one; otherwise `second` is empty. Returns the block's terms of the accounts of the sample.
    fn apply(&self, segment: &mut [T], second: &mut [T], biases: [T; 2], first: usize) -> Accounts;
}

/// The epilogue of a part of a batch, whose first element has the index `by` in the result for all of it.
pub(super) struct Shifted<'a, T> {
    pub epilogue: &'a dyn BlockEpilogue<T>,
    pub by: usize,
}

impl<T> BlockEpilogue<T> for Shifted<'_, T> {
    fn apply(&self, segment: &mut [T], second: &mut [T], biases: [T; 2], first: usize) -> Accounts {
        self.epilogue.apply(segment, second, biases, self.by + first)
    }
}

/// The epilogue of a convolution.
#[derive(Clone, Copy)]
pub(super) enum Epilogue<'a, T> {
    /// Element by element.
    Elementwise(ElementEpilogue<'a, T>),
    /// Segment by segment.
    Blockwise(Blockwise<'a, T>),
}

/// The block epilogue of a convolution; a block is a segment of a channel.
#[derive(Clone, Copy)]
pub(super) struct Blockwise<'a, T> {
    pub epilogue: &'a dyn BlockEpilogue<T>,
    /// One number for each channel.
    pub b: &'a [T],
    /// If there are two results, one number for each channel of the second: a sample's channels of the first result precede those of the second.
    pub second: Option<&'a [T]>,
}

impl<T: Scalar> Blockwise<'_, T> {
    /// The biases of the channel of this index.
    pub(super) fn biases(&self, index: usize) -> [T; 2] {
        [self.b, self.second.unwrap_or(self.b)].map(|b| b[index % b.len()])
    }
}

/// The limits of a ReLU, a ReLU6 or another function that clips.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits<T> {
    /// The lower limit.
    pub low: T,
    /// The upper limit; infinity for a ReLU.
    pub high: T,
}

impl<T: Scalar> Limits<T> {
    /// `min(max(v, low), high)`; NaN stays NaN, so that it is found, and −0 becomes 0.
    #[inline(always)]
    pub fn clamp(self, v: T) -> T {
        let v = if self.low > v { self.low } else { v };
        let v = if self.high < v { self.high } else { v };
        v + T::zero()
    }
}

impl<T: Scalar> ElementEpilogue<'_, T> {
    /// For a part of a batch, whose first element has the index `first` in the result for all of it.
    pub(super) fn from(&self, first: usize) -> Self {
        match *self {
            ElementEpilogue::Times(x) => ElementEpilogue::Times(&x[first..]),
            ElementEpilogue::TimesOnto(x, r) => ElementEpilogue::TimesOnto(&x[first..], &r[first..]),
            epilogue => epilogue,
        }
    }

    /// One element: the sum `z`, its channel, and its index in the result.
    #[inline(always)]
    pub(super) fn one(&self, z: T, channel: usize, index: usize) -> T {
        match self {
            ElementEpilogue::Plain => z,
            ElementEpilogue::Add(b) => z + b[channel],
            ElementEpilogue::AddClamp(b, limits) => limits.clamp(z + b[channel]),
            ElementEpilogue::Times(x) => z * x[index] + T::zero(),
            ElementEpilogue::TimesOnto(x, r) => r[index] + z * x[index],
        }
    }

    /// As [`write`](Self::write), for sums that are `step` elements apart in the result.
    ///
    /// # Safety
    /// As many elements can be written at distances of `step` from `to` on.
    pub(super) unsafe fn write_spaced(&self, z: &[T], to: *mut T, step: usize, channel: usize, index: usize) {
        // Decided once, not for every element.
        let places = z.iter().enumerate();
        // SAFETY: the caller's.
        unsafe {
            match *self {
                ElementEpilogue::Times(x) => {
                    let x = x[index..].iter().step_by(step);
                    places.zip(x).for_each(|((i, &z), &x)| *to.add(i * step) = z * x + T::zero());
                }
                _ => places.for_each(|(i, &z)| *to.add(i * step) = self.one(z, channel, index + i * step)),
            }
        }
    }

    /// Writes sums `z` that are contiguous in the result, from `index` on.
    ///
    /// # Safety
    /// The machine has the instruction set of `S`; as many elements can be written at `to`.
    pub(super) unsafe fn write<S: Simd<T = T>>(&self, z: &[T], to: *mut T, channel: usize, index: usize) {
        // SAFETY: the caller's.
        unsafe { S::run(Written::<S> { epilogue: self, z, to, channel, index }) }
    }

    /// As [`write`](Self::write), from within a task.
    ///
    /// # Safety
    /// The same.
    #[inline(always)]
    pub(super) unsafe fn write_within<S: Simd<T = T>>(&self, z: &[T], to: *mut T, channel: usize, index: usize) {
        let range = index..index + z.len();
        let row = |other| Row::<S> { z, to, other };
        // SAFETY: the caller's.
        unsafe {
            match self {
                ElementEpilogue::Plain => row(Other::Nothing).run(),
                ElementEpilogue::Add(b) => row(Other::Bias(b[channel])).run(),
                ElementEpilogue::AddClamp(b, limits) => row(Other::Clamped(b[channel], *limits)).run(),
                ElementEpilogue::Times(x) => row(Other::Factors(&x[range])).run(),
                ElementEpilogue::TimesOnto(x, r) => row(Other::FactorsAndSums(&x[range.clone()], &r[range])).run(),
            }
        }
    }
}

/// A row of sums that is [written](ElementEpilogue::write).
struct Written<'a, 'b, S: Simd> {
    epilogue: &'a ElementEpilogue<'b, S::T>,
    z: &'a [S::T],
    to: *mut S::T,
    channel: usize,
    index: usize,
}

impl<S: Simd> Task for Written<'_, '_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { self.epilogue.write_within::<S>(self.z, self.to, self.channel, self.index) }
    }
}

/// The other operand of a row.
#[derive(Clone, Copy)]
enum Other<'a, T> {
    Nothing,
    Bias(T),
    Clamped(T, Limits<T>),
    Factors(&'a [T]),
    FactorsAndSums(&'a [T], &'a [T]),
}

struct Row<'a, S: Simd> {
    z: &'a [S::T],
    to: *mut S::T,
    other: Other<'a, S::T>,
}

impl<S: Simd> Task for Row<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let len = self.z.len();
        let mut i = 0;
        // SAFETY: the caller vouches for as many elements as there are sums.
        unsafe {
            while i + S::LANES <= len {
                self.vector(i, S::LANES);
                i += S::LANES;
            }
            if i < len {
                self.vector(i, len - i);
            }
        }
    }
}

impl<S: Simd> Row<'_, S> {
    /// `n ≤ LANES` elements from the `i`-th on.
    ///
    /// # Safety
    /// The machine has the instruction set, and the row has these elements.
    #[inline(always)]
    unsafe fn vector(&self, i: usize, n: usize) {
        // SAFETY: the caller's; operands are as long as the row.
        unsafe {
            let z = S::load_first(self.z.as_ptr().add(i), n);
            let v = match self.other {
                Other::Nothing => z,
                Other::Bias(b) => S::add(z, S::splat(b)),
                Other::Clamped(b, Limits { low, high }) => {
                    // As `Limits::clamp`: of the two numbers, the second one is what is taken where one is NaN.
                    let clamped = S::min(S::splat(high), S::max(S::splat(low), S::add(z, S::splat(b))));
                    S::add(clamped, S::splat(S::T::zero()))
                }
                Other::Factors(x) => S::add(S::mul(z, S::load_first(x.as_ptr().add(i), n)), S::splat(S::T::zero())),
                Other::FactorsAndSums(x, r) => {
                    let product = S::mul(z, S::load_first(x.as_ptr().add(i), n));
                    S::add(S::load_first(r.as_ptr().add(i), n), product)
                }
            };
            S::store_first(self.to.add(i), n, v);
        }
    }
}
