//! Vectors of 256 bits with fused multiply-add.

// Every function below is an intrinsic or two under another name: its demands are those of the trait.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::{Simd, Task};

/// Eight `f32` or four `f64`.
#[derive(Debug, Clone, Copy)]
pub struct Avx2<T>(PhantomData<T>);

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn compiled<K: Task>(task: K) -> K::Output {
    task.run()
}

impl Simd for Avx2<f32> {
    type T = f32;
    type V = __m256;
    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn run<K: Task>(task: K) -> K::Output {
        compiled(task)
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m256 {
        _mm256_set1_ps(v)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        _mm256_loadu_ps(from)
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> __m256 {
        _mm256_maskload_ps(from, first8(n))
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const f32) {
        _mm_prefetch::<_MM_HINT_T1>(from.cast());
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        _mm256_storeu_ps(to, v)
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, n: usize, v: __m256) {
        _mm256_maskstore_ps(to, first8(n), v)
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        _mm256_add_ps(a, b)
    }

    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        _mm256_sub_ps(a, b)
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        _mm256_mul_ps(a, b)
    }

    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        _mm256_max_ps(a, b)
    }

    #[inline(always)]
    unsafe fn min(a: __m256, b: __m256) -> __m256 {
        _mm256_min_ps(a, b)
    }

    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        _mm256_div_ps(a, b)
    }

    #[inline(always)]
    unsafe fn negate_where(by: __m256, v: __m256) -> __m256 {
        _mm256_xor_ps(v, _mm256_and_ps(by, _mm256_set1_ps(-0.0)))
    }

    #[inline(always)]
    unsafe fn select_negative(by: __m256, a: __m256, b: __m256) -> __m256 {
        _mm256_blendv_ps(b, a, by)
    }

    #[inline(always)]
    unsafe fn select_zero(by: __m256, a: __m256, b: __m256) -> __m256 {
        _mm256_blendv_ps(b, a, _mm256_cmp_ps::<_CMP_EQ_OQ>(by, _mm256_setzero_ps()))
    }

    #[inline(always)]
    unsafe fn add_wide(sums: *mut f64, v: __m256) {
        let (low, high) = (_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        for (i, half) in [(0, low), (4, high)] {
            let to = sums.add(i);
            _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), _mm256_cvtps_pd(half)));
        }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }

    #[inline(always)]
    unsafe fn evens(a: __m256, b: __m256) -> __m256 {
        let mixed = _mm256_castps_pd(_mm256_shuffle_ps::<0x88>(a, b));
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(mixed))
    }

    #[inline(always)]
    unsafe fn odds(a: __m256, b: __m256) -> __m256 {
        let mixed = _mm256_castps_pd(_mm256_shuffle_ps::<0xdd>(a, b));
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(mixed))
    }

    #[inline(always)]
    unsafe fn shift_in(v: __m256, next: f32) -> __m256 {
        let shifted = _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0));
        _mm256_blend_ps::<0x80>(shifted, _mm256_set1_ps(next))
    }

    #[inline(always)]
    unsafe fn zip(a: __m256, b: __m256) -> [__m256; 2] {
        let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
    }

    /// Pairs of rows, pairs of pairs, then halves of registers.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, rows: usize, to: *mut f32, to_step: usize, columns: usize) {
        let mut r = [_mm256_setzero_ps(); 8];
        for i in 0..8 {
            if i < rows {
                r[i] = _mm256_loadu_ps(from.add(i * from_step));
            }
        }
        let mut t = r;
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..2 {
            r[4 * i] = _mm256_shuffle_ps::<0x44>(t[4 * i], t[4 * i + 2]);
            r[4 * i + 1] = _mm256_shuffle_ps::<0xee>(t[4 * i], t[4 * i + 2]);
            r[4 * i + 2] = _mm256_shuffle_ps::<0x44>(t[4 * i + 1], t[4 * i + 3]);
            r[4 * i + 3] = _mm256_shuffle_ps::<0xee>(t[4 * i + 1], t[4 * i + 3]);
        }
        for i in 0..4 {
            t[i] = _mm256_permute2f128_ps::<0x20>(r[i], r[4 + i]);
            t[4 + i] = _mm256_permute2f128_ps::<0x31>(r[i], r[4 + i]);
        }
        let mask = first8(rows);
        for i in 0..8 {
            if i < columns {
                _mm256_maskstore_ps(to.add(i * to_step), mask, t[i]);
            }
        }
    }
}

