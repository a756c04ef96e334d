//! Winograd's way: a patch of outputs of a 3×3 convolution for fewer multiplications than its definition has.
//!
//! Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks": `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A` for a patch `d` of
//! inputs and a kernel `g`, with the transforms in [`patch`](super::patch). Summed over channels, the products are as many matrix
//! products, and those are done by the [`tile`] kernel.
//!
//! Patches overlap and begin every second or fourth element, which makes reading them a convolution of that stride with as many taps as a
//! patch has inputs: strips and their layout are those of the direct way, and vectors run along patches.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use num_traits::Zero;

use super::driver::Sides;
use super::finish::Finish;
use super::passes::{AxisPass, AxisTap, Pass};
use super::patch::{FourByFour, MOST_IN, MOST_OUT, Patch, TwoByTwo};
use super::strip::{Fill, Layout, SLACK};
use super::weights::{Direction, sizes};
use super::{Algorithm, ConvKernel, tile};
use crate::kernels::aligned::Aligned;
use crate::kernels::simd::{Simd, Task};
use crate::kernels::window::Window;
use crate::kernels::{Scratch, Shared, chunks, each, each_chunk, parts, with_room};
use crate::scalar::Scalar;
use crate::weights::Stored;

/// A convolution, one way, with transformed weights.
#[derive(Debug)]
pub(super) struct Packed<T> {
    /// Whether patches have two by two outputs, not four by four.
    small: bool,
    /// Where patches are read and written: a pass over patches.
    pass: Pass,
    /// Rows and columns of outputs.
    outputs: (usize, usize),
    /// `[group, block of output channels, product, source channel, channel of the block]`.
    weights: Aligned<T>,
    sources: usize,
    targets: usize,
    groups: usize,
    block: usize,
}

/// Whether a convolution over this window can be done this way.
pub(super) fn applies(window: &Window) -> bool {
    let [d, h, w] = &window.axes;
    let three = |axis: &crate::kernels::window::Axis| axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1;
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

/// An axis of outputs as an axis of patches.
fn patches<P: Patch>(len: usize, source: usize, first: isize) -> AxisPass {
    let step = P::OUT as isize;
    let taps = (0..P::IN as isize).map(|i| {
        let offset = first + i;
        AxisTap { tap: i as usize, phase: offset.rem_euclid(step) as usize, shift: offset.div_euclid(step) }
    });
    AxisPass { len: len.div_ceil(P::OUT), first: 0, stride: P::OUT, source, step: P::OUT, taps: taps.collect() }
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
        let axis = |axis: &crate::kernels::window::Axis| match direction {
            Direction::Forward => (axis.output, axis.input, -(axis.pad_begin as isize)),
            // The first output gets something through the last tap first.
            Direction::Adjoint => (axis.input, axis.output, axis.pad_begin as isize - 2),
        };
        let ((rows, row_source, top), (columns, column_source, left)) = (axis(h), axis(w));
        let depth = AxisPass {
            len: d.input,
            first: 0,
            stride: 1,
            source: d.input,
            step: 1,
            taps: vec![AxisTap { tap: 0, phase: 0, shift: 0 }],
        };
        let pass = Pass {
            axes: [depth, patches::<P>(rows, row_source, top), patches::<P>(columns, column_source, left)],
            in_place: false,
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
        let small = P::OUT == TwoByTwo::OUT;
        Self { small, pass, outputs: (rows, columns), weights, sources, targets, groups: kernel.groups, block }
    }
}

/// `G g Gᵀ`, in f64; the adjoint's kernel is turned round.
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
/// Patches whose products are made before they become outputs, where a row has no more.
const AT_ONCE: usize = 64;

/// Convolves a batch `[samples, groups·sources, source_len]`.
pub(super) fn convolve<S: Simd>(
    packed: &Packed<S::T>,
    sides: Sides,
    source: &[S::T],
    finish: Finish<'_, S::T>,
) -> Vec<S::T> {
    if packed.small {
        convolve_by::<S, TwoByTwo>(packed, sides, source, finish)
    } else {
        convolve_by::<S, FourByFour>(packed, sides, source, finish)
    }
}

fn convolve_by<S: Simd, P: Patch>(
    packed: &Packed<S::T>,
    sides: Sides,
    source: &[S::T],
    finish: Finish<'_, S::T>,
) -> Vec<S::T> {
    let target_len: usize = sides.target.iter().product();
    let [depths, rows, columns] = packed.pass.axes.each_ref().map(|axis| axis.len);
    let channels = source.len() / (packed.sources * sides.source_len).max(1) * packed.targets;
    let mut target = with_room(channels * target_len);
    let work = Work::<S, P> {
        patch: PhantomData,
        packed,
        source_len: sides.source_len,
        target_len,
        source,
        target: Shared::new(target.as_mut_ptr(), channels * target_len),
        finish,
    };
    let images = channels / packed.targets * depths;

    // As many rows of patches as their transforms fit into the second-level cache, but enough for a tile.
    let patch = P::PRODUCTS * packed.sources * size_of::<S::T>();
    let fitting = ((768 << 10) / patch).max(4 * tile::pixels::<S>());
    let threads = rayon::current_num_threads();
    let wanted = if threads == 1 { 1 } else { (4 * threads).div_ceil(images.max(1)) };
    let strips = rows.div_ceil((fitting / columns).clamp(1, rows));
    let strips = strips.max(wanted.min(rows * columns / (2 * tile::pixels::<S>())).min(rows));
    if strips < wanted || patch * packed.targets > HEAVY {
        work.by_images(images);
    } else {
        work.by_strips(images, rows.div_ceil(strips));
    }
    // SAFETY: that many elements were allocated, and all of them have been written: every row and column of every channel belongs to
    // one patch.
    unsafe { target.set_len(channels * target_len) };
    target
}

/// What is convolved. An image is one depth of one group of one sample.
struct Work<'a, S: Simd, P> {
    patch: PhantomData<P>,
    packed: &'a Packed<S::T>,
    source_len: usize,
    target_len: usize,
    source: &'a [S::T],
    target: Shared<S::T>,
    finish: Finish<'a, S::T>,
}

