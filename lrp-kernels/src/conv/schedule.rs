//! The division of one pass into jobs: strips that fit into the cache, and as many jobs as threads need.
//!
//! Where weights do not fit into the cache and images do, strips would read the weights again and again: whole images are copied first,
//! and a job is some blocks of the channels of all their outputs.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use num_traits::Zero;

use super::partition::{Partition, segment, target_jobs};
use super::passes::AxisPass;
use super::strip::{Fill, Layout};
use super::weights::{Packed, PackedPass, Shape};
use super::{run, sparse, tile};
use crate::simd::Simd;
use crate::{each_chunk, uninit};

/// Bytes that a strip may take: with the weights of a block it should fit into the second-level cache.
pub(super) const STRIP: usize = 576 << 10;
/// Bytes of a strip that is read only once (depthwise convolutions): the first-level cache.
const SMALL_STRIP: usize = 20 << 10;
/// Bytes of weights of a group from which on they are better read once than once for every strip.
const HEAVY: usize = 1 << 20;
/// Bytes of an image that is copied as a whole.
const ROOM: usize = 4 << 20;
/// Outputs of a channel that are collected before they are written to the target, and the distance between channels then.
pub(super) const STAGE: usize = 224;
pub(super) const STAGE_PITCH: usize = STAGE + 16;
/// Bytes of sums over a part of the source channels, where pixels are summed one by one.
const SUMS: usize = 256 << 10;

/// Sizes of the two sides of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    /// Positions of a source channel.
    pub source_len: usize,
    /// Depth, height and width of the target.
    pub target: [usize; 3],
}

/// The division of one pass into jobs.
#[derive(Debug)]
pub(super) struct PassSchedule<'a, S: Simd> {
    pub(super) pass: &'a PackedPass<S::T>,
    /// Source channels of a group.
    pub(super) sources: usize,
    pub(super) layout: Layout,
    pub(super) blocking: RowBlocking,
    /// Number of strips down and across.
    pub(super) strips: (usize, usize),
    /// Number of parts that the blocks of output channels are divided into, and blocks in a part.
    pub(super) parts: usize,
    pub(super) blocks: usize,
    /// Number of jobs in all passes before this one, and in this one.
    pub(super) before: usize,
    pub(super) jobs: usize,
    /// Whether the next pass, which writes the columns in between, is done with this one: then that one has no jobs.
    pub(super) with_next: bool,
    /// Whether whole images are copied before the jobs begin; and the copies.
    pub(super) whole: bool,
    pub(super) copies: Vec<S::T>,
}

/// Row blocking: the rows, and the part of a row, that one step of a job computes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowBlocking {
    pub(super) rows: usize,
    /// The longest part of a row that one step computes, and the length of its segments.
    pub(super) columns: usize,
    pub(super) segment: usize,
    /// Whether they are one long row, with what stands between them.
    pub(super) together: bool,
}

/// The longest part of a row that one step can compute.
fn longest<S: Simd>() -> usize {
    STAGE / tile::pixels::<S>() * tile::pixels::<S>()
}

impl RowBlocking {
    /// For rows of `columns` elements at distances of `pitch`, in segments of `segment` elements.
    fn new<S: Simd>(shape: Shape, pitch: usize, columns: usize, segment: usize) -> Self {
        let most = longest::<S>() / segment * segment;
        let tiles = |pixels: usize| pixels.div_ceil(tile::pixels::<S>());
        let rows = (STAGE / pitch).max(1);
        // One long row, where that is less work than the ends of each.
        let long = tiles((rows - 1) * pitch + columns) <= rows * tiles(columns);
        let (rows, together) = match columns <= most && (shape == Shape::Runs || long) {
            true => (rows, true),
            false => ((STAGE / columns).max(1), false),
        };
        Self { rows, columns: most, segment, together }
    }
}