impl Simd for Avx2<f64> {
    type T = f64;
    type V = __m256d;
    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn run<K: Task>(task: K) -> K::Output {
        compiled(task)
    }

    #[inline(always)]
    unsafe fn splat(v: f64) -> __m256d {
        _mm256_set1_pd(v)
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> __m256d {
        _mm256_loadu_pd(from)
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f64, n: usize) -> __m256d {
        _mm256_maskload_pd(from, first4(n))
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const f64) {
        _mm_prefetch::<_MM_HINT_T1>(from.cast());
    }

    #[inline(always)]
    unsafe fn store(to: *mut f64, v: __m256d) {
        _mm256_storeu_pd(to, v)
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f64, n: usize, v: __m256d) {
        _mm256_maskstore_pd(to, first4(n), v)
    }

    #[inline(always)]
    unsafe fn add(a: __m256d, b: __m256d) -> __m256d {
        _mm256_add_pd(a, b)
    }

    #[inline(always)]
    unsafe fn sub(a: __m256d, b: __m256d) -> __m256d {
        _mm256_sub_pd(a, b)
    }

    #[inline(always)]
    unsafe fn mul(a: __m256d, b: __m256d) -> __m256d {
        _mm256_mul_pd(a, b)
    }

    #[inline(always)]
    unsafe fn max(a: __m256d, b: __m256d) -> __m256d {
        _mm256_max_pd(a, b)
    }

    #[inline(always)]
    unsafe fn min(a: __m256d, b: __m256d) -> __m256d {
        _mm256_min_pd(a, b)
    }

    #[inline(always)]
    unsafe fn div(a: __m256d, b: __m256d) -> __m256d {
        _mm256_div_pd(a, b)
    }

    #[inline(always)]
    unsafe fn negate_where(by: __m256d, v: __m256d) -> __m256d {
        _mm256_xor_pd(v, _mm256_and_pd(by, _mm256_set1_pd(-0.0)))
    }

    #[inline(always)]
    unsafe fn select_negative(by: __m256d, a: __m256d, b: __m256d) -> __m256d {
        _mm256_blendv_pd(b, a, by)
    }

    #[inline(always)]
    unsafe fn select_zero(by: __m256d, a: __m256d, b: __m256d) -> __m256d {
        _mm256_blendv_pd(b, a, _mm256_cmp_pd::<_CMP_EQ_OQ>(by, _mm256_setzero_pd()))
    }

    #[inline(always)]
    unsafe fn add_wide(sums: *mut f64, v: __m256d) {
        _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), v))
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        _mm256_fmadd_pd(a, b, c)
    }

    #[inline(always)]
    unsafe fn evens(a: __m256d, b: __m256d) -> __m256d {
        _mm256_permute4x64_pd::<0xd8>(_mm256_shuffle_pd::<0>(a, b))
    }

    #[inline(always)]
    unsafe fn odds(a: __m256d, b: __m256d) -> __m256d {
        _mm256_permute4x64_pd::<0xd8>(_mm256_shuffle_pd::<0xf>(a, b))
    }

    #[inline(always)]
    unsafe fn shift_in(v: __m256d, next: f64) -> __m256d {
        _mm256_blend_pd::<0x8>(_mm256_permute4x64_pd::<0x39>(v), _mm256_set1_pd(next))
    }
}

/// A mask of the first `n` of eight lanes.
#[inline(always)]
unsafe fn first8(n: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// A mask of the first `n` of four lanes.
#[inline(always)]
unsafe fn first4(n: usize) -> __m256i {
    _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3))
}