/// Transformed patches `[product, source channel, patch]` of some rows of patches.
struct Transformed<T> {
    start: Shared<T>,
    first: usize,
    /// Distances between products and between channels.
    product: usize,
    channel: usize,
    /// The first row.
    row: usize,
}

impl<S: Simd, P: Patch> Work<'_, S, P> {
    /// Strip by strip: each is transformed and multiplied while it is in the cache.
    fn by_strips(&self, images: usize, strip_rows: usize) {
        let [_, rows, columns] = self.packed.pass.axes.each_ref().map(|axis| axis.len);
        let (strips, sources) = (rows.div_ceil(strip_rows), self.packed.sources);
        let layout = Layout::new(&self.packed.pass, strip_rows, columns);
        let most = strip_rows * columns;
        let [strip, gapped] = self.for_transforms(&layout, sources);
        let [products, stage] = self.for_products(most);
        let lengths = [strip, gapped, products, stage, P::PRODUCTS * sources * most];
        each(images * strips, 1, &|job| {
            let mut memory = Scratch::new(lengths);
            let [strip, gapped, products, stage, patches] = memory.pieces(lengths);
            let (image, first) = (job / strips, job % strips * strip_rows);
            let rows = first..(first + strip_rows).min(rows);
            let channel = rows.len() * columns;
            let start = Shared::new(patches.as_mut_ptr(), patches.len());
            let to = Transformed { start, first: 0, product: sources * channel, channel, row: first };
            self.transform(&layout, image, rows.clone(), 0..sources, [strip, gapped], &to);
            for block in 0..self.packed.blocks() {
                self.multiply(image, block, rows.clone(), &to, [products, stage]);
            }
        });
    }

    /// Whole images: first all patches are transformed, and then multiplied with one block of weights after the other. Weights are read
    /// once, patches once for every block.
    fn by_images(&self, images: usize) {
        let [_, rows, columns] = self.packed.pass.axes.each_ref().map(|axis| axis.len);
        let (sources, blocks) = (self.packed.sources, self.packed.blocks());
        let channel = rows * columns;
        let size = P::PRODUCTS * sources * channel;
        let together = (ROOM / (size * size_of::<S::T>())).clamp(1, images.max(1));
        let mut patches: Vec<S::T> = with_room(together * size);
        let start = Shared::new(patches.as_mut_ptr(), together * size);
        let layout = Layout::new(&self.packed.pass, rows, columns);
        let rows_at_once = (AT_ONCE / columns).clamp(1, rows);
        let pieces = rows.div_ceil(rows_at_once);
        for some in chunks(images, together) {
            let to =
                |image: usize| Transformed { start, first: image * size, product: sources * channel, channel, row: 0 };
            let parts = (4 * rayon::current_num_threads()).div_ceil(some.len()).min(sources);
            let channels = sources.div_ceil(parts);
            let parts = sources.div_ceil(channels);
            let lengths = self.for_transforms(&layout, channels);
            each(some.len() * parts, 1, &|job| {
                let mut memory = Scratch::new(lengths);
                let (image, first) = (job / parts, job % parts * channels);
                let channels = first..(first + channels).min(sources);
                self.transform(&layout, some.start + image, 0..rows, channels, memory.pieces(lengths), &to(image));
            });
            let lengths = self.for_products(rows_at_once * columns);
            each(blocks * some.len() * pieces, 1, &|job| {
                let mut memory = Scratch::new(lengths);
                let (block, image, first) =
                    (job / (some.len() * pieces), job / pieces % some.len(), job % pieces * rows_at_once);
                let rows = first..(first + rows_at_once).min(rows);
                self.multiply(some.start + image, block, rows, &to(image), memory.pieces(lengths));
            });
        }
    }

    /// Sizes of the strip of so many channels, and of one channel of transformed patches with gaps between rows of patches.
    fn for_transforms(&self, layout: &Layout, channels: usize) -> [usize; 2] {
        let gapped = (layout.rows * layout.pitch).next_multiple_of(S::LANES);
        [channels * layout.channel + (SLACK + 1) * S::LANES, P::PRODUCTS * gapped + S::LANES]
    }

    /// Sizes of the products `[product, channel of the block, patch]` and of the outputs of a channel, `[row of a patch, column]` for every
    /// row of patches.
    fn for_products(&self, most: usize) -> [usize; 2] {
        let pitch = most.next_multiple_of(S::LANES);
        [P::PRODUCTS * self.packed.block * pitch, P::OUT * P::OUT * pitch]
    }

    /// Transforms the patches of some rows and channels of an image.
    fn transform(
        &self,
        layout: &Layout,
        image: usize,
        rows: Range<usize>,
        channels: Range<usize>,
        [strip, gapped]: [&mut [S::T]; 2],
        to: &Transformed<S::T>,
    ) {
        let pass = &self.packed.pass;
        let [depths, _, columns] = pass.axes.each_ref().map(|axis| axis.len);
        let first = (image / depths * self.packed.sources + channels.start) * self.source_len;
        let fill = Fill::<S> {
            pass,
            layout,
            source: &self.source[first..][..channels.len() * self.source_len],
            strip: &mut strip[..channels.len() * layout.channel + SLACK * S::LANES],
            depth: image % depths,
            row: rows.start,
            column: 0,
        };
        // SAFETY: the instruction set is available, or `S` would not have been chosen.
        unsafe { S::run(fill) };
        let count = rows.len() * columns;
        for (i, channel) in channels.enumerate() {
            let place = to.first + channel * to.channel + (rows.start - to.row) * columns;
            let patches = Patches::<S, P> {
                patch: PhantomData,
                strip: &strip[i * layout.channel..],
                layout,
                rows: rows.len(),
                columns,
                gapped,
                patches: to.start.at(place, (P::PRODUCTS - 1) * to.product + count),
                product: to.product,
            };
            // SAFETY: the same; nobody else writes patches of this channel of these rows.
            unsafe { S::run(patches) };
        }
    }

    /// Makes the products of a block of output channels for some rows of patches of an image, and the outputs from them.
    fn multiply(
        &self,
        image: usize,
        block: usize,
        rows: Range<usize>,
        from: &Transformed<S::T>,
        [products, stage]: [&mut [S::T]; 2],
    ) {
        let packed = self.packed;
        let [depths, _, columns] = packed.pass.axes.each_ref().map(|axis| axis.len);
        let (sample_and_group, depth) = (image / depths, image % depths);
        let group = sample_and_group % packed.groups;
        let count = rows.len() * columns;
        let pitch = count.next_multiple_of(S::LANES);
        let panel = packed.sources * packed.block;
        let weights = &packed.weights[(group * packed.blocks() + block) * P::PRODUCTS * panel..];
        let place = from.first + (rows.start - from.row) * columns;
        for index in 0..P::PRODUCTS {
            for some in parts(0..count, tile::pixels::<S>()) {
                let tile = tile::Tile::<S> {
                    source: from.start.at(
                        place + index * from.product + some.start,
                        (packed.sources - 1) * from.channel + some.len(),
                    ),
                    channels: packed.sources,
                    channel: from.channel,
                    taps: &[0],
                    weights: weights[index * panel..].as_ptr(),
                    target: products[index * packed.block * pitch + some.start..].as_mut_ptr(),
                    target_channel: pitch,
                    // Whole blocks: the weights of channels that do not exist are zero.
                    target_channels: packed.block,
                };
                // SAFETY: the instruction set is available; the patches of every channel and product of these rows have been written,
                // and there is room for the products of whole blocks.
                unsafe { tile.run(some.len()) };
            }
        }
        let channels = (packed.targets - block * packed.block).min(packed.block);
        for channel in 0..channels {
            let outputs = Outputs::<S, P> {
                patch: PhantomData,
                products: &products[channel * pitch..],
                product: packed.block * pitch,
                count,
                stage,
            };
            // SAFETY: the instruction set is available.
            unsafe { S::run(outputs) };
            let which = block * packed.block + channel;
            let first = (sample_and_group * packed.targets + which) * self.target_len
                + depth * packed.outputs.0 * packed.outputs.1;
            for (line, row) in (rows.start * P::OUT..(rows.end * P::OUT).min(packed.outputs.0)).enumerate() {
                let from =
                    &stage[line % P::OUT * P::OUT * pitch + line / P::OUT * P::OUT * columns..][..packed.outputs.1];
                let index = first + row * packed.outputs.1;
                let to = self.target.at(index, from.len());
                // SAFETY: this row exists, and nobody else writes it; the instruction set is available.
                unsafe { self.finish.write::<S>(from, to, group * packed.targets + which, index) };
            }
        }
    }
}

