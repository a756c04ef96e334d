//! The micro-kernel for sources that are zero in many places: what is zero is left out.
//!
//! Outputs of ReLUs are, and relevance where a ReLU is off or a pool took another element. Which elements differs from pixel to pixel, so a
//! pixel is summed by itself: vectors run along output channels, as in a [`tile`](super::tile), but of several blocks, so that each number
//! that is not zero is worth up to eight multiply-adds. Where those numbers are is found for some source channels at a time, as many as have
//! at most 64 products with an output: their places are the bits of one word, and their weights stay in the cache while the pixels pass by.

#![allow(unsafe_code)]

use num_traits::Zero;

use super::weights::{Direction, Shape, shape, sizes};
use super::{Algorithm, ConvKernel, tile};
use crate::kernels::simd::{Simd, Task};
use crate::kernels::{CACHE_LINE, chunks};
use crate::scalar::Scalar;

/// Most taps of a kernel that this works for: the bits of a word.
pub(super) const MOST_TAPS: usize = 64;

/// Blocks of output channels that are taken together.
pub(super) const BLOCKS: usize = 4;

/// Columns of outputs that are taken together, at most.
pub(super) const COLUMNS: usize = 256;

/// Multiply-adds for a sample below which there is too little to divide among threads.
const WORK: usize = 12 << 20;

/// Whether a convolution can be taken this way.
pub(super) fn applies<S: Simd>(kernel: &ConvKernel<S::T>, direction: Direction) -> bool {
    kernel.window.taps() <= MOST_TAPS && shape::<S>(kernel, direction) == Shape::Tiles
}

/// The share of elements that are not zero below which this is faster than the way that is taken otherwise; by what it takes in VGG-16 and
/// ResNet-50. Threads must not decide it: the order of sums is another.
pub(super) fn limit<S: Simd>(kernel: &ConvKernel<S::T>, direction: Direction, way: Algorithm) -> f64 {
    let (window, (sources, targets)) = (&kernel.window, sizes(kernel, direction));
    let work = window.output_len() * window.taps() * sources * targets * kernel.groups;
    match way {
        _ if targets / kernel.stacked < 2 * tile::BLOCK * S::LANES || work < WORK => 0.0,
        Algorithm::Direct => 0.6,
        // On small maps, reading its weights takes longer than making the products.
        Algorithm::Winograd2 if window.output_len() < 10 * 10 => 0.6,
        Algorithm::Winograd2 => 0.25,
        Algorithm::Winograd4 => 0.15,
    }
}

/// The share of elements that are not zero, by a look at some of them.
pub(super) fn share<T: Scalar>(sample: &[T]) -> f64 {
    /// Elements that are looked at one after the other, and the distance from one such piece to the next.
    const PIECE: usize = 64;
    const STEP: usize = 16 * PIECE;
    let pieces = || sample.chunks(STEP).map(|piece| &piece[..piece.len().min(PIECE)]);
    let there: u32 = pieces().map(|piece| piece.iter().map(|v| u32::from(!v.is_zero())).sum::<u32>()).sum();
    f64::from(there) / pieces().map(<[T]>::len).sum::<usize>().max(1) as f64
}

/// Some rows of pixels by some blocks of channels: what they read and where they go.
#[derive(Debug)]
pub(super) struct Sparse<'a, S: Simd> {
    /// Place of the first pixel in the first source channel.
    pub source: *const S::T,
    /// Number of source channels and the distance between them.
    pub channels: usize,
    pub channel: usize,
    /// Offsets from a pixel to what its taps read: at least one, at most [`MOST_TAPS`].
    pub taps: &'a [usize],
    /// Rows and columns of pixels (at most [`COLUMNS`]), and the distance between rows.
    pub rows: usize,
    pub columns: usize,
    pub pitch: usize,
    /// `[block, channels, taps, V·LANES]` for blocks of `V` vectors, `block` elements from one to the next.
    pub weights: *const S::T,
    pub block: usize,
    /// At least [`Sparse::words`].
    pub words: &'a mut [u64],
    /// `[row, column, block, V·LANES]`.
    pub sums: *mut S::T,
}