impl<'a, S: Simd> PassSchedule<'a, S> {
    /// Divides a pass so that strips fit into the cache, and then as far as threads need it; between segments if the epilogue is
    /// blockwise.
    pub(super) fn new(
        packed: &Packed<S::T>,
        pass: &'a PackedPass<S::T>,
        samples: usize,
        before: usize,
        (segments, sparse): (bool, bool),
    ) -> Self {
        let [depths, rows, columns] = pass.pass.axes.each_ref().map(|axis| axis.len);
        let (row_overlap, column_overlap) = pass.pass.overlaps();
        let whole = Layout::new(&pass.pass, 1, columns);
        let row = packed.sources * whole.channel / (1 + row_overlap) * size_of::<S::T>();
        let budget = match packed.shape {
            Shape::Runs if packed.sources <= 2 => SMALL_STRIP,
            Shape::Runs => 2 * STRIP,
            _ => STRIP,
        };

        // As many rows as fit, or if not even one does, a part of a row.
        let fitting = (budget / row.max(1)).saturating_sub(row_overlap);
        let mut down = rows.div_ceil(fitting.clamp(1, rows));
        let across = if fitting > 0 { 1 } else { (row * (1 + row_overlap)).div_ceil(budget) };

        let (threads, others) = (rayon::current_num_threads(), samples * packed.groups * depths);
        let target_jobs = target_jobs(threads, others);
        let image = packed.sources * whole.channel * rows * size_of::<S::T>();
        let heavy = size_of_val(&pass.weights[..]) / packed.groups >= HEAVY && image <= ROOM;
        // Not where parts of rows are segments: those must not depend on the number of threads.
        let at_once = packed.shape == Shape::Tiles && !pass.pass.in_place && target_jobs > 1 && heavy && across == 1;
        if at_once {
            down = 1;
        }

        let all_blocks = packed.targets.div_ceil(packed.block);
        let segment = match rows {
            1 if segments => segment::<S>(columns, longest::<S>(), all_blocks),
            _ => longest::<S>(),
        };
        let step = if segments && (rows == 1 || across > 1) { segment } else { tile::pixels::<S>() };
        let strip = columns.div_ceil(across.clamp(1, columns)).next_multiple_of(step).min(columns);
        let blocking =
            |strip: usize| RowBlocking::new::<S>(packed.shape, whole.pitch - columns + strip, strip, segment);
        let row_step = if segments { blocking(strip).rows } else { 1 };

        // More strips for more threads, and parts of the output channels.
        let copied = |overlap: usize| (!pass.pass.in_place && !at_once).then_some(overlap);
        let along_columns = Partition {
            threads,
            others,
            len: columns,
            step,
            strips: across,
            pixels: 1,
            copied: copied(column_overlap),
            taps: whole.taps.len(),
            blocks: all_blocks,
            together: if sparse { sparse::BLOCKS.min(all_blocks) } else { 1 },
        };
        let along_rows = Partition {
            len: rows,
            step: row_step,
            strips: down,
            pixels: strip,
            copied: copied(row_overlap),
            ..along_columns
        };
        let (strip_rows, strip_columns, blocks) = match (packed.shape, rows) {
            _ if at_once => (rows, columns, along_rows.choose_blocks(rows)),
            (_, 1) => {
                let (strip, blocks) = along_columns.choose();
                (1, strip, blocks)
            }
            (Shape::Tiles, _) => {
                let (rows, blocks) = along_rows.choose();
                (rows, strip, blocks)
            }
            // The same for passes that write every other column of the same rows.
            (Shape::Runs, _) => {
                let down = down.max((target_jobs / across).min(rows / (3 * row_overlap).max(1))).clamp(1, rows);
                let strip_rows = rows.div_ceil(down).next_multiple_of(row_step).min(rows);
                (strip_rows, strip, along_rows.choose_blocks(strip_rows))
            }
        };
        let blocking = blocking(strip_columns);
        let strips = (rows.div_ceil(strip_rows), columns.div_ceil(strip_columns));
        let parts = all_blocks.div_ceil(blocks);
        let layout = if pass.pass.in_place {
            Layout::in_place(&pass.pass, strip_columns)
        } else if at_once {
            Layout::new(&pass.pass, rows, columns).apart::<S>()
        } else {
            Layout::new(&pass.pass, strip_rows, strip_columns)
        };
        let jobs = samples * packed.groups * depths * strips.0 * strips.1 * parts;
        let (with_next, whole, copies) = (false, at_once, Vec::new());
        let sources = packed.sources;
        Self { pass, sources, layout, blocking, strips, parts, blocks, before, jobs, with_next, whole, copies }
    }