impl<T> Packed<T> {
    /// Number of blocks of output channels of a group.
    fn blocks(&self) -> usize {
        self.targets.div_ceil(self.block)
    }
}

/// `Bᵀ d B` of all patches of one channel of a strip.
struct Patches<'a, S: Simd, P> {
    patch: PhantomData<P>,
    strip: &'a [S::T],
    layout: &'a Layout,
    rows: usize,
    columns: usize,
    /// One channel of transformed patches, gaps between rows of patches included: `[product, patch]`.
    gapped: &'a mut [S::T],
    /// Where the first product's patches of this channel go; those of the others follow at distances of `product`.
    patches: *mut S::T,
    product: usize,
}

impl<S: Simd, P: Patch> Task for Patches<'_, S, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { strip, layout, rows, columns, gapped, patches, product, .. } = self;
        let len = (rows - 1) * layout.pitch + columns;
        let pitch = len.next_multiple_of(S::LANES);
        debug_assert!(layout.taps.len() == P::PRODUCTS && gapped.len() >= P::PRODUCTS * pitch);
        // SAFETY: a strip has a channel's worth of elements and a vector more from its channel's beginning on; the buffer is as
        // long as the assertion says; the caller vouches for what is written.
        unsafe {
            let zero = S::splat(S::T::zero());
            for start in chunks(len, S::LANES) {
                let source = strip.as_ptr().add(start.start);
                let mut half = [[zero; MOST_IN]; MOST_IN];
                for i in 0..P::IN {
                    let mut line = [zero; MOST_IN];
                    for j in 0..P::IN {
                        line[j] = S::load(source.add(*layout.taps.get_unchecked(i * P::IN + j)));
                    }
                    half[i] = P::from_inputs::<S>(line);
                }
                for j in 0..P::IN {
                    let mut column = [zero; MOST_IN];
                    for i in 0..P::IN {
                        column[i] = half[i][j];
                    }
                    let column = P::from_inputs::<S>(column);
                    for i in 0..P::IN {
                        S::store(gapped.as_mut_ptr().add((i * P::IN + j) * pitch + start.start), column[i]);
                    }
                }
            }
            // Close the gaps between rows.
            for index in 0..P::PRODUCTS {
                for row in 0..rows {
                    let from = gapped.as_ptr().add(index * pitch + row * layout.pitch);
                    let to = patches.add(index * product + row * columns);
                    let mut i = 0;
                    while i + S::LANES <= columns {
                        S::store(to.add(i), S::load(from.add(i)));
                        i += S::LANES;
                    }
                    if i < columns {
                        S::store_first(to.add(i), columns - i, S::load(from.add(i)));
                    }
                }
            }
        }
    }
}

