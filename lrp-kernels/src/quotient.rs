//! `s = R / stab(z)`, the division that every rule contains, in vectors, with the sums that the ledger needs.
//!
//! `stab(z) = z + ε·s(z)` with `s(z)` = +1 for `z ≥ 0` and −1 below; `s(0) = +1`.

#![allow(unsafe_code)]

use std::ops::Range;

use num_traits::Zero;

use crate::accounts::Accounts;
use crate::blocks::write_blocks_to;
use crate::conv::BlockEpilogue;
use crate::simd::scalar::Scalar;
use crate::simd::{Isa, Simd, Task, left, with_isa};
use crate::tensor::elementwise::{LANES, total};
use crate::tensor::{Tensor, elements, from_elements, per_sample};
use crate::uninit;

/// Elements whose quotients are added up in their own precision before they are added to the sums: [`LANES`] sums of this number of elements.
const ROWS: usize = 4;

/// The quotients `share · R / stab(D)` of a batch, as an epilogue: of a sum `A x`, the denominator is `D = A x + b`.
#[derive(Debug, Clone, Copy)]
pub struct Quotients<'a, T> {
    /// The share of the relevance.
    pub share: T,
    /// The elements of the relevance.
    pub r: &'a [T],
    /// The stabilizer ε of each sample; where it is 0, a denominator of exactly zero gives a quotient of zero.
    pub epsilon: &'a [T],
    /// Outputs with another denominator.
    pub negative: Option<NegativeOutputs<'a, T>>,
}

/// Outputs below zero, at which the denominator is `λz + μ(A x + b)`.
#[derive(Debug, Clone, Copy)]
pub struct NegativeOutputs<'a, T> {
    /// The elements of the output, whose sign decides.
    pub output: &'a [T],
    /// Those of `z`, which is the output, or that without the bias.
    pub z: &'a [T],
    /// The factor λ.
    pub lambda: T,
    /// The factor μ.
    pub mu: T,
}

impl<T: Scalar> BlockEpilogue<T> for Quotients<'_, T> {
    fn apply(&self, piece: &mut [T], second: &mut [T], bias: [T; 2], first: usize) -> Accounts {
        let &Self { share, r, epsilon, negative } = self;
        let range = first..first + piece.len();
        let negative = negative.map(|negative| NegativeOutputs {
            output: &negative.output[range.clone()],
            z: &negative.z[range.clone()],
            ..negative
        });
        // A block is of one sample.
        let epsilon = epsilon[first * epsilon.len() / r.len().max(1)];
        divide_piece(piece, second, &Dividend { share, r: &r[range], bias, epsilon, negative })
    }
}

/// Numerators and denominators: `share · r` by `stab(z + b)`.
#[derive(Debug, Clone, Copy)]
struct Dividend<'a, T> {
    share: T,
    /// As many elements as there are denominators.
    r: &'a [T],
    /// The bias, which is added to all denominators, and that of outputs whose quotients are kept apart.
    bias: [T; 2],
    epsilon: T,
    negative: Option<NegativeOutputs<'a, T>>,
}

/// Replaces denominators by quotients. If `below` is not empty, it is as long and receives the quotients of negative outputs, which are
/// zero in the first result.
fn divide_piece<T: Scalar>(z: &mut [T], below: &mut [T], by: &Dividend<'_, T>) -> Accounts {
    assert!(below.is_empty() || (below.len() == z.len() && by.negative.is_some()));
    let below = if below.is_empty() { std::ptr::null_mut() } else { below.as_mut_ptr() };
    let to = z.as_mut_ptr();
    // SAFETY: each element is written after it is read, and both slices are as long.
    unsafe { divide_on(Isa::best(), z.as_ptr(), [to, below], z.len(), by) }
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
    let mut s = uninit(r.len());
    let fresh = &mut s.spare_capacity_mut()[..r.len()];
    let accounts = write_blocks_to(fresh, len, &|range: Range<usize>, s| {
        let z = &z_all[range.start % z_all.len()..][..s.len()];
        let epsilon = epsilon(range.start / len);
        let by = Dividend { share, r: &r_all[range], bias: [T::zero(); 2], epsilon, negative: None };
        // SAFETY: there are as many quotients as denominators.
        unsafe { divide_on(Isa::best(), z.as_ptr(), [s.as_mut_ptr().cast(), std::ptr::null_mut()], z.len(), &by) }
    });
    // SAFETY: that many elements were asked for, and the blocks are all of them; every element of each is written.
    unsafe { s.set_len(r.len()) };
    (from_elements(r.shape(), s), accounts)
}

