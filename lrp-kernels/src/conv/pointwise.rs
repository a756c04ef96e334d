//! The micro-kernel for one tap and many output channels: a register tile of channels × vectors of pixels.
//!
//! The sums of a [`tile`](super::tile) have to be transposed afterwards, which for few products takes as long as they do. Here vectors run along
//! pixels, so sums leave the registers as they belong; each weight is one number, multiplied with all pixels at once. With 32
//! registers, 8 channels × 3 vectors: 24 multiply-adds for 11 loads. Weights, and the order of sums, are those of tiles: either way gives the same
//! bits.

#![allow(unsafe_code)]

use num_traits::Zero;

use super::tile::CHAIN;
use crate::chunks;
use crate::simd::{Simd, Task};

/// Output channels that are summed together.
pub(super) const CHANNELS: usize = 8;

/// Most vectors of pixels that are summed together.
pub(super) const VECTORS: usize = 3;

/// Whether this is faster than tiles for a row of this number of pixels: if there are registers enough, and not too much of the last vector is
/// for nothing.
pub(super) fn pays<S: Simd>(pixels: usize) -> bool {
    S::REGISTERS >= 32 && pixels.next_multiple_of(S::LANES) * 8 <= pixels * 9
}

/// Some pixels by [`CHANNELS`] channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointwise<S: Simd> {
    /// The first pixel of the first source channel; the others follow it.
    pub source: *const S::T,
    /// Number of source channels and the distance between them.
    pub channels: usize,
    pub channel: usize,
    /// The weight of the first output channel for the first source channel, those of the others following it, and the distance between source
    /// channels.
    pub weights: *const S::T,
    pub weights_step: usize,
    /// The first pixel of the first output channel, and the distance between output channels.
    pub target: *mut S::T,
    pub target_channel: usize,
}

impl<S: Simd> Pointwise<S> {
    /// Computes this number of pixels, at most [`VECTORS`] vectors.
    ///
    /// # Safety
    /// The machine has the instruction set; that many pixels are readable in every source channel, whole vectors are writable in all
    /// [`CHANNELS`] output channels, and as many weights are readable for every source channel.
    pub unsafe fn run(&self, pixels: usize) {
        // SAFETY: the caller's.
        unsafe {
            match pixels.div_ceil(S::LANES) {
                1 => S::run(Shaped::<S, 1>(self, pixels)),
                2 => S::run(Shaped::<S, 2>(self, pixels)),
                VECTORS => S::run(Shaped::<S, VECTORS>(self, pixels)),
                _ => debug_assert!(false, "{pixels} pixels"),
            }
        }
    }
}

/// `V` vectors, for `pixels` pixels.
struct Shaped<'a, S: Simd, const V: usize>(&'a Pointwise<S>, usize);

impl<S: Simd, const V: usize> Task for Shaped<'_, S, V> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        if S::REGISTERS < 32 {
            return; // Never called; spares compiling what does not fit into the registers.
        }
        let last = self.1 - (V - 1) * S::LANES;
        let Pointwise { mut source, channels, channel, mut weights, weights_step, target, target_channel } = *self.0;
        for some in chunks(channels, CHAIN) {
            // SAFETY: all reads and writes are those that the caller of `Pointwise::run` vouches for.
            unsafe {
                let mut sums = [[S::splat(S::T::zero()); V]; CHANNELS];
                for _ in some.clone() {
                    let mut x = [S::splat(S::T::zero()); V];
                    for v in 0..V {
                        x[v] = S::load_first(source.add(v * S::LANES), if v + 1 < V { S::LANES } else { last });
                    }
                    for c in 0..CHANNELS {
                        let w = S::splat(*weights.add(c));
                        for v in 0..V {
                            sums[c][v] = S::mul_add(x[v], w, sums[c][v]);
                        }
                    }
                    (source, weights) = (source.add(channel), weights.add(weights_step));
                }
                for c in 0..CHANNELS {
                    for v in 0..V {
                        let to = target.add(c * target_channel + v * S::LANES);
                        S::store(to, if some.start == 0 { sums[c][v] } else { S::add(S::load(to), sums[c][v]) });
                    }
                }
            }
        }
    }
}