/// `Aᵀ m A` of all patches of one channel.
struct Outputs<'a, S: Simd, P> {
    patch: PhantomData<P>,
    /// The first product of the first patch; other products follow at distances of `product`.
    products: &'a [S::T],
    product: usize,
    count: usize,
    /// `[row of a patch, column of the row of patches]`.
    stage: &'a mut [S::T],
}

impl<S: Simd, P: Patch> Task for Outputs<'_, S, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { products, product, count, stage, .. } = self;
        let pitch = count.next_multiple_of(S::LANES);
        debug_assert!(products.len() >= (P::PRODUCTS - 1) * product + pitch && stage.len() >= P::OUT * P::OUT * pitch);
        // SAFETY: as the assertion says.
        unsafe {
            let zero = S::splat(S::T::zero());
            for start in chunks(count, S::LANES) {
                let source = products.as_ptr().add(start.start);
                let mut half = [[zero; MOST_IN]; MOST_OUT];
                for j in 0..P::IN {
                    let mut column = [zero; MOST_IN];
                    for i in 0..P::IN {
                        column[i] = S::load(source.add((i * P::IN + j) * product));
                    }
                    let column = P::to_outputs::<S>(column);
                    for i in 0..P::OUT {
                        half[i][j] = column[i];
                    }
                }
                for i in 0..P::OUT {
                    let row = P::interleave::<S>(P::to_outputs::<S>(half[i]));
                    for j in 0..P::OUT {
                        S::store(stage.as_mut_ptr().add(P::OUT * (i * pitch + start.start) + j * S::LANES), row[j]);
                    }
                }
            }
        }
    }
}
