//! The micro-kernel for few output channels: a register tile of channels × runs of pixels.
//!
//! Vectors run along pixels. Because a strip has no borders, all its rows can be taken as one long run: what is computed in the gaps
//! between rows is thrown away. A vector of inputs is multiplied with one weight for each of up to four output channels;
//! it is made for depthwise convolutions (one) and the adjoint to an image (three).

#![allow(unsafe_code)]

use num_traits::Zero;

use crate::simd::{Simd, Task};

/// Output channels in a block.
pub(super) const BLOCK: usize = 4;

/// Largest number of vectors in a tile of this number of channels.
pub(super) const fn vectors<S: Simd>(channels: usize) -> usize {
    match (S::REGISTERS >= 32, channels) {
        (true, 1 | 2) => 8,
        (true, 3) => 7,
        (true, _) => 6,
        (false, 1) => 8,
        (false, 2) => 4,
        (false, 3) => 3,
        (false, _) => 2,
    }
}

/// Largest number of elements in a tile of any number of channels.
pub(super) const fn longest<S: Simd>() -> usize {
    8 * S::LANES
}

/// One run: source, weights and target.
#[derive(Debug)]
pub(super) struct Run<'a, S: Simd> {
    /// The first pixel in the first source channel; the others follow it.
    pub source: *const S::T,
    /// Number of source channels and the distance between them.
    pub channels: usize,
    pub channel: usize,
    /// Offsets from a pixel to what its taps read.
    pub taps: &'a [usize],
    /// `[channels, taps, target_channels]`.
    pub weights: *const S::T,
    /// The first pixel in the first output channel.
    pub target: *mut S::T,
    /// Distance between channels of the output.
    pub target_channel: usize,
    /// Number of output channels, at most [`BLOCK`].
    pub target_channels: usize,
}

impl<S: Simd> Run<'_, S> {
    /// Computes `vectors ≤ vectors::<S>(target_channels)` vectors of pixels.
    ///
    /// # Safety
    /// The machine has the instruction set; `source + c·channel + tap + p` is readable for every channel, tap and pixel of the
    /// vectors, the weights are as long as described, and `vectors` vectors of every channel of the target are writable.
    pub unsafe fn run(self, vectors: usize) {
        macro_rules! dispatch {
            ($c:literal: $($v:literal)*) => {
                match vectors {
                    // SAFETY: the caller's.
                    $($v => unsafe { S::run(Shaped::<S, $c, $v>(self)) },)*
                    _ => debug_assert!(false, "a run of {vectors} vectors"),
                }
            };
        }
        match self.target_channels {
            1 => dispatch!(1: 1 2 3 4 5 6 7 8),
            2 => dispatch!(2: 1 2 3 4 5 6 7 8),
            3 => dispatch!(3: 1 2 3 4 5 6 7),
            4 => dispatch!(4: 1 2 3 4 5 6),
            _ => debug_assert!(false, "a run of {} channels", self.target_channels),
        }
    }
}

/// A run of `C` channels and `V` vectors of pixels.
struct Shaped<'a, S: Simd, const C: usize, const V: usize>(Run<'a, S>);

impl<S: Simd, const C: usize, const V: usize> Task for Shaped<'_, S, C, V> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        if V > vectors::<S>(C) {
            return; // Never called; spares compiling tiles that do not fit into the registers.
        }
        let run = self.0;
        // SAFETY: all reads and writes are those that the caller of `Run::run` vouches for.
        unsafe {
            let mut sums = [[S::splat(S::T::zero()); V]; C];
            let (mut source, mut weights) = (run.source, run.weights);
            for _ in 0..run.channels {
                for &tap in run.taps {
                    let pixels = source.add(tap);
                    let mut x = [S::splat(S::T::zero()); V];
                    for v in 0..V {
                        x[v] = S::load(pixels.add(v * S::LANES));
                    }
                    for c in 0..C {
                        let w = S::splat(*weights.add(c));
                        for v in 0..V {
                            sums[c][v] = S::mul_add(x[v], w, sums[c][v]);
                        }
                    }
                    weights = weights.add(C);
                }
                source = source.add(run.channel);
            }
            for c in 0..C {
                for v in 0..V {
                    S::store(run.target.add(c * run.target_channel + v * S::LANES), sums[c][v]);
                }
            }
        }
    }
}
