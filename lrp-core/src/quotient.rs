//! `s = R / stab(z)`, the division that every rule contains, in vectors, with the sums that the books need.
//!
//! `stab(z) = z + ε·s(z)` with `s(z)` = +1 for `z ≥ 0` and −1 below; `s(0) = +1`.

#![allow(unsafe_code)]

use std::ops::Range;

use num_traits::Zero;

use crate::blocks::write_blocks;
use crate::elementwise::{LANES, total};
use crate::kernels::simd::{Isa, Simd, Task, left, with_isa};
use crate::kernels::with_room;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, elements, from_elements, per_sample};

/// Elements whose quotients are added up in their own precision before they are added to the sums: [`LANES`] sums of so many.
const ROWS: usize = 4;

/// What is divided, and by what: `share · r` by `stab(z + bias)`.
#[derive(Debug, Clone, Copy)]
pub struct Dividend<'a, T> {
    /// The share of the relevance.
    pub share: T,
    /// The relevance, as many elements as there are denominators.
    pub r: &'a [T],
    /// What is added to all denominators.
    pub bias: T,
    /// The stabilizer ε; with 0, nothing is handed on where the denominator is exactly zero.
    pub epsilon: T,
    /// Outputs where something else is divided by.
    pub mirrored: Option<Mirrored<'a, T>>,
}

/// At outputs below zero, `all · own − (z + bias)` is divided by, not `z + bias`.
#[derive(Debug, Clone, Copy)]
pub struct Mirrored<'a, T> {
    /// How many of their own sums there are in both.
    pub all: T,
    /// The outputs, which decide.
    pub output: &'a [T],
    /// Their own sums of contributions.
    pub own: &'a [T],
}

/// What a division adds to the books: `[Σ ε·s(z)·s, Σ r where the denominator is zero, Σ s]`. The first is what the stabilizer takes.
pub type Accounts = [f64; 3];

/// Replaces denominators by quotients.
pub fn divide_piece<T: Scalar>(z: &mut [T], by: &Dividend<'_, T>) -> Accounts {
    let to = z.as_mut_ptr();
    // SAFETY: what is written is what is read.
    unsafe { divide_on(Isa::best(), z.as_ptr(), to, z.len(), by) }
}

/// The quotients of `share` times the relevance `r`, with a stabilizer and accounts for each sample. `z` has the shape of `r`, or the elements
/// of one sample, which then serve all.
pub fn divide<T: Scalar>(
    (share, r): (T, &Tensor<T>),
    z: &Tensor<T>,
    epsilon: impl Fn(usize) -> T + Sync,
) -> (Tensor<T>, Vec<Accounts>) {
    let (r_all, z_all, len) = (elements(r), elements(z), per_sample(r));
    assert!(z_all.len() == r_all.len() || z_all.len() == len, "{:?} and {:?}", r.shape(), z.shape());
    let mut s = with_room(r.len());
    let fresh = &mut s.spare_capacity_mut()[..r.len()];
    let accounts = write_blocks(fresh, len, |range: Range<usize>, s| {
        let z = &z_all[range.start % z_all.len()..][..s.len()];
        let epsilon = epsilon(range.start / len);
        let by = Dividend { share, r: &r_all[range], bias: T::zero(), epsilon, mirrored: None };
        // SAFETY: there are as many quotients as denominators.
        unsafe { divide_on(Isa::best(), z.as_ptr(), s.as_mut_ptr().cast(), z.len(), &by) }
    });
    // SAFETY: that many elements were asked for, and the blocks are all of them; every element of each is written.
    unsafe { s.set_len(r.len()) };
    (from_elements(r.shape(), s), accounts)
}

/// Divides with one instruction set; the numbers are the same with any.
///
/// # Safety
/// The machine has the instruction set. There are `len` denominators at `z` and as many elements, which nobody else uses, at `s`, which may be
/// the same.
unsafe fn divide_on<T: Scalar>(isa: Isa, z: *const T, s: *mut T, len: usize, by: &Dividend<'_, T>) -> Accounts {
    assert!(by.r.len() == len && by.mirrored.is_none_or(|m| m.output.len() == len && m.own.len() == len));
    let quotients = Quotients { z, s, by };
    // SAFETY: the caller's.
    let [signed, dead, sum] = with_isa!(isa, T, S => unsafe {
        match (by.epsilon > T::zero(), by.mirrored.is_some()) {
            (true, false) => S::<T>::run(Compiled::<S<T>, false, false>(quotients)),
            (true, true) => S::<T>::run(Compiled::<S<T>, false, true>(quotients)),
            (false, false) => S::<T>::run(Compiled::<S<T>, true, false>(quotients)),
            (false, true) => S::<T>::run(Compiled::<S<T>, true, true>(quotients)),
        }
    });
    [by.epsilon.wide() * signed, dead, sum]
}

/// Denominators, and the place of their quotients.
#[derive(Clone, Copy)]
struct Quotients<'a, T> {
    z: *const T,
    s: *mut T,
    by: &'a Dividend<'a, T>,
}

/// Compiled for an instruction set, and for denominators that can be zero (`DEAD`) or are not all sums (`MIRRORED`).
struct Compiled<'a, S: Simd, const DEAD: bool, const MIRRORED: bool>(Quotients<'a, S::T>);

