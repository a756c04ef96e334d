//! The peak of the machine: the yardstick of the benchmarks.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::time::Instant;

use num_traits::Zero;

use super::{Isa, Simd, Task, with_isa};
use crate::simd::scalar::Scalar;

/// Multiply-adds in registers alone, 24 independent ones at a time where there are enough registers.
struct MulAdds<S: Simd> {
    rounds: usize,
    vectors: PhantomData<S>,
}

impl<S: Simd> Task for MulAdds<S> {
    type Output = S::T;

    #[inline(always)]
    unsafe fn run(self) -> S::T {
        // SAFETY: nothing but arithmetic; the instruction set is the caller's.
        unsafe {
            let (a, b) = (S::splat(std::hint::black_box(S::T::of(0.5))), S::splat(S::T::of(0.25)));
            let mut sums = [S::splat(S::T::zero()); 24];
            for _ in 0..self.rounds {
                for (i, sum) in sums.iter_mut().enumerate() {
                    if i < S::REGISTERS - 4 {
                        *sum = S::mul_add(a, *sum, b);
                    }
                }
            }
            sums.into_iter().map(|sum| S::sum(sum)).sum()
        }
    }
}

/// Floating-point operations per second that one thread reaches in a loop of multiply-adds without memory.
pub fn flops<T: Scalar>(isa: Isa) -> f64 {
    assert!(isa.is_available(), "this machine does not have {isa:?}");
    with_isa!(isa, T, S => {
        let rounds = 100_000;
        let begin = Instant::now();
        // SAFETY: the instruction set is available.
        let sum = unsafe { <S<T> as Simd>::run(MulAdds::<S<T>> { rounds, vectors: PhantomData }) };
        std::hint::black_box(sum);
        let sums = (<S<T> as Simd>::REGISTERS - 4).min(24);
        (2 * rounds * sums * <S<T> as Simd>::LANES) as f64 / begin.elapsed().as_secs_f64()
    })
}
