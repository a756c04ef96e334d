//! The loops around the micro-kernels, and how they are divided among threads.
//!
//! A *job* is a strip of outputs (a few rows of one sample and group) and some blocks of its output channels. It copies the
//! rows that the strip reads into a buffer of its thread (unless the pass can read the source in place), then goes through the blocks;
//! for each, the weights of the block stay in the cache while the tiles of the strip pass by. Every output is summed by one job in
//! one order, however the work is divided: so results depend neither on the number of threads nor on the batch.
//!
//! Where weights do not fit into the cache and images do, strips would read the weights again and again: whole images are copied first,
//! and a job is some blocks of the channels of all their outputs.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ops::Range;

use super::epilogue::{Blockwise, ElementEpilogue, Epilogue};
use super::partition::{Partition, segment, target_jobs};
use super::passes::AxisPass;
use super::strip::{Fill, Layout, SLACK};
use super::weights::{Packed, PackedPass, Shape};
use super::{pointwise, run, sparse, tile};
use crate::{Scratch, Shared, chunks, each, each_chunk, parts, uninit};
use num_traits::Zero;

use crate::accounts::Accounts;
use crate::simd::{Simd, Task, left};

/// Bytes that a strip may take: with the weights of a block it should fit into the second-level cache.
pub(super) const STRIP: usize = 576 << 10;
/// Bytes of a strip that is read only once (depthwise convolutions): the first-level cache.
const SMALL_STRIP: usize = 20 << 10;
/// Bytes of weights of a group from which on they are better read once than once for every strip.
const HEAVY: usize = 1 << 20;
/// Bytes of an image that is copied as a whole.
const ROOM: usize = 4 << 20;
/// Outputs of a channel that are collected before they are written to the target, and the distance between channels then.
const STAGE: usize = 224;
const STAGE_PITCH: usize = STAGE + 16;
/// Bytes of sums over a part of the source channels, where pixels are summed one by one.
const SUMS: usize = 256 << 10;
/// Multiply-adds below which a job is not worth handing to another thread.
const GRAIN: usize = 1 << 16;

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
struct PassSchedule<'a, S: Simd> {
    pass: &'a PackedPass<S::T>,
    /// Source channels of a group.
    sources: usize,
    layout: Layout,
    blocking: RowBlocking,
    /// Number of strips down and across.
    strips: (usize, usize),
    /// Number of parts that the blocks of output channels are divided into, and blocks in a part.
    parts: usize,
    blocks: usize,
    /// Number of jobs in all passes before this one, and in this one.
    before: usize,
    jobs: usize,
    /// Whether the next pass, which writes the columns in between, is done with this one: then that one has no jobs.
    with_next: bool,
    /// Whether whole images are copied before the jobs begin; and the copies.
    whole: bool,
    copies: Vec<S::T>,
}

/// The data that the jobs of all passes share.
struct Work<'a, S: Simd> {
    packed: &'a Packed<S::T>,
    sides: Sides,
    source: &'a [S::T],
    target: Shared<S::T>,
    epilogue: Epilogue<'a, S::T>,
    /// Terms of the ledger of the segments of a block of channels, and the number of segments of a channel.
    accounts: Shared<Accounts>,
    segments: usize,
    /// Whether zeros of the source are skipped.
    sparse: bool,
}

