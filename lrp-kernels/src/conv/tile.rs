//! The micro-kernel for many output channels: a register tile of pixels × channels.
//!
//! Vectors run along output channels, so weights are packed with the channels of a block next to each other; each pixel of
//! the input is one number, multiplied with all of them at once. With 32 registers, 14 pixels × 2 vectors leave registers for two vectors
//! of weights and one pixel: 28 multiply-adds for 16 loads, which is enough to hide both latency and loads. A tile is summed over
//! source channels and taps, in that order, and leaves the registers after every [`CHAIN`] products; then it is transposed, so that every
//! channel's pixels stand next to each other.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use num_traits::Zero;

use crate::chunks;
use crate::simd::{Simd, Task};

/// Vectors of output channels in a block.
pub(crate) const BLOCK: usize = 2;

/// Products that are summed one after the other before the sum is added to those before it: errors grow with the length of a chain, and
/// without this they would be three times those of other programs.
pub(crate) const CHAIN: usize = 144;

/// Largest number of pixels in a tile of two vectors.
pub(crate) const fn pixels<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 14 } else { 6 }
}

/// One tile: source, weights and target.
#[derive(Debug)]
pub(crate) struct Tile<'a, S: Simd> {
    /// The first pixel in the first source channel; the others follow it.
    pub source: *const S::T,
    /// Number of source channels and the distance between them.
    pub channels: usize,
    pub channel: usize,
    /// Offsets from a pixel to what its taps read.
    pub taps: &'a [usize],
    /// `[channels, taps, B·LANES]`.
    pub weights: *const S::T,
    /// The first pixel in the first output channel; the others follow it.
    pub target: *mut S::T,
    /// Distance between channels of the output.
    pub target_channel: usize,
    /// Number of output channels that exist, at most `B·LANES`: the others are padding and are not written.
    pub target_channels: usize,
}

/// Addresses to prefetch during a tile, and the step for every source channel. Any addresses will do.
pub(crate) type Ahead<T> = [(*const T, usize); 2];

impl<S: Simd> Tile<'_, S> {
    /// Computes `pixels ≤ pixels::<S>()` pixels by as many vectors of channels as `target_channels` needs.
    ///
    /// # Safety
    /// The machine has the instruction set; `source + c·channel + tap + p` is readable for every channel, tap and pixel, the weights
    /// are as long as described, and every existing channel of every pixel of the target is writable and nobody else's.
    pub unsafe fn run(&self, pixels: usize) {
        // SAFETY: the caller's.
        unsafe {
            let ahead = [(std::ptr::null(), 0); 2];
            if self.target_channels > S::LANES {
                self.shaped::<2, true>(pixels, ahead);
            } else {
                self.shaped::<1, true>(pixels, ahead);
            }
        }
    }

    /// The same for a whole block, without the transposition: the target is `[pixel, BLOCK·LANES]`. `ahead` is prefetched meanwhile.
    ///
    /// # Safety
    /// As for [`run`](Self::run), but that many elements of the target are written.
    pub unsafe fn run_by_pixel(&self, pixels: usize, ahead: Ahead<S::T>) {
        // SAFETY: the caller's.
        unsafe { self.shaped::<BLOCK, false>(pixels, ahead) }
    }

    /// # Safety
    /// As for [`run`](Self::run) and [`run_by_pixel`](Self::run_by_pixel).
    unsafe fn shaped<const B: usize, const TURNED: bool>(&self, pixels: usize, ahead: Ahead<S::T>) {
        macro_rules! dispatch {
            ($($p:literal)*) => {
                match pixels {
                    // SAFETY: the caller's.
                    $($p => unsafe { S::run(Shaped::<S, $p, B, TURNED>(self, ahead)) },)*
                    _ => debug_assert!(false, "a tile of {pixels} pixels"),
                }
            };
        }
        dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    }
}

/// A tile of `P` pixels and `B` vectors of channels. By reference: a copy would be read in other units than it was written in, which waits
/// until all that was written before has left the processor.
struct Shaped<'a, 'b, S: Simd, const P: usize, const B: usize, const TURNED: bool>(&'b Tile<'a, S>, Ahead<S::T>);

/// A tile on its way from registers to memory: 16 pixels × 2 vectors of 64 bytes.
#[repr(align(64))]
struct Buffer([MaybeUninit<u8>; 16 * BLOCK * 64]);

impl<S: Simd, const P: usize, const B: usize, const TURNED: bool> Task for Shaped<'_, '_, S, P, B, TURNED> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        if P > pixels::<S>() {
            return; // Never called; spares compiling tiles that do not fit into the registers.
        }
        let Self(tile, mut ahead) = self;
        // SAFETY: all reads and writes are those that the caller of `Tile::run` vouches for; the buffer holds 16·BLOCK vectors.
        unsafe {
            let (mut source, mut weights) = (tile.source, tile.weights);
            let mut buffer = Buffer([MaybeUninit::uninit(); _]);
            let block = if TURNED { buffer.0.as_mut_ptr().cast::<S::T>() } else { tile.target };
            for channels in chunks(tile.channels, (CHAIN / tile.taps.len().max(1)).max(1)) {
                let mut sums = [[S::splat(S::T::zero()); B]; P];
                for _ in channels.clone() {
                    for &tap in tile.taps {
                        let pixel = source.add(tap);
                        let mut w = [S::splat(S::T::zero()); B];
                        for b in 0..B {
                            w[b] = S::load(weights.add(b * S::LANES));
                        }
                        weights = weights.add(B * S::LANES);
                        for p in 0..P {
                            let x = S::splat(*pixel.add(p));
                            for b in 0..B {
                                sums[p][b] = S::mul_add(x, w[b], sums[p][b]);
                            }
                        }
                    }
                    source = source.add(tile.channel);
                    if !TURNED {
                        for (ahead, step) in &mut ahead {
                            S::prefetch(*ahead);
                            *ahead = ahead.wrapping_add(*step);
                        }
                    }
                }
                for p in 0..P {
                    for b in 0..B {
                        let to = block.add((p * B + b) * S::LANES);
                        S::store(to, if channels.start == 0 { sums[p][b] } else { S::add(S::load(to), sums[p][b]) });
                    }
                }
            }
            if !TURNED {
                return;
            }
            for b in 0..B {
                let columns = tile.target_channels.saturating_sub(b * S::LANES).min(S::LANES);
                let target = tile.target.add(b * S::LANES * tile.target_channel);
                let mut p = 0;
                while p < P {
                    let from = block.add((p * B + b) * S::LANES);
                    let rows = (P - p).min(S::LANES);
                    S::transpose(from, B * S::LANES, rows, target.add(p), tile.target_channel, columns);
                    p += S::LANES;
                }
            }
        }
    }
}
