//! Winograd's way: a patch of outputs of a 3×3 convolution for fewer multiplications than its definition has.
//!
//! Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks": `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A` for a patch `d` of
//! inputs and a kernel `g`, with the transforms in [`patch`](super::patch). Summed over channels, the products are as many matrix
//! products, and those are done by the [`tile`] kernel.
//!
//! As many patches as fit into a tile are a *panel*: a part of a row of patches, or some short rows. Their transforms stand in the order in
//! which a tile reads them, one channel after the other; vectors run along patches. Sums leave a tile patch by patch, with vectors along output
//! channels, and only the outputs that are made from them are transposed.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use num_traits::Zero;

use super::epilogue::ElementEpilogue;
use super::patch::{FourByFour, MOST_IN, MOST_OUT, Patch, TwoByTwo};
use super::schedule::Sides;
use super::strip::{copy, zeros};
use super::weights::{Direction, sizes};
use super::{Algorithm, ConvKernel, tile};
use crate::aligned::Aligned;
use crate::simd::scalar::Scalar;
use crate::simd::{Simd, Task};
use crate::weights::Stored;
use crate::window::Window;
use crate::{CACHE_LINE, Scratch, Shared, chunks, each, each_chunk, parts, uninit};

/// A convolution, one way, with transformed weights.
#[derive(Debug)]
pub(super) struct Packed<T> {
    /// Whether patches have two by two outputs, not four by four.
    small: bool,
    depths: usize,
    rows: Axis,
    columns: Axis,
    /// `[group, block of output channels, product, source channel, channel of the block]`.
    weights: Aligned<T>,
    sources: usize,
    targets: usize,
    groups: usize,
    block: usize,
}

/// The reads and writes along an axis.
#[derive(Debug, Clone, Copy)]
struct Axis {
    source: usize,
    /// Zeros before the source that the first patch reads.
    before: usize,
    outputs: usize,
}

/// Whether a convolution over this window can be done this way.
pub(super) fn applies(window: &Window) -> bool {
    let [d, h, w] = &window.axes;
    let three = |axis: &crate::window::Axis| axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1;
    let through = d.kernel == 1 && d.stride == 1 && d.pad_begin == 0 && d.pad_end == 0;
    through && three(h) && three(w) && h.pad_begin <= 2 && w.pad_begin <= 2
}

/// The fastest way, by `cargo bench -p lrp-core`. With few channels, transforming patches costs more than the products do; with few
/// patches, reading the transformed weights does.
pub(super) fn fastest<T>(kernel: &ConvKernel<T>) -> Algorithm {
    let channels = kernel.inputs.min(kernel.outputs) / kernel.groups;
    let [_, h, w] = &kernel.window.axes;
    match h.output.min(w.output) {
        _ if !applies(&kernel.window) || channels < 32 => Algorithm::Direct,
        24.. => Algorithm::Winograd4,
        7.. => Algorithm::Winograd2,
        _ => Algorithm::Direct,
    }
}

impl<T: Scalar> Packed<T> {
    /// Transforms and packs the weights of a kernel to which this [applies].
    pub fn new<S: Simd<T = T>>(kernel: &ConvKernel<T>, direction: Direction, small: bool) -> Self {
        if small {
            Self::with_patches::<S, TwoByTwo>(kernel, direction)
        } else {
            Self::with_patches::<S, FourByFour>(kernel, direction)
        }
    }

    fn with_patches<S: Simd<T = T>, P: Patch>(kernel: &ConvKernel<T>, direction: Direction) -> Self {
        let [d, h, w] = &kernel.window.axes;
        let (sources, targets) = sizes(kernel, direction);
        let axis = |axis: &crate::window::Axis| match direction {
            Direction::Forward => Axis { source: axis.input, before: axis.pad_begin, outputs: axis.output },
            // The first output gets something through the last tap first.
            Direction::Adjoint => Axis { source: axis.output, before: 2 - axis.pad_begin, outputs: axis.input },
        };
        let block = tile::BLOCK * S::LANES;
        let blocks = targets.div_ceil(block);
        let mut weights = Aligned::zeros(kernel.groups * blocks * P::PRODUCTS * sources * block);
        each_chunk(&mut weights, P::PRODUCTS * sources * block, 1, &|index, packed| {
            let (group, first) = (index / blocks, index % blocks * block);
            for target in first..(first + block).min(targets) {
                for source in 0..sources {
                    let transformed = transform::<T, P>(kernel.taps(direction, group, target, source), direction);
                    for (product, v) in transformed.enumerate() {
                        packed[(product * sources + source) * block + target - first] = T::of(v);
                    }
                }
            }
        });
        let (small, groups) = (P::OUT == TwoByTwo::OUT, kernel.groups);
        Self { small, depths: d.input, rows: axis(h), columns: axis(w), weights, sources, targets, groups, block }
    }