/// Convolves a batch `[samples, groups·sources, source_len]`. Also returns the accounts of each sample, if the epilogue
/// is [blockwise](Epilogue::Blockwise).
///
/// A segment is some rows of a channel, or a part of one row. Segments do not depend on the work partition. Zeros of the source can be
/// skipped ([`sparse`]).
pub(super) fn convolve<S: Simd>(
    packed: &Packed<S::T>,
    sides: Sides,
    source: &[S::T],
    epilogue: Epilogue<'_, S::T>,
    sparse: bool,
) -> (Vec<S::T>, Vec<Accounts>) {
    let target_len: usize = sides.target.iter().product();
    let samples = source.len() / (packed.groups * packed.sources * sides.source_len).max(1);
    let channels = samples * packed.groups * packed.targets;
    let covered: usize = packed.passes.iter().map(|pass| pass.pass.outputs()).sum();
    let (blockwise, twice) = match epilogue {
        Epilogue::Elementwise(_) => (false, false),
        Epilogue::Blockwise(blockwise) => (true, blockwise.second.is_some()),
    };
    let results = if twice { 2 } else { 1 };
    let written = results * channels * target_len;
    let mut target = uninit(written);
    let mut schedules: Vec<PassSchedule<'_, S>> = Vec::new();
    for pass in &packed.passes {
        let before = schedules.last().map_or(0, |d| d.before + d.jobs);
        let mut schedule = PassSchedule::new(packed, pass, samples, before, (blockwise, sparse));
        if schedule.whole {
            schedule.copies = schedule.copied(packed, sides, source);
        }
        if let Some(last) = schedules.last_mut().filter(|last| last.goes_with(&schedule, packed)) {
            (last.with_next, schedule.jobs) = (true, 0);
        }
        schedules.push(schedule);
    }
    let segments = schedules.iter().map(PassSchedule::segments).max().unwrap_or(1);
    let blocks = packed.groups * packed.targets.div_ceil(packed.block);
    let mut sums = vec![Accounts::default(); if blockwise { samples * blocks * segments } else { 0 }];
    let shared_sums = Shared::new(sums.as_mut_ptr(), sums.len());
    if covered != target_len {
        // Some outputs read nothing but padding.
        let all = packed.groups * packed.targets;
        let fresh = &mut target.spare_capacity_mut()[..written];
        each_chunk(fresh, target_len, 1, &|index, fresh| {
            let nothing = match epilogue {
                // Times anything, too, nothing is nothing.
                Epilogue::Elementwise(ElementEpilogue::Plain | ElementEpilogue::Times(_)) => S::T::zero(),
                Epilogue::Elementwise(ElementEpilogue::TimesOnto(_, onto)) => {
                    let there = &onto[index * target_len..][..fresh.len()];
                    fresh.iter_mut().zip(there).for_each(|(slot, &r)| {
                        slot.write(r);
                    });
                    return;
                }
                Epilogue::Elementwise(epilogue) => epilogue.one(S::T::zero(), index % all, 0),
                // Forward there is one pass for all outputs, or none, and then no call of this.
                Epilogue::Blockwise(_) => S::T::zero(),
            };
            fresh.iter_mut().for_each(|slot| {
                slot.write(nothing);
            });
        });
    }

    let jobs = schedules.last().map_or(0, |d| d.before + d.jobs);
    let taps: usize = schedules.iter().map(|d| d.layout.taps.len() * d.pass.pass.outputs()).sum();
    let work_load = samples * packed.groups * packed.targets * packed.sources * taps;
    let (mut strip, mut runs) = (0, 0);
    for (i, schedule) in schedules.iter().enumerate() {
        let together = &schedules[i..=i + usize::from(schedule.with_next)];
        let [strips, sums] =
            [PassSchedule::strip_len, PassSchedule::run_len].map(|len| together.iter().map(len).sum::<usize>());
        strip = strip.max(strips);
        // And the rows that two passes make together.
        runs = runs.max(if schedule.with_next { 2 * sums } else { sums });
    }
    let stage = match packed.shape {
        Shape::Tiles => packed.block * STAGE_PITCH,
        Shape::Runs => runs * run::BLOCK,
    };
    let for_sparse = |d: &PassSchedule<'_, S>| if sparse { d.for_sparse(packed.block) } else { [0; 2] };
    let most = |a: [usize; 2], b: [usize; 2]| [a[0].max(b[0]), a[1].max(b[1])];
    let [room, words] = schedules.iter().map(for_sparse).fold([0; 2], most);
    let scratch = [strip, stage, room, words * size_of::<u64>() / size_of::<S::T>()];

    let shared = Shared::new(target.as_mut_ptr(), written);
    let work = Work::<S> { packed, sides, source, target: shared, epilogue, accounts: shared_sums, segments, sparse };
    let run = |job: usize| {
        if let Some(index) = schedules.iter().rposition(|d| d.before <= job) {
            let (schedule, mut memory) = (&schedules[index], Scratch::new(scratch));
            let next = if schedule.with_next { schedules.get(index + 1) } else { None };
            schedule.run(&work, job - schedule.before, next, memory.slices(scratch));
        }
    };
    let grain = (GRAIN * jobs).div_ceil(work_load.max(1)).max(1);
    each(jobs, grain, &run);
    // SAFETY: that many elements were allocated. Passes write different elements, and together all of them, or they were written
    // before.
    unsafe { target.set_len(written) };
    let total = |sums: &[Accounts]| {
        sums.iter().fold(Accounts::default(), |mut total, &sum| {
            total += sum;
            total
        })
    };
    (target, sums.chunks((blocks * segments).max(1)).map(total).collect())
}

