//! Vectors of 512 bits.

// Every function below is an intrinsic or two under another name: its demands are those of the trait.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::{Simd, Task};

/// Sixteen `f32` or eight `f64`.
#[derive(Debug, Clone, Copy)]
pub struct Avx512<T>(PhantomData<T>);

#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,bmi1,bmi2")]
#[inline(never)]
unsafe fn compiled<K: Task>(task: K) -> K::Output {
    task.run()
}

impl Simd for Avx512<f32> {
    type T = f32;
    type V = __m512;
    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn run<K: Task>(task: K) -> K::Output {
        compiled(task)
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m512 {
        _mm512_set1_ps(v)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        _mm512_loadu_ps(from)
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> __m512 {
        _mm512_maskz_loadu_ps(first(n) as u16, from)
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const f32) {
        _mm_prefetch::<_MM_HINT_T1>(from.cast());
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        _mm512_storeu_ps(to, v)
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, n: usize, v: __m512) {
        _mm512_mask_storeu_ps(to, first(n) as u16, v)
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        _mm512_add_ps(a, b)
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        _mm512_sub_ps(a, b)
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        _mm512_mul_ps(a, b)
    }

    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        _mm512_max_ps(a, b)
    }

    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        _mm512_min_ps(a, b)
    }

    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        _mm512_div_ps(a, b)
    }

    #[inline(always)]
    unsafe fn negate_where(by: __m512, v: __m512) -> __m512 {
        _mm512_xor_ps(v, _mm512_and_ps(by, _mm512_set1_ps(-0.0)))
    }

    #[inline(always)]
    unsafe fn select_negative(by: __m512, a: __m512, b: __m512) -> __m512 {
        _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(by)), b, a)
    }

    #[inline(always)]
    unsafe fn select_zero(by: __m512, a: __m512, b: __m512) -> __m512 {
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(by, _mm512_setzero_ps()), b, a)
    }

    #[inline(always)]
    unsafe fn add_wide(sums: *mut f64, v: __m512) {
        let (low, high) = (_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
        for (i, half) in [(0, low), (8, high)] {
            let to = sums.add(i);
            _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), _mm512_cvtps_pd(half)));
        }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }

    #[inline(always)]
    unsafe fn sum(v: __m512) -> f32 {
        _mm512_reduce_add_ps(v)
    }

    #[inline(always)]
    unsafe fn evens(a: __m512, b: __m512) -> __m512 {
        let places = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        _mm512_permutex2var_ps(a, places, b)
    }

    #[inline(always)]
    unsafe fn odds(a: __m512, b: __m512) -> __m512 {
        let places = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        _mm512_permutex2var_ps(a, places, b)
    }

    #[inline(always)]
    unsafe fn shift_in(v: __m512, next: f32) -> __m512 {
        let next = _mm512_castps_si512(_mm512_set1_ps(next));
        _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(next, _mm512_castps_si512(v)))
    }

    #[inline(always)]
    unsafe fn zip(a: __m512, b: __m512) -> [__m512; 2] {
        let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        [_mm512_permutex2var_ps(a, first, b), _mm512_permutex2var_ps(a, second, b)]
    }

    /// Row by row a bit of each column; then the bits of each column, a vector of bytes for eight of them.
    #[inline(always)]
    unsafe fn nonzero(from: *const f32, step: usize, rows: usize, words: &mut [u64]) {
        let mut bits = [0u16; 64];
        for (i, bits) in bits.iter_mut().enumerate().take(rows) {
            let row = from.add(i * step);
            let row = if words.len() == 16 { Self::load(row) } else { Self::load_first(row, words.len()) };
            *bits = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(row, _mm512_setzero_ps());
        }
        let [low, high] = [_mm512_loadu_epi16(bits.as_ptr().cast()), _mm512_loadu_epi16(bits.as_ptr().add(32).cast())];
        let first = joined(_mm512_cvtepi16_epi8(low), _mm512_cvtepi16_epi8(high));
        let [low, high] = [_mm512_srli_epi16::<8>(low), _mm512_srli_epi16::<8>(high)];
        let second = joined(_mm512_cvtepi16_epi8(low), _mm512_cvtepi16_epi8(high));
        if words.len() == 16 {
            spread(first, &mut words[..8]);
            spread(second, &mut words[8..]);
        } else {
            let mut all = [0; 16];
            spread(first, &mut all[..8]);
            spread(second, &mut all[8..]);
            words.copy_from_slice(&all[..words.len()]);
        }
    }

    #[inline(always)]
    unsafe fn at(from: *const f32, offset: usize) -> *const f32 {
        computed(from.add(offset))
    }

    /// Pairs of rows, pairs of pairs, then quarters of registers: 64 shuffles for 256 elements.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, rows: usize, to: *mut f32, to_step: usize, columns: usize) {
        let mut r = [_mm512_setzero_ps(); 16];
        for i in 0..16 {
            if i < rows {
                r[i] = _mm512_loadu_ps(from.add(i * from_step));
            }
        }
        let mut t = r;
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            // No closure: it would be a function of its own, compiled without the instruction set.
            let mut q = [_mm512_setzero_pd(); 4];
            for j in 0..4 {
                q[j] = _mm512_castps_pd(t[4 * i + j]);
            }
            r[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(q[0], q[2]));
            r[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(q[0], q[2]));
            r[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(q[1], q[3]));
            r[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(q[1], q[3]));
        }
        for i in 0..4 {
            t[i] = _mm512_shuffle_f32x4::<0x88>(r[i], r[4 + i]);
            t[4 + i] = _mm512_shuffle_f32x4::<0xdd>(r[i], r[4 + i]);
            t[8 + i] = _mm512_shuffle_f32x4::<0x88>(r[8 + i], r[12 + i]);
            t[12 + i] = _mm512_shuffle_f32x4::<0xdd>(r[8 + i], r[12 + i]);
        }
        for i in 0..4 {
            r[i] = _mm512_shuffle_f32x4::<0x88>(t[i], t[8 + i]);
            r[8 + i] = _mm512_shuffle_f32x4::<0xdd>(t[i], t[8 + i]);
            r[4 + i] = _mm512_shuffle_f32x4::<0x88>(t[4 + i], t[12 + i]);
            r[12 + i] = _mm512_shuffle_f32x4::<0xdd>(t[4 + i], t[12 + i]);
        }
        let mask = first(rows) as u16;
        for i in 0..16 {
            if i < columns {
                _mm512_mask_storeu_ps(to.add(i * to_step), mask, r[i]);
            }
        }
    }
}