    /// Number of blocks of output channels of a group.
    fn blocks(&self) -> usize {
        self.targets.div_ceil(self.block)
    }
}

/// `G g Gᵀ`, in f64; the adjoint's kernel is reversed.
fn transform<T: Scalar, P: Patch>(taps: &[Stored<T>], direction: Direction) -> impl Iterator<Item = f64> {
    let tap = move |row: usize, column: usize| match direction {
        Direction::Forward => taps[3 * row + column].get().wide(),
        Direction::Adjoint => taps[8 - 3 * row - column].get().wide(),
    };
    P::G.iter()
        .flat_map(move |a| P::G.iter().map(move |b| (0..9).map(|i| a[i / 3] * tap(i / 3, i % 3) * b[i % 3]).sum()))
}

/// Bytes of packed weights of a group from which on they are read once for whole images, not once for every strip.
const HEAVY: usize = 4 << 20;
/// Bytes of transformed patches of whole images at once.
const ROOM: usize = 16 << 20;
/// Bytes of transformed patches of a strip: with the weights and sums of a block, the second-level cache.
const STRIP: usize = 768 << 10;
/// Panels that are multiplied with the same weights one after the other, at most, if a row of patches has no more.
const PANELS: usize = 4;
/// Blocks of output channels that are multiplied with the same patches one after the other.
const BLOCKS: usize = 2;

/// Convolves a batch `[samples, groups·sources, source_len]`.
pub(super) fn convolve<S: Simd>(
    packed: &Packed<S::T>,
    sides: Sides,
    source: &[S::T],
    epilogue: ElementEpilogue<'_, S::T>,
) -> Vec<S::T> {
    if packed.small {
        convolve_by::<S, TwoByTwo>(packed, sides, source, epilogue)
    } else {
        convolve_by::<S, FourByFour>(packed, sides, source, epilogue)
    }
}

fn convolve_by<S: Simd, P: Patch>(
    packed: &Packed<S::T>,
    sides: Sides,
    source: &[S::T],
    epilogue: ElementEpilogue<'_, S::T>,
) -> Vec<S::T> {
    let target_len: usize = sides.target.iter().product();
    let channels = source.len() / (packed.sources * sides.source_len).max(1) * packed.targets;
    let mut target = uninit(channels * target_len);
    let panels = Panels::new::<S, P>(packed);
    let (bands, across) = (panels.bands, panels.across);
    let images = channels / packed.targets * packed.depths;
    let work = Work::<S, P> {
        patch: PhantomData,
        packed,
        panels,
        source_len: sides.source_len,
        target_len,
        source,
        target: Shared::new(target.as_mut_ptr(), channels * target_len),
        epilogue,
    };

    let threads = rayon::current_num_threads();
    let target_jobs = if threads == 1 { 1 } else { (4 * threads).div_ceil(images.max(1)) };
    let fitting = (STRIP / (work.panels.panel * size_of::<S::T>())).max(PANELS);
    let strips = bands.div_ceil((fitting / across).clamp(1, bands)).max(target_jobs.min(bands * across / 2).min(bands));
    let weights = P::PRODUCTS * packed.sources * packed.targets * size_of::<S::T>();
    if strips < target_jobs || weights > HEAVY {
        work.by_images(images);
    } else {
        work.by_strips(images, bands.div_ceil(strips));
    }
    // SAFETY: that many elements were allocated, and all of them have been written: every row and column of every channel belongs to
    // one patch.
    unsafe { target.set_len(channels * target_len) };
    target
}

/// The division of the patches of an image into panels: into *bands* of one or more rows, and these into parts.
#[derive(Debug)]
struct Panels {
    /// Rows and columns of patches.
    rows: usize,
    columns: usize,
    bands: usize,
    /// Panels in a band.
    across: usize,
    /// Distances between channels, products and panels: `[panel, product, channel, patch]`, with padding between products, because what is a
    /// multiple of 4096 bytes away pushes each other out of the cache.
    channel: usize,
    product: usize,
    panel: usize,
}