/// Row blocking: the rows, and the part of a row, that one step of a job computes.
#[derive(Debug, Clone, Copy)]
struct RowBlocking {
    rows: usize,
    /// The longest part of a row that one step computes, and the length of its segments.
    columns: usize,
    segment: usize,
    /// Whether they are one long row, with what stands between them.
    together: bool,
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
    fn new(
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
    fn goes_with(&self, next: &Self, packed: &Packed<S::T>) -> bool {
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
    fn strip_len(&self) -> usize {
        if self.pass.pass.in_place || self.whole { 0 } else { self.sources * self.layout.channel + run::longest::<S>() }
    }

    /// Room for a channel of a run.
    fn run_len(&self) -> usize {
        self.layout.rows * self.layout.pitch + run::longest::<S>()
    }

    /// Number of segments of a channel.
    fn segments(&self) -> usize {
        let [depths, rows, columns] = self.pass.pass.axes.each_ref().map(|axis| axis.len);
        depths * rows.div_ceil(self.blocking.rows) * columns.div_ceil(self.blocking.segment)
    }

    /// Copies of all images, `[sample, group, depth, source channel, …]`.
    fn copied(&self, packed: &Packed<S::T>, sides: Sides, source: &[S::T]) -> Vec<S::T> {
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

    /// Does one job: parts of the channels innermost, then strips, depths, groups, samples.
    fn run(&self, work: &Work<'_, S>, job: usize, next: Option<&Self>, memory: [&mut [S::T]; 4]) {
        let [buffer, stage, sums, words] = memory;
        let Work { packed, sides, source, .. } = work;
        let axes = &self.pass.pass.axes;
        let (job, part) = (job / self.parts, job % self.parts);
        let (job, across) = (job / self.strips.1, job % self.strips.1);
        let (job, down) = (job / self.strips.0, job % self.strips.0);
        let (sample_and_group, depth) = (job / axes[0].len, job % axes[0].len);
        let group = sample_and_group % packed.groups;

        let span = |index: usize, step: usize, len: usize| index * step..((index + 1) * step).min(len);
        let rows = span(down, self.layout.rows, axes[1].len);
        let columns = span(across, self.layout.columns, axes[2].len);
        let blocks = span(part, self.blocks, packed.targets.div_ceil(packed.block));
        let source_size = packed.sources * sides.source_len;
        let source = &source[sample_and_group * source_size..][..source_size];

        // SAFETY: the instruction set is available, or `S` would not have been chosen.
        let fill = |schedule: &Self, strip: &mut [S::T]| unsafe {
            let (pass, layout) = (&schedule.pass.pass, &schedule.layout);
            let strip = &mut strip[..packed.sources * layout.channel + SLACK * S::LANES];
            S::run(Fill::<S> { pass, layout, source, strip, depth, row: rows.start, column: columns.start });
        };
        let (buffer, next_buffer) = buffer.split_at_mut(self.strip_len());
        let strip: &[S::T] = if self.pass.pass.in_place {
            &source[columns.start..]
        } else if self.whole {
            let copy = packed.sources * self.layout.channel;
            &self.copies[(sample_and_group * axes[0].len + depth) * copy..][..copy]
        } else {
            fill(self, &mut *buffer);
            &*buffer
        };

        let output = |block: usize| {
            let channels = packed.channels(block);
            OutputBlock {
                weights: &self.pass.weights[group * self.pass.group + block * self.pass.block..],
                block: sample_and_group * packed.targets.div_ceil(packed.block) + block,
                channels: channels.len(),
                first: sample_and_group * packed.targets + channels.start,
                depth,
                rows: rows.clone(),
                columns: columns.clone(),
            }
        };
        if work.sparse {
            // Only the last block may have a single vector.
            let whole = blocks.start..blocks.end - usize::from(packed.width::<S>(blocks.end - 1) < packed.block);
            let together = parts(whole.clone(), sparse::BLOCKS).filter(|some| !some.is_empty());
            for blocks in together.chain((whole.end < blocks.end).then_some(whole.end..blocks.end)) {
                let outputs: Vec<_> = blocks.map(output).collect();
                self.pixels(work, strip, [stage, sums, words], &outputs);
            }
            return;
        }
        let by_vectors = self.pass.pass.in_place && pointwise::pays::<S>(columns.len());
        for output in blocks.map(output) {
            match (packed.shape, next) {
                (Shape::Tiles, _) if by_vectors => self.vectors(work, strip, stage, &output),
                (Shape::Tiles, _) => self.tiles(work, strip, stage, &output),
                (Shape::Runs, None) => {
                    let channel = self.sums(work, strip, stage, &output);
                    let (rows, columns) = (0..output.rows.len(), 0..output.columns.len());
                    let (pitch, spacing) = (self.layout.pitch, axes[2].stride);
                    self.put(work, Staged { data: stage, channel, pitch, spacing, rows, columns }, &output);
                }
                (Shape::Runs, Some(next)) => {
                    let (first, rest) = stage.split_at_mut(self.run_len() * run::BLOCK);
                    let (second, both) = rest.split_at_mut(next.run_len() * run::BLOCK);
                    let first_channel = self.sums(work, strip, first, &output);
                    fill(next, &mut *next_buffer);
                    let columns = 0..next.pass.pass.axes[2].len;
                    let weights = &next.pass.weights[group * next.pass.group..];
                    let next_output = OutputBlock { weights, columns, rows: output.rows.clone(), ..output };
                    let second_channel = next.sums(work, next_buffer, second, &next_output);
                    let (rows, width) = (0..output.rows.len(), output.columns.len() + next_output.columns.len());
                    let channel = rows.len() * width;
                    for (c, row) in (0..output.channels).flat_map(|c| rows.clone().map(move |row| (c, row))) {
                        let interleave = Interleave::<S> {
                            a: &first[c * first_channel + row * self.layout.pitch..][..output.columns.len()],
                            b: &second[c * second_channel + row * next.layout.pitch..][..next_output.columns.len()],
                            to: &mut both[c * channel + row * width..][..width],
                        };
                        // SAFETY: the instruction set is available, or `S` would not have been chosen.
                        unsafe { S::run(interleave) };
                    }
                    let columns = 0..width;
                    self.put(work, Staged { data: both, channel, pitch: width, spacing: 1, rows, columns }, &output);
                }
            }
        }
    }

    /// The number of rows that [`pixels`](Self::pixels) sums at a time, for this number of columns and channels.
    fn rows_of_sums(&self, columns: usize, channels: usize) -> usize {
        let row = columns * channels * size_of::<S::T>();
        (SUMS / row / self.blocking.rows).max(1) * self.blocking.rows
    }

    /// The numbers of sums and of words that [`pixels`](Self::pixels) needs for blocks of `block` channels.
    fn for_sparse(&self, block: usize) -> [usize; 2] {
        let columns = self.layout.columns.min(self.blocking.columns);
        let rows = |blocks: usize| self.rows_of_sums(columns, blocks * block).min(self.layout.rows);
        let sums = (1..=sparse::BLOCKS).map(|blocks| rows(blocks) * columns * blocks * block).max();
        [sums.unwrap_or(0), sparse::Sparse::<S>::words(&self.layout.taps, rows(1), columns, self.layout.pitch)]
    }

    /// Goes through the pixels of a strip, for some blocks of output channels: as many rows at a time as their sums fit into the buffer.
    #[allow(clippy::cast_ptr_alignment)]
    fn pixels(
        &self,
        work: &Work<'_, S>,
        strip: &[S::T],
        [stage, sums, words]: [&mut [S::T]; 3],
        outputs: &[OutputBlock<'_, S::T>],
    ) {
        let Some(output) = outputs.first() else { return };
        let width = output.channels.next_multiple_of(S::LANES);
        let all = outputs.len() * width;
        let (most, layout) = (self.blocking.columns, &self.layout);
        let len = size_of_val(words) / size_of::<u64>();
        // SAFETY: the memory begins at a cache line, any bits are a number, and nobody else has it.
        let words = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u64>(), len) };
        for columns in chunks(output.columns.len(), most) {
            for rows in chunks(output.rows.len(), self.rows_of_sums(columns.len(), outputs.len() * work.packed.block)) {
                let pixels = sparse::Sparse::<S> {
                    source: strip[rows.start * layout.pitch + columns.start..].as_ptr(),
                    channels: work.packed.sources,
                    channel: layout.channel,
                    taps: &layout.taps,
                    rows: rows.len(),
                    columns: columns.len(),
                    pitch: layout.pitch,
                    weights: output.weights.as_ptr(),
                    block: self.pass.block,
                    words: &mut *words,
                    sums: sums[..rows.len() * columns.len() * all].as_mut_ptr(),
                };
                // SAFETY: the instruction set is available. A strip holds for each channel all that the taps of its outputs read; the
                // weights of these blocks follow each other, packed as they are read; and the sums fit into the buffer.
                unsafe { pixels.run(width / S::LANES, outputs.len()) };
                for (index, output) in outputs.iter().enumerate() {
                    for some in chunks(rows.len(), self.blocking.rows) {
                        let transpose = Transpose::<S> {
                            sums: &sums[some.start * columns.len() * all + index * width..],
                            step: all,
                            pixels: some.len() * columns.len(),
                            stage: &mut *stage,
                            channels: output.channels,
                        };
                        // SAFETY: the instruction set is available.
                        unsafe { S::run(transpose) };
                        let rows = rows.start + some.start..rows.start + some.end;
                        let (pitch, columns) = (columns.len(), columns.clone());
                        let spacing = self.pass.pass.axes[2].stride;
                        let staged = Staged { data: stage, channel: STAGE_PITCH, pitch, spacing, rows, columns };
                        self.put(work, staged, output);
                    }
                }
            }
        }
    }

    /// Goes through the tiles of a strip, some rows (or a part of one) at a time.
    fn tiles(&self, work: &Work<'_, S>, strip: &[S::T], stage: &mut [S::T], output: &OutputBlock<'_, S::T>) {
        let columns = output.columns.len();
        let RowBlocking { rows: rows_at_once, columns: most, together, .. } = self.blocking;
        let pitch = if together { self.layout.pitch } else { columns.min(most) };
        for rows in chunks(output.rows.len(), rows_at_once) {
            for columns in chunks(columns, most) {
                let (lines, line) = match together {
                    true => (1, 0..(rows.len() - 1) * pitch + columns.len()),
                    false => (rows.len(), columns.clone()),
                };
                for y in 0..lines {
                    let source = &strip[(rows.start + y) * self.layout.pitch..];
                    for pixels in parts(line.clone(), tile::pixels::<S>()) {
                        let tile = tile::Tile::<S> {
                            source: source[pixels.start..].as_ptr(),
                            channels: work.packed.sources,
                            channel: self.layout.channel,
                            taps: &self.layout.taps,
                            weights: output.weights.as_ptr(),
                            target: stage[y * pitch + pixels.start - columns.start..].as_mut_ptr(),
                            target_channel: STAGE_PITCH,
                            target_channels: output.channels,
                        };
                        // SAFETY: the instruction set is available. A strip holds for each channel all that the taps of its outputs
                        // read (`Layout`); the weights of the block are packed as the tile reads them; and the pixels of
                        // these rows in every channel fit into the stage.
                        unsafe { tile.run(pixels.len()) };
                    }
                }
                let (rows, spacing) = (rows.clone(), self.pass.pass.axes[2].stride);
                let staged = Staged { data: stage, channel: STAGE_PITCH, pitch, spacing, rows, columns };
                self.put(work, staged, output);
            }
        }
    }

    /// Goes through the pixels of a pass that reads the source in place.
    fn vectors(&self, work: &Work<'_, S>, strip: &[S::T], stage: &mut [S::T], output: &OutputBlock<'_, S::T>) {
        for columns in chunks(output.columns.len(), self.blocking.columns) {
            for pixels in chunks(columns.len(), pointwise::VECTORS * S::LANES) {
                for channel in (0..output.channels).step_by(pointwise::CHANNELS) {
                    let kernel = pointwise::Pointwise::<S> {
                        source: strip[columns.start + pixels.start..].as_ptr(),
                        channels: work.packed.sources,
                        channel: self.layout.channel,
                        weights: output.weights[channel..].as_ptr(),
                        weights_step: output.channels.next_multiple_of(S::LANES),
                        target: stage[channel * STAGE_PITCH + pixels.start..].as_mut_ptr(),
                        target_channel: STAGE_PITCH,
                    };
                    // SAFETY: the instruction set is available. The source has these pixels in each channel; weights are packed for whole
                    // vectors of channels, multiples of what is taken here; and the stage has room for as many, and for whole vectors of
                    // pixels.
                    unsafe { kernel.run(pixels.len()) };
                }
            }
            let (pitch, spacing) = (columns.len(), self.pass.pass.axes[2].stride);
            self.put(work, Staged { data: stage, channel: STAGE_PITCH, pitch, spacing, rows: 0..1, columns }, output);
        }
    }

    /// Takes the strip as one run. The distance between the channels that it writes.
    fn sums(&self, work: &Work<'_, S>, strip: &[S::T], stage: &mut [S::T], output: &OutputBlock<'_, S::T>) -> usize {
        let len = (output.rows.len() - 1) * self.layout.pitch + output.columns.len();
        let vectors = len.div_ceil(S::LANES);
        let channel = vectors * S::LANES;
        for vectors in parts(0..vectors, run::vectors::<S>(output.channels)) {
            let start = vectors.start * S::LANES;
            let run = run::Run::<S> {
                source: strip[start..].as_ptr(),
                channels: work.packed.sources,
                channel: self.layout.channel,
                taps: &self.layout.taps,
                weights: output.weights.as_ptr(),
                target: stage[start..].as_mut_ptr(),
                target_channel: channel,
                target_channels: output.channels,
            };
            // SAFETY: as for tiles; what is read beyond the last row is the slack at the end of the strip, and the stage has
            // room for whole vectors of every channel.
            unsafe { run.run(vectors.len()) };
        }
        channel
    }

    /// Applies the epilogue to a stage and copies it to the target.
    fn put(&self, work: &Work<'_, S>, mut stage: Staged<'_, S::T>, output: &OutputBlock<'_, S::T>) {
        let [d, h, w] = &self.pass.pass.axes;
        let [_, height, width] = work.sides.target;
        // Rows that are contiguous in the target are made contiguous here.
        if stage.rows.len() > 1 && stage.columns.len() == width && stage.pitch > width {
            let (rows, columns, pitch) = (stage.rows.len(), width, stage.pitch);
            for channel in 0..output.channels {
                let data = &mut stage.data[channel * stage.channel..][..(rows - 1) * pitch + columns];
                // SAFETY: the instruction set is available, or `S` would not have been chosen.
                unsafe { S::run(Compact::<S> { data, rows, columns, pitch }) };
            }
            stage.pitch = width;
        }
        let epilogue = match work.epilogue {
            Epilogue::Elementwise(epilogue) => epilogue,
            Epilogue::Blockwise(blockwise) => return self.put_blockwise(work, stage, output, blockwise),
        };
        let target_len: usize = work.sides.target.iter().product();
        let (first_row, first_column) =
            (output.rows.start + stage.rows.start, output.columns.start + stage.columns.start);
        let line = ((d.first + output.depth * d.stride) * height + h.first + first_row * h.stride) * width;
        let first = output.first * target_len + line + w.first + first_column * w.stride;
        let together =
            h.stride == 1 && stage.spacing == 1 && stage.pitch == stage.columns.len() && stage.pitch == width;
        let (rows, len) = match together {
            true => (1, stage.rows.len() * width),
            false => (stage.rows.len(), stage.columns.len()),
        };
        let first_of_sample = output.first % (work.packed.groups * work.packed.targets);
        for channel in 0..output.channels {
            for row in 0..rows {
                let from = &stage.data[channel * stage.channel + row * stage.pitch..][..len];
                let index = first + channel * target_len + row * h.stride * width;
                let to = work.target.at(index, (len - 1) * stage.spacing + 1);
                let which = first_of_sample + channel;
                // SAFETY: these elements exist, and no other job has these rows and columns of these channels of this sample.
                unsafe {
                    if stage.spacing == 1 {
                        epilogue.write::<S>(from, to, which, index);
                    } else {
                        epilogue.write_spaced(from, to, stage.spacing, which, index);
                    }
                }
            }
        }
    }

    /// Applies a block epilogue to a stage, segment by segment, and copies it to the target.
    fn put_blockwise(
        &self,
        work: &Work<'_, S>,
        stage: Staged<'_, S::T>,
        output: &OutputBlock<'_, S::T>,
        blockwise: Blockwise<'_, S::T>,
    ) {
        let (mut second, twice) = ([S::T::zero(); STAGE], blockwise.second.is_some());
        let all = work.packed.groups * work.packed.targets;
        let [_, all_rows, all_columns] = self.pass.pass.axes.each_ref().map(|axis| axis.len);
        let [_, height, width] = work.sides.target;
        let target_len: usize = work.sides.target.iter().product();
        let (first_row, first_column) =
            (output.rows.start + stage.rows.start, output.columns.start + stage.columns.start);
        let RowBlocking { rows: rows_at_once, segment: most, .. } = self.blocking;
        for rows in chunks(stage.rows.len(), rows_at_once) {
            for columns in chunks(stage.columns.len(), most) {
                let (row, column) = (first_row + rows.start, first_column + columns.start);
                let which = (output.depth * all_rows.div_ceil(rows_at_once) + row / rows_at_once)
                    * all_columns.div_ceil(most)
                    + column / most;
                let mut total = Accounts::default();
                for channel in 0..output.channels {
                    // Rows of a segment are whole, and follow each other here as they do in the target.
                    let start = channel * stage.channel + rows.start * stage.pitch + columns.start;
                    let segment = &mut stage.data[start..][..rows.len() * columns.len()];
                    let whole = output.first + channel;
                    let index = whole * target_len + (output.depth * height + row) * width + column;
                    let second = &mut second[..if twice { segment.len() } else { 0 }];
                    total += blockwise.epilogue.apply(segment, second, blockwise.biases(whole), index);
                    // Before this sample, and in it before the second result, there are as many elements again.
                    let sample = whole / all;
                    let to = |result: usize| index + if twice { (sample + result) * all * target_len } else { 0 };
                    // SAFETY: these elements exist, and no other job has these rows and columns of these channels of this sample.
                    unsafe {
                        let copy = |from: &[S::T], to: usize| {
                            std::ptr::copy_nonoverlapping(from.as_ptr(), work.target.at(to, from.len()), from.len());
                        };
                        copy(segment, to(0));
                        if twice {
                            copy(second, to(1));
                        }
                    }
                }
                // SAFETY: no other job has this segment of these channels.
                unsafe { work.accounts.at(output.block * work.segments + which, 1).write(total) };
            }
        }
    }
}

/// Outputs in a buffer in the cache. Rows of the target go far apart, often by a multiple of 4096 bytes, to addresses that push each
/// other out of the cache; so they are collected until there is enough of each row.
struct Staged<'a, T> {
    data: &'a mut [T],
    /// Distances between channels and rows.
    channel: usize,
    pitch: usize,
    /// Distance between columns in the target.
    spacing: usize,
    /// The rows and columns of the strip.
    rows: Range<usize>,
    columns: Range<usize>,
}

/// A block of output channels of a strip, and its position in the target.
struct OutputBlock<'a, T> {
    weights: &'a [T],
    /// The block, and the number of its channels; blocks are counted through the batch.
    block: usize,
    channels: usize,
    /// The first of them, counted through the batch.
    first: usize,
    depth: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Compacts rows of a stage that are `pitch` apart.
struct Compact<'a, S: Simd> {
    data: &'a mut [S::T],
    rows: usize,
    columns: usize,
    pitch: usize,
}