impl Simd for Avx512<f64> {
    type T = f64;
    type V = __m512d;
    const LANES: usize = 8;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn run<K: Task>(task: K) -> K::Output {
        compiled(task)
    }

    #[inline(always)]
    unsafe fn splat(v: f64) -> __m512d {
        _mm512_set1_pd(v)
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> __m512d {
        _mm512_loadu_pd(from)
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f64, n: usize) -> __m512d {
        _mm512_maskz_loadu_pd(first(n) as u8, from)
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const f64) {
        _mm_prefetch::<_MM_HINT_T1>(from.cast());
    }

    #[inline(always)]
    unsafe fn store(to: *mut f64, v: __m512d) {
        _mm512_storeu_pd(to, v)
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f64, n: usize, v: __m512d) {
        _mm512_mask_storeu_pd(to, first(n) as u8, v)
    }

    #[inline(always)]
    unsafe fn add(a: __m512d, b: __m512d) -> __m512d {
        _mm512_add_pd(a, b)
    }

    #[inline(always)]
    unsafe fn sub(a: __m512d, b: __m512d) -> __m512d {
        _mm512_sub_pd(a, b)
    }

    #[inline(always)]
    unsafe fn mul(a: __m512d, b: __m512d) -> __m512d {
        _mm512_mul_pd(a, b)
    }

    #[inline(always)]
    unsafe fn max(a: __m512d, b: __m512d) -> __m512d {
        _mm512_max_pd(a, b)
    }

    #[inline(always)]
    unsafe fn min(a: __m512d, b: __m512d) -> __m512d {
        _mm512_min_pd(a, b)
    }

    #[inline(always)]
    unsafe fn div(a: __m512d, b: __m512d) -> __m512d {
        _mm512_div_pd(a, b)
    }

    #[inline(always)]
    unsafe fn negate_where(by: __m512d, v: __m512d) -> __m512d {
        _mm512_xor_pd(v, _mm512_and_pd(by, _mm512_set1_pd(-0.0)))
    }

    #[inline(always)]
    unsafe fn select_negative(by: __m512d, a: __m512d, b: __m512d) -> __m512d {
        _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(by)), b, a)
    }

    #[inline(always)]
    unsafe fn select_zero(by: __m512d, a: __m512d, b: __m512d) -> __m512d {
        _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_EQ_OQ>(by, _mm512_setzero_pd()), b, a)
    }

    #[inline(always)]
    unsafe fn add_wide(sums: *mut f64, v: __m512d) {
        _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), v))
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        _mm512_fmadd_pd(a, b, c)
    }

    #[inline(always)]
    unsafe fn sum(v: __m512d) -> f64 {
        _mm512_reduce_add_pd(v)
    }

    #[inline(always)]
    unsafe fn evens(a: __m512d, b: __m512d) -> __m512d {
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b)
    }

    #[inline(always)]
    unsafe fn odds(a: __m512d, b: __m512d) -> __m512d {
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), b)
    }

    #[inline(always)]
    unsafe fn shift_in(v: __m512d, next: f64) -> __m512d {
        let next = _mm512_castpd_si512(_mm512_set1_pd(next));
        _mm512_castsi512_pd(_mm512_alignr_epi64::<1>(next, _mm512_castpd_si512(v)))
    }

    #[inline(always)]
    unsafe fn at(from: *const f64, offset: usize) -> *const f64 {
        computed(from.add(offset))
    }
}

/// A mask of the first `n ≤ 16` lanes.
#[inline(always)]
fn first(n: usize) -> u32 {
    (1u32 << n) - 1
}

/// An address that is in a register.
#[allow(clippy::pointers_in_nomem_asm_block)] // Nothing is read or written there.
#[inline(always)]
fn computed<T>(mut address: *const T) -> *const T {
    // SAFETY: it does nothing.
    unsafe { asm!("/* {0} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags)) };
    address
}

/// Two halves.
#[inline(always)]
unsafe fn joined(low: __m256i, high: __m256i) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

/// Bit `i` of word `j` is bit `j` of byte `i`.
#[inline(always)]
unsafe fn spread(bytes: __m512i, words: &mut [u64]) {
    let mut bytes = bytes;
    for word in words.iter_mut().rev() {
        *word = _mm512_movepi8_mask(bytes);
        bytes = _mm512_add_epi8(bytes, bytes);
    }
}