impl Panels {
    fn new<S: Simd, P: Patch>(packed: &Packed<S::T>) -> Self {
        let [rows, columns] = [packed.rows, packed.columns].map(|axis| axis.outputs.div_ceil(P::OUT));
        let most = tile::pixels::<S>();
        let (bands, across) =
            if columns > most { (rows, columns.div_ceil(most)) } else { (rows.div_ceil(most / columns), 1) };
        let channel = most.next_multiple_of(S::LANES);
        let product = packed.sources * channel + CACHE_LINE / size_of::<S::T>();
        Self { rows, columns, bands, across, channel, product, panel: P::PRODUCTS * product }
    }

    /// The rows of patches of a band.
    fn rows(&self, band: usize) -> Range<usize> {
        band * self.rows / self.bands..(band + 1) * self.rows / self.bands
    }

    /// The columns of patches of a panel.
    fn columns(&self, across: usize) -> Range<usize> {
        across * self.columns / self.across..(across + 1) * self.columns / self.across
    }
}

/// The source. An image is one depth of one group of one sample.
struct Work<'a, S: Simd, P> {
    patch: PhantomData<P>,
    packed: &'a Packed<S::T>,
    panels: Panels,
    source_len: usize,
    target_len: usize,
    source: &'a [S::T],
    target: Shared<S::T>,
    epilogue: ElementEpilogue<'a, S::T>,
}

/// The panels of some bands.
#[derive(Clone, Copy)]
struct Transformed<T> {
    start: Shared<T>,
    /// Where the first band begins, and which one it is.
    first: usize,
    band: usize,
}

