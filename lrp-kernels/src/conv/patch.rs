//! The two kinds of patches that [`winograd`](super::winograd) uses, and their transforms `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A`.

#![allow(unsafe_code)]

use crate::simd::Simd;
use crate::simd::scalar::Scalar;

/// Inputs of the larger kind of patch along an axis: vectors of both kinds stand in arrays of this length.
pub(super) const MOST_IN: usize = 6;
/// Outputs of the larger kind of patch along an axis.
pub(super) const MOST_OUT: usize = 4;

/// A kind of patch: how many outputs of a 3×3 convolution come from how many inputs, along an axis, and how.
pub(super) trait Patch: Copy + Send + Sync {
    /// Outputs along an axis.
    const OUT: usize;
    /// Inputs along an axis, `OUT + 2`; as many products are made.
    const IN: usize = Self::OUT + 2;
    /// Products for a patch.
    const PRODUCTS: usize = Self::IN * Self::IN;
    /// `G`: from three weights to `IN`.
    const G: &'static [[f64; 3]];

    /// The inputs along a row of `LANES` patches that follow each other: the first of each, the second of each, and so on.
    ///
    /// # Safety
    /// The machine has the instruction set, and `OUT` vectors and `IN − OUT` elements more can be read.
    unsafe fn inputs<S: Simd>(row: *const S::T) -> [S::V; MOST_IN];

    /// `Bᵀ d` of the first `IN` vectors.
    ///
    /// # Safety
    /// The machine has the instruction set.
    unsafe fn from_inputs<S: Simd>(d: [S::V; MOST_IN]) -> [S::V; MOST_IN];

    /// `Aᵀ m` of the first `IN` vectors; the first `OUT` are meant.
    ///
    /// # Safety
    /// The machine has the instruction set.
    unsafe fn to_outputs<S: Simd>(m: [S::V; MOST_IN]) -> [S::V; MOST_OUT];
}

/// F(2×2, 3×3): 16 multiplications instead of 36, with the points 0, ±1, ∞. Its transforms are sums of two, so its errors are those of the
/// direct way.
#[derive(Debug, Clone, Copy)]
pub(super) struct TwoByTwo;

impl Patch for TwoByTwo {
    const OUT: usize = 2;
    const G: &'static [[f64; 3]] = &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

    #[inline(always)]
    unsafe fn inputs<S: Simd>(row: *const S::T) -> [S::V; MOST_IN] {
        // SAFETY: the caller's.
        unsafe {
            let (low, high) = (S::load(row), S::load(row.add(S::LANES)));
            let (first, second) = (S::evens(low, high), S::odds(low, high));
            let next = row.add(2 * S::LANES);
            let (third, fourth) = (S::shift_in(first, *next), S::shift_in(second, *next.add(1)));
            [first, second, third, fourth, first, first]
        }
    }

    #[inline(always)]
    unsafe fn from_inputs<S: Simd>(d: [S::V; MOST_IN]) -> [S::V; MOST_IN] {
        // SAFETY: the caller's.
        unsafe { [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[3], d[1]), d[4], d[5]] }
    }

    #[inline(always)]
    unsafe fn to_outputs<S: Simd>(m: [S::V; MOST_IN]) -> [S::V; MOST_OUT] {
        // SAFETY: the caller's.
        unsafe { [S::add(S::add(m[0], m[1]), m[2]), S::add(S::sub(m[1], m[2]), m[3]), m[4], m[5]] }
    }
}

/// F(4×4, 3×3): 36 multiplications instead of 144, with the points 0, ±5/8, ±3/2, ∞, which round half as much as the usual 0, ±1, ±2, ∞ (how
/// much the points matter: Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
/// Networks"). Its errors are a few times those of the direct way.
#[derive(Debug, Clone, Copy)]
pub(super) struct FourByFour;