impl<S: Simd, const DEAD: bool, const MIRRORED: bool> Task for Compiled<'_, S, DEAD, MIRRORED> {
    type Output = [f64; 3];

    #[inline(always)]
    unsafe fn run(self) -> [f64; 3] {
        let (len, mut sums, mut start) = (self.0.by.r.len(), [[0.0; LANES]; 3], 0);
        // SAFETY: these elements exist.
        unsafe {
            while start + ROWS * LANES <= len {
                self.rows::<ROWS>(start, ROWS * LANES, &mut sums);
                start += ROWS * LANES;
            }
            while start < len {
                self.rows::<1>(start, LANES.min(len - start), &mut sums);
                start += LANES;
            }
        }
        sums.map(total)
    }
}

impl<S: Simd, const DEAD: bool, const MIRRORED: bool> Compiled<'_, S, DEAD, MIRRORED> {
    /// `n` elements, which are so many rows, the last of which may be short. Missing elements are zeros of no relevance.
    ///
    /// # Safety
    /// There are `n` elements from `start` on.
    #[inline(always)]
    unsafe fn rows<const ROWS: usize>(&self, start: usize, n: usize, sums: &mut [[f64; LANES]; 3]) {
        let Quotients { z, s, by } = self.0;
        // SAFETY: the caller's.
        unsafe {
            let (zero, bias) = (S::splat(S::T::zero()), S::splat(by.bias));
            let (share, epsilon) = (S::splat(by.share), S::splat(by.epsilon));
            for column in (0..LANES).step_by(S::LANES) {
                let [mut signed, mut dead, mut sum] = [zero; 3];
                for row in 0..ROWS {
                    let (first, here) = (start + row * LANES + column, left::<S>(n, row * LANES + column));
                    let load = |from: *const S::T| S::load_first(from.wrapping_add(first), here);
                    let mut z = S::add(load(z), bias);
                    if MIRRORED && let Some(Mirrored { all, output, own }) = by.mirrored {
                        let other = S::sub(S::mul(S::splat(all), load(own.as_ptr())), z);
                        z = S::select_negative(S::add(load(output.as_ptr()), zero), other, z);
                    }
                    // −0 has the sign of +0.
                    let z = S::add(z, zero);
                    let denominator = S::add(z, S::negate_where(z, epsilon));
                    let r = S::mul(share, load(by.r.as_ptr()));
                    let mut quotient = S::div(r, denominator);
                    if DEAD {
                        dead = S::add(dead, S::select_zero(denominator, r, zero));
                        quotient = S::select_zero(denominator, zero, quotient);
                    }
                    signed = S::add(signed, S::negate_where(z, quotient));
                    sum = S::add(sum, quotient);
                    S::store_first(s.wrapping_add(first), here, quotient);
                }
                S::add_wide(sums[0].as_mut_ptr().add(column), signed);
                if DEAD {
                    S::add_wide(sums[1].as_mut_ptr().add(column), dead);
                }
                S::add_wide(sums[2].as_mut_ptr().add(column), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tests::noise;

    /// Of one element, by the book.
    fn one<T: Scalar>(z: T, i: usize, by: &Dividend<'_, T>) -> (T, Accounts) {
        let mut z = z + by.bias;
        if let Some(Mirrored { all, output, own }) = by.mirrored
            && output[i] < T::zero()
        {
            z = all * own[i] - z;
        }
        let (sign, r) = (if z < T::zero() { -T::one() } else { T::one() }, by.share * by.r[i]);
        let denominator = z + by.epsilon * sign;
        if denominator.is_zero() {
            return (T::zero(), [0.0, r.wide(), 0.0]);
        }
        let s = r / denominator;
        (s, [(by.epsilon * sign * s).wide(), 0.0, s.wide()])
    }

    fn check<T: Scalar>(tolerance: f64) {
        for len in [0, 1, 15, 16, 17, 63, 64, 65, 200, 1003] {
            let some = |seed| noise(len, seed).into_iter().map(T::of).collect::<Vec<T>>();
            let (mut z, r, mut output, own) = (some(1), some(2), some(3), some(4));
            // Denominators of exactly zero, of either sign.
            z.iter_mut().step_by(5).for_each(|z| *z = T::zero());
            z.iter_mut().step_by(7).for_each(|z| *z = -T::zero());
            output.iter_mut().step_by(3).for_each(|z| *z = -T::zero());
            let mirrored = Mirrored { all: T::of(2.25), output: &output, own: &own };
            for mirrored in [None, Some(mirrored)] {
                for (epsilon, bias) in [(0.0, 0.0), (0.0, 0.5), (0.25, 0.0), (1e-6, -0.5)] {
                    let (epsilon, bias) = (T::of(epsilon), T::of(bias));
                    let by = Dividend { share: T::of(2.0), r: &r, bias, epsilon, mirrored };
                    let found = Isa::available().into_iter().map(|isa| {
                        let mut s = z.clone();
                        // SAFETY: the instruction set is available.
                        let accounts = unsafe { divide_on(isa, z.as_ptr(), s.as_mut_ptr(), len, &by) };
                        (s, accounts)
                    });
                    let found: Vec<_> = found.collect();
                    assert!(found.iter().all(|other| *other == found[0]), "{len}");
                    let mut sums = [[0.0; 2]; 3];
                    for (i, &z) in z.iter().enumerate() {
                        let (s, accounts) = one(z, i, &by);
                        assert_eq!(s, found[0].0[i], "{i} of {len}");
                        sums.iter_mut().zip(accounts).for_each(|([sum, size], v)| {
                            *sum += v;
                            *size += v.abs();
                        });
                    }
                    for (account, [sum, size]) in found[0].1.into_iter().zip(sums) {
                        assert!((account - sum).abs() <= tolerance * size, "{account} and {sum} of {size}, {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_quotient_and_every_account() {
        check::<f32>(3e-7);
        check::<f64>(1e-15);
    }
}