impl<S: Simd, P: Patch> Work<'_, S, P> {
    /// Strip by strip: each is transformed and multiplied while it is in the cache.
    fn by_strips(&self, images: usize, strip: usize) {
        let Panels { bands, across, panel, .. } = self.panels;
        let strips = bands.div_ceil(strip);
        let [products, outputs, stage] = self.for_products(strip);
        let lengths = [self.for_lines(), products, outputs, stage, strip * across * panel];
        each(images * strips, 1, &|job| {
            let mut memory = Scratch::new(lengths);
            let [lines, products, outputs, stage, patches] = memory.slices(lengths);
            let (image, first) = (job / strips, job % strips * strip);
            let bands = first..(first + strip).min(bands);
            let start = Shared::new(patches.as_mut_ptr(), patches.len());
            let to = Transformed { start, first: 0, band: first };
            self.transform(image, bands.clone(), 0..self.packed.sources, lines, to);
            for blocks in parts(0..self.packed.blocks(), BLOCKS) {
                self.multiply(image, blocks, bands.clone(), to, [products, outputs, stage]);
            }
        });
    }

    /// Whole images: first all patches are transformed, and then multiplied with some blocks of weights after the other. Weights are read
    /// once, patches once for these blocks.
    fn by_images(&self, images: usize) {
        let Panels { bands, across, panel, .. } = self.panels;
        let (sources, size) = (self.packed.sources, bands * across * panel);
        let together = (ROOM / (size * size_of::<S::T>())).clamp(1, images.max(1));
        let mut patches: Vec<S::T> = uninit(together * size);
        let start = Shared::new(patches.as_mut_ptr(), together * size);
        let segments = bands.div_ceil((PANELS / across).clamp(1, bands));
        let segment = |index: usize| index * bands / segments..(index + 1) * bands / segments;
        let groups = self.packed.blocks().div_ceil(BLOCKS);
        for some in chunks(images, together) {
            let to = |image: usize| Transformed { start, first: image * size, band: 0 };
            let target_jobs = (4 * rayon::current_num_threads()).div_ceil(some.len() * bands).min(sources);
            let channels = sources.div_ceil(target_jobs);
            let parts = sources.div_ceil(channels);
            let lengths = [self.for_lines()];
            each(some.len() * bands * parts, 1, &|job| {
                let mut memory = Scratch::new(lengths);
                let (image, band, first) = (job / (bands * parts), job / parts % bands, job % parts * channels);
                let channels = first..(first + channels).min(sources);
                let [lines] = memory.slices(lengths);
                self.transform(some.start + image, band..band + 1, channels, lines, to(image));
            });
            let lengths = self.for_products(bands.div_ceil(segments));
            each(groups * some.len() * segments, 1, &|job| {
                let mut memory = Scratch::new(lengths);
                let (group, image, bands) =
                    (job / (some.len() * segments), job / segments % some.len(), segment(job % segments));
                let blocks = group * BLOCKS..((group + 1) * BLOCKS).min(self.packed.blocks());
                self.multiply(some.start + image, blocks, bands, to(image), memory.slices(lengths));
            });
        }
    }

    /// Size of the rows of inputs of a row of patches.
    fn for_lines(&self) -> usize {
        P::IN * self.line()
    }

    /// Distance between them: patches, and a vector of patches and a vector more.
    fn line(&self) -> usize {
        P::OUT * (self.panels.columns + S::LANES) + 2 * S::LANES
    }

    /// Sizes of the sums `[block, panel, product, patch, channel]` of some bands, of the outputs `[row, column, channel]` of a row of patches of
    /// a panel, and of the same transposed.
    fn for_products(&self, bands: usize) -> [usize; 3] {
        let tile = tile::pixels::<S>() * self.packed.block;
        [BLOCKS * bands * self.panels.across * P::PRODUCTS * tile, P::OUT * P::OUT * tile, P::OUT * P::OUT * tile]
    }

    /// Transforms the patches of some bands and channels of an image.
    fn transform(
        &self,
        image: usize,
        bands: Range<usize>,
        channels: Range<usize>,
        lines: &mut [S::T],
        to: Transformed<S::T>,
    ) {
        let packed = self.packed;
        let len = packed.rows.source * packed.columns.source;
        let first = image / packed.depths * packed.sources * self.source_len + image % packed.depths * len;
        for band in bands {
            let place = to.first + (band - to.band) * self.panels.across * self.panels.panel;
            let channel = channels.start * self.panels.channel;
            let inputs = Inputs::<S, P> {
                work: self,
                source: &self.source[first + channels.start * self.source_len..],
                channels: channels.len(),
                band,
                lines: &mut *lines,
                patches: to.start.at(place + channel, self.panels.across * self.panels.panel - channel),
            };
            // SAFETY: the instruction set is available, or `S` would not have been chosen. Nobody else writes patches of these channels of
            // this band.
            unsafe { S::run(inputs) };
        }
    }

    /// Makes the products of some blocks of output channels for some bands of an image, and the outputs from them.
    fn multiply(
        &self,
        image: usize,
        blocks: Range<usize>,
        bands: Range<usize>,
        from: Transformed<S::T>,
        [products, outputs, stage]: [&mut [S::T]; 3],
    ) {
        self.make_products(image, blocks.clone(), bands.clone(), from, products);
        let (packed, across) = (self.packed, self.panels.across);
        let (sample_and_group, depth) = (image / packed.depths, image % packed.depths);
        let group = sample_and_group % packed.groups;
        let sums = P::PRODUCTS * tile::pixels::<S>() * packed.block;
        let mut panels = products.chunks(sums);
        for block in blocks {
            for (which, sums) in panels.by_ref().take(bands.len() * across).enumerate() {
                let first = sample_and_group * packed.targets + block * packed.block;
                let outputs = Outputs::<S, P> {
                    work: self,
                    sums,
                    outputs: &mut *outputs,
                    stage: &mut *stage,
                    rows: self.panels.rows(bands.start + which / across),
                    columns: self.panels.columns(which % across),
                    channels: (packed.targets - block * packed.block).min(packed.block),
                    channel: group * packed.targets + block * packed.block,
                    first: first * self.target_len + depth * packed.rows.outputs * packed.columns.outputs,
                };
                // SAFETY: the instruction set is available, and nobody else writes these rows and columns of these channels.
                unsafe { S::run(outputs) };
            }
        }
    }

    /// Makes these products: with the same weights for all panels, and with all weights for the same product of the panels, so that what is
    /// read again is near. `[block, panel, product, patch, channel]`.
    fn make_products(
        &self,
        image: usize,
        blocks: Range<usize>,
        bands: Range<usize>,
        from: Transformed<S::T>,
        products: &mut [S::T],
    ) {
        let (packed, &Panels { across, product, panel, channel, .. }) = (self.packed, &self.panels);
        let group = image / packed.depths % packed.groups;
        let (panels, weights) = (bands.len() * across, packed.sources * packed.block);
        let place = from.first + (bands.start - from.band) * across * panel;
        let tile = tile::pixels::<S>() * packed.block;
        // The lines of a block's weights that are fetched while a tile passes by.
        let fetched = packed.block / panels;
        for index in 0..P::PRODUCTS {
            for block in blocks.clone() {
                let at =
                    |block: usize, index: usize| ((group * packed.blocks() + block) * P::PRODUCTS + index) * weights;
                let next = if block + 1 < blocks.end { at(block + 1, index) } else { at(blocks.start, index + 1) };
                let next = packed.weights.as_ptr().wrapping_add(next);
                let weights = &packed.weights[at(block, index)..][..weights];
                for which in 0..panels {
                    let source = place + which * panel + index * product;
                    let target = ((block - blocks.start) * panels + which) * P::PRODUCTS + index;
                    let rows = self.panels.rows(bands.start + which / across);
                    let patches = rows.len() * self.panels.columns(which % across).len();
                    let tile = tile::Tile::<S> {
                        source: from.start.at(source, packed.sources * channel),
                        channels: packed.sources,
                        channel,
                        taps: &[0],
                        weights: weights.as_ptr(),
                        target: products[target * tile..][..tile].as_mut_ptr(),
                        target_channel: 1,
                        // Whole blocks: the weights of channels that do not exist are zero.
                        target_channels: packed.block,
                    };
                    let ahead = [
                        (next.wrapping_add(which * fetched * packed.sources), fetched),
                        (tile.source.wrapping_add(product), channel),
                    ];
                    // SAFETY: the instruction set is available; the patches of every channel and product of these bands have been
                    // written, and there is room for the products of whole blocks.
                    unsafe { tile.run_by_pixel(patches, ahead) };
                }
            }
        }
    }
}