impl<S: Simd> Sparse<'_, S> {
    /// Computes one block of one vector, or up to [`BLOCKS`] blocks of two.
    ///
    /// # Safety
    /// The machine has the instruction set; in each source channel everything from the first element that is read to the last one is
    /// readable, the weights are as long as described, and the sums are writable.
    pub unsafe fn run(self, vectors: usize, blocks: usize) {
        // SAFETY: the caller's.
        unsafe {
            match (vectors, blocks) {
                (1, 1) => S::run(Shaped::<S, 1, 1>(self)),
                (2, 1) => S::run(Shaped::<S, 2, 1>(self)),
                (2, 2) => S::run(Shaped::<S, 2, 2>(self)),
                (2, 3) => S::run(Shaped::<S, 2, 3>(self)),
                (2, 4) => S::run(Shaped::<S, 2, 4>(self)),
                _ => debug_assert!(false, "{blocks} blocks of {vectors} vectors"),
            }
        }
    }

    /// Elements of a source channel from the first to the last one that so many pixels read.
    pub fn words(taps: &[usize], rows: usize, columns: usize, pitch: usize) -> usize {
        let (first, last) = ends(taps);
        last - first + (rows - 1) * pitch + columns
    }
}

/// The smallest and the largest offset.
#[inline(always)]
fn ends(taps: &[usize]) -> (usize, usize) {
    taps.iter().fold((usize::MAX, 0), |(first, last), &tap| (first.min(tap), last.max(tap)))
}

/// `N` blocks of `V` vectors.
struct Shaped<'a, S: Simd, const V: usize, const N: usize>(Sparse<'a, S>);

impl<S: Simd, const V: usize, const N: usize> Task for Shaped<'_, S, V, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Sparse { source, channels, channel, taps, rows, columns, pitch, weights, block, words, sums } = self.0;
        let first = ends(taps).0;
        let words = &mut words[..Sparse::<S>::words(taps, rows, columns, pitch)];
        let mut pixels = [0u64; COLUMNS];
        let line = CACHE_LINE / size_of::<S::T>();
        for some in chunks(channels, MOST_TAPS / taps.len()) {
            // SAFETY: all reads and writes are those that the caller of `Sparse::run` vouches for.
            unsafe {
                let source = source.add(some.start * channel);
                let weights = weights.add(some.start * taps.len() * V * S::LANES);
                // Bit `i·taps + t` of a pixel: what channel `i` has at tap `t` is not zero. First without regard to taps.
                words.fill(0);
                let mut offsets = [0; MOST_TAPS];
                for i in 0..some.len() {
                    let from = source.add(i * channel + first);
                    let bit = 1u64 << (i * taps.len());
                    for (j, word) in words.iter_mut().enumerate() {
                        *word |= if (*from.add(j)).is_zero() { 0 } else { bit };
                    }
                    for (t, &tap) in taps.iter().enumerate() {
                        offsets[i * taps.len() + t] = i * channel + tap;
                    }
                }
                // While pixels pass by, the next weights are fetched: some lines of each block for every pixel.
                let next = weights.wrapping_add(some.len() * taps.len() * V * S::LANES);
                let lines = (some.len() * taps.len() * V * S::LANES).div_ceil(line);
                let lines_at_once = lines.div_ceil(rows * columns);
                for row in 0..rows {
                    let pixels = &mut pixels[..columns];
                    pixels.fill(0);
                    for (t, &tap) in taps.iter().enumerate() {
                        let words = &words[row * pitch + tap - first..][..columns];
                        pixels.iter_mut().zip(words).for_each(|(pixel, &word)| *pixel |= word << t);
                    }
                    let (source, sums) = (source.add(row * pitch), sums.add(row * columns * N * V * S::LANES));
                    for (column, &pixel) in pixels.iter().enumerate() {
                        let (source, sums) = (source.add(column), sums.add(column * N * V * S::LANES));
                        let mut sum = [[S::splat(S::T::zero()); V]; N];
                        let fetched = (row * columns + column) * lines_at_once;
                        for i in fetched..(fetched + lines_at_once).min(lines) {
                            for n in 0..N {
                                S::prefetch(next.wrapping_add(n * block + i * line));
                            }
                        }
                        let mut left = pixel;
                        while left != 0 {
                            let product = left.trailing_zeros() as usize;
                            left &= left - 1;
                            let x = S::splat(*source.add(*offsets.get_unchecked(product)));
                            let weights = weights.add(product * V * S::LANES);
                            for n in 0..N {
                                for v in 0..V {
                                    sum[n][v] =
                                        S::mul_add(x, S::load(weights.add(n * block + v * S::LANES)), sum[n][v]);
                                }
                            }
                        }
                        for n in 0..N {
                            for v in 0..V {
                                let to = sums.add((n * V + v) * S::LANES);
                                S::store(to, if some.start == 0 { sum[n][v] } else { S::add(S::load(to), sum[n][v]) });
                            }
                        }
                    }
                }
            }
        }
    }
}
