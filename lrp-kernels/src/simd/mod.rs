//! Vectors of numbers, one implementation per instruction set, and the choice between them at run time.
//!
//! Kernels are written once, generic over [`Simd`]. A kernel is a [`Task`]; [`Simd::run`] calls it from a function that is
//! compiled for the instruction set, into which everything marked `#[inline(always)]` is drawn. That is what makes the
//! intrinsics single instructions: called from an ordinary function they would be calls.
//!
//! A kernel may sum in another order on another instruction set; on one machine it always sums in the same.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod ceiling;
mod portable;
pub mod scalar;

use std::fmt::Debug;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use portable::Portable;

use num_traits::Zero;

use crate::simd::scalar::Scalar;

/// An instruction set that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors.
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// Whatever the compiler makes of loops over short arrays.
    Portable,
}

impl Isa {
    /// The instruction sets of this machine, best first.
    pub fn available() -> Vec<Isa> {
        [Isa::Avx512, Isa::Avx2, Isa::Portable].into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The best one of this machine. Asked for every row of numbers, so looked up once.
    #[inline]
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::available()[0])
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && Isa::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => false,
            Isa::Portable => true,
        }
    }
}

/// Evaluates `$body` with `$S` standing for the [`Simd`] type of the instruction set `$isa` and the scalar `$T`.
macro_rules! with_isa {
    ($isa:expr, $T:ty, $S:ident => $body:expr) => {
        match $isa {
            $crate::simd::Isa::Avx512 => {
                type $S<T> = <T as $crate::simd::Vectors>::Avx512;
                $body
            }
            $crate::simd::Isa::Avx2 => {
                type $S<T> = <T as $crate::simd::Vectors>::Avx2;
                $body
            }
            $crate::simd::Isa::Portable => {
                type $S<T> = $crate::simd::Portable<T>;
                $body
            }
        }
    };
}
pub(crate) use with_isa;

/// The vector types of a scalar. Where an instruction set does not exist, the portable vector stands in.
pub trait Vectors: Sized {
    /// Vectors of 512 bits.
    type Avx512: Simd<T = Self>;
    /// Vectors of 256 bits.
    type Avx2: Simd<T = Self>;
}

#[cfg(target_arch = "x86_64")]
impl Vectors for f32 {
    type Avx512 = Avx512<f32>;
    type Avx2 = Avx2<f32>;
}

#[cfg(target_arch = "x86_64")]
impl Vectors for f64 {
    type Avx512 = Avx512<f64>;
    type Avx2 = Avx2<f64>;
}

#[cfg(not(target_arch = "x86_64"))]
impl Vectors for f32 {
    type Avx512 = Portable<f32>;
    type Avx2 = Portable<f32>;
}

#[cfg(not(target_arch = "x86_64"))]
impl Vectors for f64 {
    type Avx512 = Portable<f64>;
    type Avx2 = Portable<f64>;
}

/// Something to be computed with one instruction set.
pub trait Task {
    /// The result.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`.
    ///
    /// # Safety
    /// Only from [`Simd::run`] of the instruction set that the task uses, with whatever the task itself demands.
    unsafe fn run(self) -> Self::Output;
}

/// The number of `n` elements that are in the vector that begins with this one.
#[inline(always)]
pub fn left<S: Simd>(n: usize, first: usize) -> usize {
    n.saturating_sub(first).min(S::LANES)
}