/// Patches of some channels of a band, transformed: `Bᵀ d B`.
struct Inputs<'a, S: Simd, P> {
    work: &'a Work<'a, S, P>,
    /// The first row of the first channel.
    source: &'a [S::T],
    channels: usize,
    band: usize,
    /// Rows of inputs, with zeros around them.
    lines: &'a mut [S::T],
    /// The first channel of the first product of the first panel of the band.
    patches: *mut S::T,
}

impl<S: Simd, P: Patch> Task for Inputs<'_, S, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { work, source, channels, band, lines, patches } = self;
        let (panels, rows, columns) = (&work.panels, work.packed.rows, work.packed.columns);
        let (line, lines) = (work.line(), &mut lines[..work.for_lines()]);
        // What no patch reads is not copied.
        let width = columns.source.min(P::OUT * panels.columns + P::IN - P::OUT - columns.before);
        for channel in 0..channels {
            let (source, mut lane) = (&source[channel * work.source_len..][..rows.source * columns.source], 0);
            for row in panels.rows(band) {
                for i in 0..P::IN {
                    let (to, y) = (lines[i * line..][..line].as_mut_ptr(), row * P::OUT + i);
                    // SAFETY: a line has room for what is before the source, for the source, and a vector more.
                    unsafe {
                        if y >= rows.before && y - rows.before < rows.source {
                            zeros::<S>(to, columns.before);
                            let from = &source[(y - rows.before) * columns.source..][..width];
                            copy::<S>(from, 1, to.add(columns.before), width);
                            zeros::<S>(to.add(columns.before + width), line - S::LANES - columns.before - width);
                        } else {
                            zeros::<S>(to, line - S::LANES);
                        }
                    }
                }
                for across in 0..panels.across {
                    let some = panels.columns(across);
                    for part in chunks(some.len(), S::LANES) {
                        // SAFETY: a line goes on for a vector of patches after the last; a panel has room for its patches.
                        unsafe {
                            let from = lines.as_ptr().add(P::OUT * (some.start + part.start));
                            let mut half = [[S::splat(S::T::zero()); MOST_IN]; MOST_IN];
                            for i in 0..P::IN {
                                half[i] = P::from_inputs::<S>(P::inputs::<S>(from.add(i * line)));
                            }
                            let place = lane + part.start;
                            let to = patches.add(across * panels.panel + channel * panels.channel + place);
                            let whole = place + S::LANES <= panels.channel;
                            for j in 0..P::IN {
                                let mut column = [S::splat(S::T::zero()); MOST_IN];
                                for i in 0..P::IN {
                                    column[i] = half[i][j];
                                }
                                let column = P::from_inputs::<S>(column);
                                for i in 0..P::IN {
                                    let to = to.add((i * P::IN + j) * panels.product);
                                    if whole {
                                        S::store(to, column[i]);
                                    } else {
                                        S::store_first(to, part.len(), column[i]);
                                    }
                                }
                            }
                        }
                    }
                }
                lane += panels.columns;
            }
        }
    }
}