/// Divides with one instruction set; the numbers are the same with any.
///
/// # Safety
/// The machine has the instruction set. There are `len` denominators at `z` and as many elements, which nobody else uses, at `s`, which may be
/// the same, and at `below`, unless that is null.
unsafe fn divide_on<T: Scalar>(
    isa: Isa,
    z: *const T,
    [s, below]: [*mut T; 2],
    len: usize,
    by: &Dividend<'_, T>,
) -> Accounts {
    assert!(by.r.len() == len && by.negative.is_none_or(|n| n.output.len() == len && n.z.len() == len));
    let quotients = Places { z, s, below, by };
    let sides = match by.negative {
        None => ONE,
        Some(_) if below.is_null() => TWO,
        Some(_) => APART,
    };
    // SAFETY: the caller's.
    let sums = with_isa!(isa, T, S => unsafe {
        match (by.epsilon > T::zero(), sides) {
            (true, ONE) => S::<T>::run(Compiled::<S<T>, false, ONE>(quotients)),
            (true, TWO) => S::<T>::run(Compiled::<S<T>, false, TWO>(quotients)),
            (true, _) => S::<T>::run(Compiled::<S<T>, false, APART>(quotients)),
            (false, ONE) => S::<T>::run(Compiled::<S<T>, true, ONE>(quotients)),
            (false, TWO) => S::<T>::run(Compiled::<S<T>, true, TWO>(quotients)),
            (false, _) => S::<T>::run(Compiled::<S<T>, true, APART>(quotients)),
        }
    });
    let [bias, apart] = by.bias.map(Scalar::wide);
    Accounts {
        stabilizer: by.epsilon.wide() * sums.signed,
        zero_denominator: sums.dividends,
        bias: bias * sums.quotients + apart * sums.apart,
    }
}

/// Sums over the elements of a block.
struct Sums {
    /// Of quotients, with the sign of their denominator.
    signed: f64,
    /// Of what is divided where the denominator is zero.
    dividends: f64,
    /// Of quotients.
    quotients: f64,
    /// Of quotients that are kept apart.
    apart: f64,
}

/// All denominators are sums; some are those of negative outputs; the quotients of those are kept apart.
const ONE: u8 = 0;
const TWO: u8 = 1;
const APART: u8 = 2;

/// Denominators, and the buffer of their quotients.
#[derive(Clone, Copy)]
struct Places<'a, T> {
    z: *const T,
    s: *mut T,
    below: *mut T,
    by: &'a Dividend<'a, T>,
}

/// Compiled for an instruction set, for denominators that can be zero (`DEAD`) or not, and one side of outputs or two.
struct Compiled<'a, S: Simd, const DEAD: bool, const SIDES: u8>(Places<'a, S::T>);

impl<S: Simd, const DEAD: bool, const SIDES: u8> Task for Compiled<'_, S, DEAD, SIDES> {
    type Output = Sums;

    #[inline(always)]
    unsafe fn run(self) -> Sums {
        let (len, mut sums, mut start) = (self.0.by.r.len(), [[0.0; LANES]; 4], 0);
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
        let [signed, dividends, quotients, apart] = sums.map(total);
        Sums { signed, dividends, quotients, apart }
    }
}