/// Vectors of one scalar type in one instruction set.
///
/// # Safety
/// Every function demands that the machine has the instruction set ([`Isa::is_available`]); those that read or write
/// memory demand that the pointers are valid for as many elements as their description says. Alignment is not needed.
pub trait Simd: Copy + Debug + Send + Sync + 'static {
    /// The scalar.
    type T: Scalar;
    /// A vector of `LANES` scalars.
    type V: Copy;
    /// Scalars in a vector.
    const LANES: usize;
    /// Registers that hold vectors; decides how large register tiles are.
    const REGISTERS: usize;

    /// Runs a task in a function compiled for this instruction set.
    ///
    /// # Safety
    /// See the trait, and what the task demands.
    unsafe fn run<K: Task>(task: K) -> K::Output;

    /// `v` in every lane.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn splat(v: Self::T) -> Self::V;

    /// Reads `LANES` elements.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn load(from: *const Self::T) -> Self::V;

    /// Reads the first `n ≤ LANES` elements and nothing beyond; the other lanes are zero.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn load_first(from: *const Self::T, n: usize) -> Self::V;

    /// Has a cache line brought into the second-level cache, where there is a way to ask for that. Any address will do.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn prefetch(_: *const Self::T) {}

    /// Writes `LANES` elements.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn store(to: *mut Self::T, v: Self::V);

    /// Writes the first `n ≤ LANES` elements and nothing beyond.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn store_first(to: *mut Self::T, n: usize, v: Self::V);

    /// `a + b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;

    /// `a − b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;

    /// `a·b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;

    /// `a / b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;

    /// `v`, with its sign changed where the sign bit of `by` is set: below zero, and at −0.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn negate_where(by: Self::V, v: Self::V) -> Self::V;

    /// `a` where the sign bit of `by` is set, else `b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn select_negative(by: Self::V, a: Self::V, b: Self::V) -> Self::V;

    /// `a` where `by` is zero of either sign, else `b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn select_zero(by: Self::V, a: Self::V, b: Self::V) -> Self::V;

    /// Adds each lane to one of `LANES` sums.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn add_wide(sums: *mut f64, v: Self::V);

    /// `a·b + c`, rounded once where the instruction set has that.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// `a` where it is larger than `b`, else `b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;

    /// `a` where it is smaller than `b`, else `b`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;

    /// The sum of all lanes, always in the same order.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> Self::T {
        let mut lanes = [Self::T::zero(); 16];
        // SAFETY: no vector has more than 16 lanes; the rest is the caller's.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        let mut n = Self::LANES;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                lanes[i] += lanes[i + n];
            }
        }
        lanes[0]
    }

    /// The elements at even indices of `a` followed by `b`.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn evens(a: Self::V, b: Self::V) -> Self::V {
        let mut both = [Self::T::zero(); 32];
        // SAFETY: no vector has more than 16 lanes; the rest is the caller's.
        unsafe {
            Self::store(both.as_mut_ptr(), a);
            Self::store(both.as_mut_ptr().add(Self::LANES), b);
            for i in 0..Self::LANES {
                both[i] = both[2 * i];
            }
            Self::load(both.as_ptr())
        }
    }

    /// The elements at odd indices of `a` followed by `b`.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn odds(a: Self::V, b: Self::V) -> Self::V {
        let mut both = [Self::T::zero(); 33];
        // SAFETY: no vector has more than 16 lanes; the rest is the caller's.
        unsafe {
            Self::store(both.as_mut_ptr(), a);
            Self::store(both.as_mut_ptr().add(Self::LANES), b);
            let from = both.as_ptr().add(1);
            Self::evens(Self::load(from), Self::load(from.add(Self::LANES)))
        }
    }

    /// All elements of `v` but the first, and `next`.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn shift_in(v: Self::V, next: Self::T) -> Self::V {
        let mut both = [next; 17];
        // SAFETY: no vector has more than 16 lanes; the rest is the caller's.
        unsafe {
            Self::store(both.as_mut_ptr(), v);
            Self::load(both.as_ptr().add(1))
        }
    }

    /// Two vectors, element by element: the first of each, the second of each, and so on.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn zip(a: Self::V, b: Self::V) -> [Self::V; 2] {
        let (mut apart, mut together) = ([Self::T::zero(); 32], [Self::T::zero(); 32]);
        // SAFETY: no vector has more than 16 lanes; the rest is the caller's.
        unsafe {
            Self::store(apart.as_mut_ptr(), a);
            Self::store(apart.as_mut_ptr().add(Self::LANES), b);
            for i in 0..2 * Self::LANES {
                together[i] = apart[i % 2 * Self::LANES + i / 2];
            }
            [Self::load(together.as_ptr()), Self::load(together.as_ptr().add(Self::LANES))]
        }
    }

    /// The nonzero mask of at most `LANES` columns of at most 64 rows: bit `i` of a word is for `from[i·step + column]`.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn nonzero(from: *const Self::T, step: usize, rows: usize, words: &mut [u64]) {
        words.fill(0);
        for i in 0..rows {
            for (j, word) in words.iter_mut().enumerate() {
                // SAFETY: the caller's.
                *word |= u64::from(unsafe { !(*from.add(i * step + j)).is_zero() }) << i;
            }
        }
    }

    /// `from + offset`, computed once. Left to itself, the compiler makes it a part of every address; but an instruction that computes with
    /// what it reads, at an address that is a sum, is two on many a processor.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn at(from: *const Self::T, offset: usize) -> *const Self::T {
        // SAFETY: the caller's.
        unsafe { from.add(offset) }
    }

    /// Transposes a block: `to[c·to_step + p] = from[p·from_step + c]` for `p < rows` and `c < columns`, both at most `LANES`.
    /// Whole rows of `LANES` elements are read, at any address.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn transpose(
        from: *const Self::T,
        from_step: usize,
        rows: usize,
        to: *mut Self::T,
        to_step: usize,
        columns: usize,
    ) {
        for c in 0..columns {
            for p in 0..rows {
                // SAFETY: within the block that the caller vouches for.
                unsafe { *to.add(c * to_step + p) = from.add(p * from_step + c).read_unaligned() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::marker::PhantomData;

    /// Runs every operation on ramps and returns the results in one list.
    struct Everything<S>(PhantomData<S>);

    impl<S: Simd> Task for Everything<S> {
        type Output = Vec<S::T>;

        #[inline(always)]
        unsafe fn run(self) -> Vec<S::T> {
            let n = S::LANES;
            let a: Vec<S::T> = (0..n).map(|i| S::T::of(i as f64 + 1.0)).collect();
            let b: Vec<S::T> = (0..n).map(|i| S::T::of(0.5 * i as f64 - 2.0)).collect();
            let mut out = vec![S::T::zero(); 29 * n + n * n];
            // SAFETY: every slice has `n` elements at the addresses that are read and written.
            unsafe {
                let (va, vb) = (S::load(a.as_ptr()), S::load(b.as_ptr()));
                let mut to = out.as_mut_ptr();
                for v in [
                    S::add(va, vb),
                    S::sub(va, vb),
                    S::mul(va, vb),
                    S::max(vb, S::mul_add(va, vb, va)),
                    S::min(vb, S::mul_add(va, vb, va)),
                    S::mul_add(va, vb, S::splat(S::T::of(3.0))),
                    S::load_first(a.as_ptr(), n - 1),
                    S::load_first(a.as_ptr(), 0),
                    S::splat(S::sum(va)),
                    S::evens(va, vb),
                    S::odds(va, vb),
                    S::shift_in(va, S::T::of(0.125)),
                    S::div(vb, va),
                    S::negate_where(vb, va),
                    S::select_negative(vb, va, S::splat(S::T::zero())),
                    S::select_zero(vb, va, vb),
                ] {
                    S::store(to, v);
                    to = to.add(n);
                }
                let mut sums = vec![0.25; n];
                S::add_wide(sums.as_mut_ptr(), va);
                sums.iter().enumerate().for_each(|(i, &sum)| *to.add(i) = S::T::of(sum));
                to = to.add(n);
                for v in S::zip(va, vb) {
                    S::store(to, v);
                    to = to.add(n);
                }
                S::store_first(to, n - 1, va);
                to = to.add(n);
                let rows: Vec<S::T> = (0..n * n).map(|i| S::T::of(i as f64)).collect();
                S::transpose(rows.as_ptr(), n, n - 1, to, n, n);
                to = to.add(n * n);
                S::transpose(rows.as_ptr(), n, n, to, n, 1);
                to = to.add(n);
                // Twenty rows, of whole vectors and of one element less.
                let some: Vec<S::T> =
                    (0..20 * n).map(|i| [0.0, -0.0, 1.0, f64::NAN][i * i / 3 % 4]).map(S::T::of).collect();
                for columns in [n, n - 1] {
                    let mut words = vec![0; columns];
                    S::nonzero(S::at(some.as_ptr(), 1).sub(1), n, 20, &mut words);
                    words.iter().enumerate().for_each(|(i, &word)| *to.add(i) = S::T::of(word as f64));
                    to = to.add(n);
                }
            }
            out
        }
    }

    fn expected(n: usize) -> Vec<f64> {
        let a: Vec<f64> = (0..n).map(|i| i as f64 + 1.0).collect();
        let b: Vec<f64> = (0..n).map(|i| 0.5 * i as f64 - 2.0).collect();
        let zip = |f: fn(f64, f64) -> f64| a.iter().zip(&b).map(move |(&a, &b)| f(a, b)).collect::<Vec<_>>();
        let first = |m: usize| a.iter().enumerate().map(|(i, &a)| if i < m { a } else { 0.0 }).collect::<Vec<_>>();
        let mut out = [
            zip(|a, b| a + b),
            zip(|a, b| a - b),
            zip(|a, b| a * b),
            zip(|a, b| b.max(a * b + a)),
            zip(|a, b| b.min(a * b + a)),
            zip(|a, b| a * b + 3.0),
            first(n - 1),
            first(0),
            vec![a.iter().sum(); n],
            a.iter().chain(&b).step_by(2).copied().collect(),
            a.iter().chain(&b).skip(1).step_by(2).copied().collect(),
            a.iter().skip(1).copied().chain([0.125]).collect(),
            zip(|a, b| b / a),
            zip(|a, b| if b < 0.0 { -a } else { a }),
            zip(|a, b| if b < 0.0 { a } else { 0.0 }),
            zip(|a, b| if b == 0.0 { a } else { b }),
            zip(|a, _| a + 0.25),
            a.iter().zip(&b).flat_map(|(&a, &b)| [a, b]).collect(),
            first(n - 1),
        ]
        .concat();
        for c in 0..n {
            out.extend((0..n).map(|p| if p < n - 1 { (p * n + c) as f64 } else { 0.0 }));
        }
        out.extend((0..n).map(|p| (p * n) as f64));
        let nonzero =
            |column: usize| (0..20).map(|i| f64::from(u32::from((i * n + column).pow(2) / 3 % 4 > 1) << i)).sum();
        let words: Vec<f64> = (0..n).map(nonzero).collect();
        out.extend(&words);
        out.extend(&words[..n - 1]);
        out.resize(29 * n + n * n, 0.0);
        out
    }

    fn check<T: Scalar>() {
        for isa in Isa::available() {
            with_isa!(isa, T, S => {
                // SAFETY: the instruction set is available.
                let found = unsafe { S::<T>::run(Everything::<S<T>>(PhantomData)) };
                let found: Vec<f64> = found.into_iter().map(Scalar::wide).collect();
                let expected: Vec<f64> = expected(<S<T> as Simd>::LANES).into_iter().map(|v| T::of(v).wide()).collect();
                assert_eq!(found, expected, "{isa:?} {}", T::NAME);
            });
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        check::<f32>();
        check::<f64>();
    }
}