/// Outputs of a block of channels of a panel, `Aᵀ m A`, with the epilogue.
struct Outputs<'a, S: Simd, P> {
    work: &'a Work<'a, S, P>,
    /// `[product, patch, channel of the block]`.
    sums: &'a [S::T],
    /// `[row, column, channel of the block]`.
    outputs: &'a mut [S::T],
    /// `[channel, row, column]`.
    stage: &'a mut [S::T],
    /// Rows and columns of patches.
    rows: Range<usize>,
    columns: Range<usize>,
    /// Number of channels of the block; the first of them among those of a sample.
    channels: usize,
    channel: usize,
    /// Index of the first element of the first channel of the block in the result.
    first: usize,
}

impl<S: Simd, P: Patch> Task for Outputs<'_, S, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { work, sums, outputs, stage, rows, columns, channels, channel, first } = self;
        let (block, all_rows, all_columns) = (work.packed.block, work.packed.rows.outputs, work.packed.columns.outputs);
        let product = tile::pixels::<S>() * block;
        let (left, len) = (columns.start * P::OUT, columns.len());
        let width = (all_columns - left).min(len * P::OUT);
        let row = len * P::OUT * block;
        assert!(sums.len() >= P::PRODUCTS * product && outputs.len() >= P::OUT * row && stage.len() >= P::OUT * row);
        for (index, patches) in rows.clone().enumerate() {
            for patch in 0..len {
                for v in (0..block).step_by(S::LANES) {
                    // SAFETY: the instruction set is the caller's; the assertion.
                    unsafe {
                        let from = sums.as_ptr().add((index * len + patch) * block + v);
                        let to = outputs.as_mut_ptr().add(patch * P::OUT * block + v);
                        let mut half = [[S::splat(S::T::zero()); MOST_IN]; MOST_OUT];
                        for j in 0..P::IN {
                            let mut column = [S::splat(S::T::zero()); MOST_IN];
                            for i in 0..P::IN {
                                column[i] = S::load(from.add((i * P::IN + j) * product));
                            }
                            let column = P::to_outputs::<S>(column);
                            for i in 0..P::OUT {
                                half[i][j] = column[i];
                            }
                        }
                        for i in 0..P::OUT {
                            let outputs = P::to_outputs::<S>(half[i]);
                            for j in 0..P::OUT {
                                S::store(to.add(i * row + j * block), outputs[j]);
                            }
                        }
                    }
                }
            }
            let top = patches * P::OUT;
            let height = (all_rows - top).min(P::OUT);
            for v in (0..channels).step_by(S::LANES) {
                for y in 0..height {
                    for some in chunks(width, S::LANES) {
                        // SAFETY: the same; rows of the stage are as long as those of the outputs or shorter.
                        unsafe {
                            let from = outputs.as_ptr().add(y * row + some.start * block + v);
                            let to = stage.as_mut_ptr().add((v * height + y) * width + some.start);
                            let most = (channels - v).min(S::LANES);
                            S::transpose(from, block, some.len(), to, height * width, most);
                        }
                    }
                }
            }
            // Whole rows follow each other.
            let (lines, line) = if width == all_columns { (1, height * width) } else { (height, width) };
            for c in 0..channels {
                for y in 0..lines {
                    let index = first + c * work.target_len + (top + y) * all_columns + left;
                    let to = work.target.at(index, line);
                    // SAFETY: these elements exist, and nobody else writes them; the instruction set is available.
                    unsafe {
                        let from = &stage[c * height * width + y * line..][..line];
                        work.epilogue.write_within::<S>(from, to, channel + c, index);
                    }
                }
            }
        }
    }
}
