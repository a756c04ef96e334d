//! The micro-kernel for activation sparsity: it skips zeros of the source.
//!
//! Outputs of ReLUs are sparse, and so is relevance at inactive ReLUs and behind max pooling. The nonzero elements differ from pixel to pixel,
//! so each pixel is summed by itself: vectors run along output channels, as in a [`tile`](super::tile), but of several blocks, so that a
//! nonzero number is used for up to eight multiply-adds. A nonzero mask of 64 bits is computed for as many source channels at a time as have at
//! most 64 products with an output; their weights stay in the cache while the pixels pass by.

#![allow(unsafe_code)]

use num_traits::Zero;

use super::weights::{Direction, Shape, shape, sizes};
use super::{Algorithm, ConvKernel, tile};
use crate::simd::scalar::Scalar;
use crate::simd::{Simd, Task};
use crate::{CACHE_LINE, chunks};

/// Maximum number of taps: the bits of a word.
pub(super) const MOST_TAPS: usize = 64;

/// Blocks of output channels that are taken together.
pub(super) const BLOCKS: usize = 4;

/// Columns of outputs that are taken together, at most.
pub(super) const COLUMNS: usize = 256;

/// Multiply-adds for a sample below which there is too little to divide among threads.
const WORK: usize = 12 << 20;

/// Whether this kernel can compute a convolution.
pub(super) fn applies<S: Simd>(kernel: &ConvKernel<S::T>, direction: Direction) -> bool {
    kernel.window.taps() <= MOST_TAPS && shape::<S>(kernel, direction) == Shape::Tiles
}

/// The share of nonzero elements below which this is faster than the other algorithm, by measurements in VGG-16 and ResNet-50. It must not
/// depend on threads: the order of summation differs.
pub(super) fn limit<S: Simd>(kernel: &ConvKernel<S::T>, direction: Direction, way: Algorithm) -> f64 {
    let (window, (sources, targets)) = (&kernel.window, sizes(kernel, direction));
    let work = window.output_len() * window.taps() * sources * targets * kernel.groups;
    match way {
        _ if targets / kernel.parts < 2 * tile::BLOCK * S::LANES || work < WORK => 0.0,
        Algorithm::Direct => 0.6,
        // On small maps, reading its weights takes longer than making the products.
        Algorithm::Winograd2 if window.output_len() < 10 * 10 => 0.6,
        Algorithm::Winograd2 => 0.25,
        Algorithm::Winograd4 => 0.15,
    }
}

/// The share of nonzero elements, estimated from a sample of them.
pub(super) fn share<T: Scalar>(sample: &[T]) -> f64 {
    /// Elements of a contiguous segment that is examined, the distance from one segment to the next, and the maximum number of segments.
    const SEGMENT: usize = 64;
    const STEP: usize = 16 * SEGMENT;
    const SEGMENTS: usize = 128;
    // One segment more than an even division: that might examine the same row of every channel.
    let step = (sample.len() / SEGMENTS + SEGMENT).max(STEP);
    let segments = || sample.chunks(step).map(|segment| &segment[..segment.len().min(SEGMENT)]);
    let there: u32 = segments().map(|segment| segment.iter().map(|v| u32::from(!v.is_zero())).sum::<u32>()).sum();
    f64::from(there) / segments().map(<[T]>::len).sum::<usize>().max(1) as f64
}

/// Some rows of pixels by some blocks of channels: source, weights and target.
#[derive(Debug)]
pub(super) struct Sparse<'a, S: Simd> {
    /// The first pixel in the first source channel.
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

    /// Number of elements of a source channel from the first to the last one that these rows and columns read.
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
        let words = &mut words[..Sparse::<S>::words(taps, rows, columns, pitch)];
        let line = CACHE_LINE / size_of::<S::T>();
        for some in chunks(channels, MOST_TAPS / taps.len()) {
            let products = some.len() * taps.len();
            let weights = weights.wrapping_add(some.start * taps.len() * V * S::LANES);
            let lines = (products * V * S::LANES).div_ceil(line);
            let pixels = Pixels::<S, V, N> {
                rows,
                columns,
                pitch,
                weights,
                block,
                next: weights.wrapping_add(products * V * S::LANES),
                lines,
                lines_at_once: lines.div_ceil(rows * columns),
                first: some.start == 0,
                sums,
            };
            // SAFETY: all reads and writes are those that the caller of `Sparse::run` vouches for.
            unsafe {
                let source = source.add(some.start * channel);
                match *taps {
                    [tap] => pixels.run_pointwise(source.add(tap), some.len(), channel, words),
                    _ => pixels.run(source, some.len(), channel, taps, words),
                }
            }
        }
    }
}