/// The points other than 0 and ∞ are ±5/8 and ±3/2; their powers are exact in `f32`.
const A: f64 = 0.625;
const B: f64 = 1.5;
const AA: f64 = A * A;
const BB: f64 = B * B;
/// The divisors of the rows of `G` for ±5/8 and ±3/2.
const FOR_A: f64 = 2.0 * AA * (AA - BB);
const FOR_B: f64 = 2.0 * BB * (BB - AA);

impl Patch for FourByFour {
    const OUT: usize = 4;
    const G: &'static [[f64; 3]] = &[
        [1.0 / (AA * BB), 0.0, 0.0],
        [1.0 / FOR_A, A / FOR_A, AA / FOR_A],
        [1.0 / FOR_A, -A / FOR_A, AA / FOR_A],
        [1.0 / FOR_B, B / FOR_B, BB / FOR_B],
        [1.0 / FOR_B, -B / FOR_B, BB / FOR_B],
        [0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    unsafe fn inputs<S: Simd>(row: *const S::T) -> [S::V; MOST_IN] {
        // SAFETY: the caller's.
        unsafe {
            let (a, b) = (S::load(row), S::load(row.add(S::LANES)));
            let (c, d) = (S::load(row.add(2 * S::LANES)), S::load(row.add(3 * S::LANES)));
            let (low, high) = (S::evens(a, b), S::evens(c, d));
            let (low_odd, high_odd) = (S::odds(a, b), S::odds(c, d));
            let (first, second) = (S::evens(low, high), S::evens(low_odd, high_odd));
            let (third, fourth) = (S::odds(low, high), S::odds(low_odd, high_odd));
            let next = row.add(4 * S::LANES);
            [first, second, third, fourth, S::shift_in(first, *next), S::shift_in(second, *next.add(1))]
        }
    }

    #[inline(always)]
    unsafe fn from_inputs<S: Simd>(d: [S::V; MOST_IN]) -> [S::V; MOST_IN] {
        // SAFETY: the caller's.
        unsafe {
            // No closure: it would be a function of its own, compiled without the instruction set.
            let (a, b) = (S::splat(S::T::of(A)), S::splat(S::T::of(B)));
            let (minus_a, minus_b) = (S::splat(S::T::of(-A)), S::splat(S::T::of(-B)));
            let (minus_aa, minus_bb) = (S::splat(S::T::of(-AA)), S::splat(S::T::of(-BB)));
            let (product, minus_sum) = (S::splat(S::T::of(AA * BB)), S::splat(S::T::of(-AA - BB)));
            let (even, odd) = (S::mul_add(minus_bb, d[2], d[4]), S::mul_add(minus_bb, d[1], d[3]));
            let (even_2, odd_2) = (S::mul_add(minus_aa, d[2], d[4]), S::mul_add(minus_aa, d[1], d[3]));
            [
                S::mul_add(product, d[0], S::mul_add(minus_sum, d[2], d[4])),
                S::mul_add(a, odd, even),
                S::mul_add(minus_a, odd, even),
                S::mul_add(b, odd_2, even_2),
                S::mul_add(minus_b, odd_2, even_2),
                S::mul_add(product, d[1], S::mul_add(minus_sum, d[3], d[5])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn to_outputs<S: Simd>(m: [S::V; MOST_IN]) -> [S::V; MOST_OUT] {
        // SAFETY: the caller's.
        unsafe {
            // No closure: it would be a function of its own, compiled without the instruction set.
            let (a, aa, aaa) = (S::splat(S::T::of(A)), S::splat(S::T::of(AA)), S::splat(S::T::of(A * AA)));
            let (b, bb, bbb) = (S::splat(S::T::of(B)), S::splat(S::T::of(BB)), S::splat(S::T::of(B * BB)));
            let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            let (sum_2, difference_2) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
            [
                S::add(S::add(m[0], sum), sum_2),
                S::mul_add(a, difference, S::mul(b, difference_2)),
                S::mul_add(aa, sum, S::mul(bb, sum_2)),
                S::mul_add(aaa, difference, S::mul_add(bbb, difference_2, m[5])),
            ]
        }
    }
}