impl<S: Simd> Task for Compact<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { data, rows, columns, pitch } = self;
        assert!(columns <= pitch && (rows - 1) * pitch + columns <= data.len());
        let data = data.as_mut_ptr();
        for row in 1..rows {
            // SAFETY: the instruction set is the caller's, and these rows exist. What is written stands before all that is read later.
            unsafe {
                let (from, to) = (data.add(row * pitch), data.add(row * columns));
                let mut i = 0;
                while i + S::LANES <= columns {
                    S::store(to.add(i), S::load(from.add(i)));
                    i += S::LANES;
                }
                if i < columns {
                    S::store_first(to.add(i), columns - i, S::load_first(from.add(i), columns - i));
                }
            }
        }
    }
}

/// Interleaves two rows, of which two passes have computed every other element.
struct Interleave<'a, S: Simd> {
    a: &'a [S::T],
    b: &'a [S::T],
    to: &'a mut [S::T],
}

impl<S: Simd> Task for Interleave<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { a, b, to } = self;
        assert!(to.len() == a.len() + b.len() && (b.len() == a.len() || b.len() + 1 == a.len()));
        let mut i = 0;
        while i < a.len() {
            let (in_a, in_b) = (left::<S>(a.len(), i), left::<S>(b.len(), i));
            let (low, high) = ((in_a + in_b).min(S::LANES), (in_a + in_b).saturating_sub(S::LANES));
            // SAFETY: the instruction set is the caller's, and nothing beyond the ends is read or written.
            unsafe {
                let (from_a, from_b) = (a.as_ptr().add(i), b.as_ptr().wrapping_add(i));
                let both = S::zip(S::load_first(from_a, in_a), S::load_first(from_b, in_b));
                let to = to.as_mut_ptr().add(2 * i);
                S::store_first(to, low, both[0]);
                S::store_first(to.wrapping_add(S::LANES), high, both[1]);
            }
            i += S::LANES;
        }
    }
}

/// Transposes sums into a stage, in which the pixels of a channel are contiguous.
struct Transpose<'a, S: Simd> {
    /// `step` elements from one pixel to the next, with whole vectors of channels.
    sums: &'a [S::T],
    step: usize,
    pixels: usize,
    stage: &'a mut [S::T],
    channels: usize,
}

impl<S: Simd> Task for Transpose<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        for c in (0..self.channels).step_by(S::LANES) {
            for p in (0..self.pixels).step_by(S::LANES) {
                let (pixels, channels) = ((self.pixels - p).min(S::LANES), (self.channels - c).min(S::LANES));
                let from = &self.sums[p * self.step + c..][..(pixels - 1) * self.step + S::LANES];
                let to = &mut self.stage[c * STAGE_PITCH + p..][..(channels - 1) * STAGE_PITCH + pixels];
                // SAFETY: the instruction set is the caller's, and these elements are there.
                unsafe {
                    S::transpose(from.as_ptr(), self.step, pixels, to.as_mut_ptr(), STAGE_PITCH, channels);
                }
            }
        }
    }
}