/// Adds the products of some source channels to the sums of all pixels.
struct Pixels<S: Simd, const V: usize, const N: usize> {
    /// As of [`Sparse`], the weights from the first of these channels on.
    rows: usize,
    columns: usize,
    pitch: usize,
    weights: *const S::T,
    block: usize,
    /// Weights that are read next, the number of cache lines that they take in each block, and how many of those are fetched with a pixel.
    next: *const S::T,
    lines: usize,
    lines_at_once: usize,
    /// Whether these are the first channels, so that there are no sums yet.
    first: bool,
    sums: *mut S::T,
}

impl<S: Simd, const V: usize, const N: usize> Pixels<S, V, N> {
    /// Goes through the pixels of which each reads one element of a channel, the first one from `source` on.
    #[inline(always)]
    unsafe fn run_pointwise(&self, source: *const S::T, channels: usize, channel: usize, words: &mut [u64]) {
        // SAFETY: the caller's.
        unsafe {
            for places in chunks(words.len(), S::LANES) {
                S::nonzero(source.add(places.start), channel, channels, &mut words[places]);
            }
            for row in 0..self.rows {
                for (column, &bits) in words[row * self.pitch..][..self.columns].iter().enumerate() {
                    let source = source.add(row * self.pitch + column);
                    // Computed, not looked up: there is enough to load.
                    self.sum(row * self.columns + column, bits, |product| source.add(product * channel));
                }
            }
        }
    }

    /// Goes through the pixels of which each reads several elements of a channel.
    #[inline(always)]
    unsafe fn run(&self, source: *const S::T, channels: usize, channel: usize, taps: &[usize], words: &mut [u64]) {
        let first = ends(taps).0;
        let mut pixels = [0u64; COLUMNS];
        let pixels = &mut pixels[..self.columns];
        // SAFETY: the caller's.
        unsafe {
            // Bit `i·taps + t` of a pixel: channel `i` is nonzero at tap `t`. First without regard to taps.
            words.fill(0);
            let mut offsets = [0; MOST_TAPS];
            for i in 0..channels {
                let from = source.add(i * channel + first);
                let bit = 1u64 << (i * taps.len());
                for (j, word) in words.iter_mut().enumerate() {
                    *word |= if (*from.add(j)).is_zero() { 0 } else { bit };
                }
                for (t, &tap) in taps.iter().enumerate() {
                    offsets[i * taps.len() + t] = i * channel + tap;
                }
            }
            for row in 0..self.rows {
                pixels.fill(0);
                for (t, &tap) in taps.iter().enumerate() {
                    let words = &words[row * self.pitch + tap - first..][..self.columns];
                    pixels.iter_mut().zip(words).for_each(|(bits, &word)| *bits |= word << t);
                }
                for (column, &bits) in pixels.iter().enumerate() {
                    let source = source.add(row * self.pitch + column);
                    let number = |product: usize| source.add(*offsets.get_unchecked(product));
                    self.sum(row * self.columns + column, bits, number);
                }
            }
        }
    }

    /// Adds to the sums of a pixel the products whose bits are set; `number` gives the address of the first factor of each.
    #[inline(always)]
    unsafe fn sum(&self, pixel: usize, bits: u64, number: impl Fn(usize) -> *const S::T) {
        let line = CACHE_LINE / size_of::<S::T>();
        let fetched = pixel * self.lines_at_once;
        // SAFETY: the caller's.
        unsafe {
            // While pixels pass by, the next weights are fetched: some lines of each block for every pixel.
            for i in fetched..(fetched + self.lines_at_once).min(self.lines) {
                for n in 0..N {
                    S::prefetch(self.next.wrapping_add(n * self.block + i * line));
                }
            }
            let mut sum = [[S::splat(S::T::zero()); V]; N];
            let mut left = bits;
            while left != 0 {
                let product = left.trailing_zeros() as usize;
                left &= left - 1;
                let x = S::splat(*number(product));
                let weights = self.weights.add(product * V * S::LANES);
                for n in 0..N {
                    let weights = S::at(weights, n * self.block);
                    for v in 0..V {
                        sum[n][v] = S::mul_add(x, S::load(weights.add(v * S::LANES)), sum[n][v]);
                    }
                }
            }
            let sums = self.sums.add(pixel * N * V * S::LANES);
            for n in 0..N {
                for v in 0..V {
                    let to = sums.add((n * V + v) * S::LANES);
                    S::store(to, if self.first { sum[n][v] } else { S::add(S::load(to), sum[n][v]) });
                }
            }
        }
    }
}