impl<S: Simd, const DEAD: bool, const SIDES: u8> Compiled<'_, S, DEAD, SIDES> {
    /// `n` elements in rows, the last of which may be short. Missing elements are zeros of no relevance.
    ///
    /// # Safety
    /// There are `n` elements from `start` on.
    #[inline(always)]
    unsafe fn rows<const ROWS: usize>(&self, start: usize, n: usize, sums: &mut [[f64; LANES]; 4]) {
        let Places { z, s, below, by } = self.0;
        // SAFETY: the caller's.
        unsafe {
            let (zero, bias) = (S::splat(S::T::zero()), S::splat(by.bias[0]));
            let (share, epsilon) = (S::splat(by.share), S::splat(by.epsilon));
            for column in (0..LANES).step_by(S::LANES) {
                let [mut signed, mut zero_denominator, mut sum, mut apart] = [zero; 4];
                for row in 0..ROWS {
                    let (first, here) = (start + row * LANES + column, left::<S>(n, row * LANES + column));
                    let load = |from: *const S::T| S::load_first(from.wrapping_add(first), here);
                    let mut z = S::add(load(z), bias);
                    let mut output = zero;
                    if SIDES != ONE
                        && let Some(negative) = by.negative
                    {
                        let recorded = S::mul(S::splat(negative.lambda), load(negative.z.as_ptr()));
                        let other = S::add(recorded, S::mul(S::splat(negative.mu), z));
                        output = S::add(load(negative.output.as_ptr()), zero);
                        z = S::select_negative(output, other, z);
                    }
                    // −0 has the sign of +0.
                    let z = S::add(z, zero);
                    let denominator = S::add(z, S::negate_where(z, epsilon));
                    let r = S::mul(share, load(by.r.as_ptr()));
                    let mut quotient = S::div(r, denominator);
                    if DEAD {
                        zero_denominator = S::add(zero_denominator, S::select_zero(denominator, r, zero));
                        quotient = S::select_zero(denominator, zero, quotient);
                    }
                    signed = S::add(signed, S::negate_where(z, quotient));
                    if SIDES == APART {
                        let other = S::select_negative(output, quotient, zero);
                        quotient = S::select_negative(output, zero, quotient);
                        apart = S::add(apart, other);
                        S::store_first(below.wrapping_add(first), here, other);
                    }
                    sum = S::add(sum, quotient);
                    S::store_first(s.wrapping_add(first), here, quotient);
                }
                S::add_wide(sums[0].as_mut_ptr().add(column), signed);
                if DEAD {
                    S::add_wide(sums[1].as_mut_ptr().add(column), zero_denominator);
                }
                S::add_wide(sums[2].as_mut_ptr().add(column), sum);
                if SIDES == APART {
                    S::add_wide(sums[3].as_mut_ptr().add(column), apart);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::noise;

    /// One element, by definition.
    fn one<T: Scalar>(z: T, i: usize, by: &Dividend<'_, T>, apart: bool) -> ([T; 2], Accounts) {
        let mut z = z + by.bias[0];
        let mut side = 0;
        if let Some(NegativeOutputs { output, z: own, lambda, mu }) = by.negative
            && output[i] < T::zero()
        {
            z = lambda * own[i] + mu * z;
            side = usize::from(apart);
        }
        let (sign, r) = (if z < T::zero() { -T::one() } else { T::one() }, by.share * by.r[i]);
        let denominator = z + by.epsilon * sign;
        if denominator.is_zero() {
            return ([T::zero(); 2], Accounts { zero_denominator: r.wide(), ..Accounts::default() });
        }
        let (mut both, s) = ([T::zero(); 2], r / denominator);
        both[side] = s;
        let bias = by.bias[side].wide() * s.wide();
        (both, Accounts { stabilizer: (by.epsilon * sign * s).wide(), bias, ..Accounts::default() })
    }

    fn check<T: Scalar>(tolerance: f64) {
        for len in [0, 1, 15, 16, 17, 63, 64, 65, 200, 1003] {
            let some = |seed| noise(len, seed).into_iter().map(T::of).collect::<Vec<T>>();
            let (mut z, r, mut output, own) = (some(1), some(2), some(3), some(4));
            // Denominators of exactly zero, of either sign.
            z.iter_mut().step_by(5).for_each(|z| *z = T::zero());
            z.iter_mut().step_by(7).for_each(|z| *z = -T::zero());
            output.iter_mut().step_by(3).for_each(|z| *z = -T::zero());
            let negative = NegativeOutputs { output: &output, z: &own, lambda: T::of(2.25), mu: T::of(-1.0) };
            for (negative, apart) in [(None, false), (Some(negative), false), (Some(negative), true)] {
                for (epsilon, bias) in [(0.0, [0.0; 2]), (0.0, [0.5, 1.0]), (0.25, [0.0; 2]), (1e-6, [-0.5, 0.75])] {
                    let (epsilon, bias) = (T::of(epsilon), bias.map(T::of));
                    let by = Dividend { share: T::of(2.0), r: &r, bias, epsilon, negative };
                    let found = Isa::available().into_iter().map(|isa| {
                        let (mut s, mut below) = (z.clone(), z.clone());
                        let to = if apart { below.as_mut_ptr() } else { std::ptr::null_mut() };
                        // SAFETY: the instruction set is available.
                        let accounts = unsafe { divide_on(isa, z.as_ptr(), [s.as_mut_ptr(), to], len, &by) };
                        (s, below, accounts)
                    });
                    let found: Vec<_> = found.collect();
                    assert!(found.iter().all(|other| *other == found[0]), "{len}");
                    let parts = |a: Accounts| [a.stabilizer, a.zero_denominator, a.bias];
                    let mut sums = [[0.0; 2]; 3];
                    for (i, &z) in z.iter().enumerate() {
                        let ([s, below], accounts) = one(z, i, &by, apart);
                        assert_eq!(s, found[0].0[i], "{i} of {len}");
                        assert!(!apart || below == found[0].1[i], "{i} of {len}");
                        sums.iter_mut().zip(parts(accounts)).for_each(|([sum, size], v)| {
                            *sum += v;
                            *size += v.abs();
                        });
                    }
                    for (account, [sum, size]) in parts(found[0].2).into_iter().zip(sums) {
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