    /// Whether the two write every other column of the same rows, and jobs can do both.
    pub(super) fn goes_with(&self, next: &Self, packed: &Packed<S::T>) -> bool {
        let ([d, h, w], [next_d, next_h, next_w]) = (&self.pass.pass.axes, &next.pass.pass.axes);
        let same = |a: &AxisPass, b: &AxisPass| (a.first, a.stride, a.len) == (b.first, b.stride, b.len);
        let beside = w.stride == 2 && (w.first, next_w.first) == (0, 1);
        let alike = packed.shape == Shape::Runs && self.parts == 1 && self.strips == next.strips && self.strips.1 == 1;
        !self.with_next
            && self.jobs > 0
            && same(d, next_d)
            && same(h, next_h)
            && beside
            && alike
            && packed.targets <= packed.block
            && self.layout.rows == next.layout.rows
    }

    /// Room for a strip of all source channels, if jobs copy one.
    pub(super) fn strip_len(&self) -> usize {
        if self.pass.pass.in_place || self.whole { 0 } else { self.sources * self.layout.channel + run::longest::<S>() }
    }

    /// Room for a channel of a run.
    pub(super) fn run_len(&self) -> usize {
        self.layout.rows * self.layout.pitch + run::longest::<S>()
    }

    /// Number of segments of a channel.
    pub(super) fn segments(&self) -> usize {
        let [depths, rows, columns] = self.pass.pass.axes.each_ref().map(|axis| axis.len);
        depths * rows.div_ceil(self.blocking.rows) * columns.div_ceil(self.blocking.segment)
    }

    /// Copies of all images, `[sample, group, depth, source channel, …]`.
    pub(super) fn copied(&self, packed: &Packed<S::T>, sides: Sides, source: &[S::T]) -> Vec<S::T> {
        let (depths, images) = (self.pass.pass.axes[0].len, source.len() / (packed.sources * sides.source_len));
        let len = images * depths * packed.sources * self.layout.channel;
        let mut copies = uninit(len);
        let some = packed.sources.div_ceil(target_jobs(rayon::current_num_threads(), 1));
        let fresh = &mut copies.spare_capacity_mut()[..len];
        each_chunk(fresh, packed.sources * self.layout.channel, 1, &|index, copy| {
            let (image, depth) = (index / depths, index % depths);
            each_chunk(copy, some * self.layout.channel, 1, &|part, strip| {
                let channels = strip.len() / self.layout.channel * sides.source_len;
                let first = (image * packed.sources + part * some) * sides.source_len;
                let (pass, layout) = (&self.pass.pass, &self.layout);
                let source = &source[first..first + channels];
                // What is between channels is read, and thrown away.
                strip.fill(MaybeUninit::new(S::T::zero()));
                // SAFETY: all of it is initialized. The instruction set is available, or `S` would not have been chosen.
                unsafe {
                    let strip = std::slice::from_raw_parts_mut(strip.as_mut_ptr().cast(), strip.len());
                    S::run(Fill::<S> { pass, layout, source, strip, depth, row: 0, column: 0 })
                };
            });
        });
        // SAFETY: that many elements were asked for, and the chunks are all of them.
        unsafe { copies.set_len(len) };
        copies
    }

    /// The number of rows that [`pixels`](Self::pixels) sums at a time, for this number of columns and channels.
    pub(super) fn rows_of_sums(&self, columns: usize, channels: usize) -> usize {
        let row = columns * channels * size_of::<S::T>();
        (SUMS / row / self.blocking.rows).max(1) * self.blocking.rows
    }

    /// The numbers of sums and of words that [`pixels`](Self::pixels) needs for blocks of `block` channels.
    pub(super) fn for_sparse(&self, block: usize) -> [usize; 2] {
        let columns = self.layout.columns.min(self.blocking.columns);
        let rows = |blocks: usize| self.rows_of_sums(columns, blocks * block).min(self.layout.rows);
        let sums = (1..=sparse::BLOCKS).map(|blocks| rows(blocks) * columns * blocks * block).max();
        [sums.unwrap_or(0), sparse::Sparse::<S>::words(&self.layout.taps, rows(1), columns, self.layout.pitch)]
    }
}
