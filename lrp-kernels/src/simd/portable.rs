//! Vectors for any machine: short arrays, whose loops the compiler turns into whatever vectors the target has (SSE2, NEON).

#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::{Simd, Task};
use crate::simd::scalar::Scalar;

/// Four scalars in an array.
#[derive(Debug, Clone, Copy)]
pub struct Portable<T>(PhantomData<T>);

const LANES: usize = 4;

/// `f` in every lane.
macro_rules! lanes {
    ($i:ident => $value:expr) => {{
        let mut v = [T::zero(); LANES];
        for $i in 0..LANES {
            v[$i] = $value;
        }
        v
    }};
}

impl<T: Scalar> Simd for Portable<T> {
    type T = T;
    type V = [T; LANES];
    const LANES: usize = LANES;
    const REGISTERS: usize = 16;

    #[inline(never)]
    unsafe fn run<K: Task>(task: K) -> K::Output {
        // SAFETY: the caller's; no instruction set is needed.
        unsafe { task.run() }
    }

    #[inline(always)]
    unsafe fn splat(v: T) -> Self::V {
        [v; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self::V {
        // SAFETY: the caller vouches for `LANES` elements; arrays are read without regard to alignment.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const T, n: usize) -> Self::V {
        // SAFETY: only the first `n` are read.
        lanes!(i => if i < n { unsafe { from.add(i).read_unaligned() } } else { T::zero() })
    }

    #[inline(always)]
    unsafe fn store(to: *mut T, v: Self::V) {
        // SAFETY: as for `load`.
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut T, n: usize, v: Self::V) {
        for (i, &v) in v.iter().enumerate().take(n) {
            // SAFETY: only the first `n` are written.
            unsafe { *to.add(i) = v };
        }
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => a[i] - b[i])
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => a[i] / b[i])
    }

    #[inline(always)]
    unsafe fn negate_where(by: Self::V, v: Self::V) -> Self::V {
        lanes!(i => if by[i].is_sign_negative() { -v[i] } else { v[i] })
    }

    #[inline(always)]
    unsafe fn select_negative(by: Self::V, a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => if by[i].is_sign_negative() { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn select_zero(by: Self::V, a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => if by[i].is_zero() { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn add_wide(sums: *mut f64, v: Self::V) {
        for (i, v) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for `LANES` sums.
            unsafe { *sums.add(i) += v.wide() };
        }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Without the instruction a fused multiply-add is a slow function call.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            lanes!(i => a[i].mul_add(b[i], c[i]))
        } else {
            lanes!(i => a[i] * b[i] + c[i])
        }
    }
}
