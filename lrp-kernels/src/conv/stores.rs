//! Writing results: a stage in the cache gets its epilogue and goes to the target, and sums go to the ledger's accounts.

#![allow(unsafe_code)]

use std::ops::Range;

use num_traits::Zero;

use super::epilogue::{Blockwise, Epilogue};
use super::schedule::{PassSchedule, RowBlocking, STAGE, STAGE_PITCH, Sides};
use super::weights::Packed;
use crate::accounts::Accounts;
use crate::simd::{Simd, Task, left};
use crate::{Shared, chunks};

/// The data that the jobs of all passes share.
pub(super) struct Work<'a, S: Simd> {
    pub(super) packed: &'a Packed<S::T>,
    pub(super) sides: Sides,
    pub(super) source: &'a [S::T],
    pub(super) target: Shared<S::T>,
    pub(super) epilogue: Epilogue<'a, S::T>,
    /// Terms of the ledger of the segments of a block of channels, and the number of segments of a channel.
    pub(super) accounts: Shared<Accounts>,
    pub(super) segments: usize,
    /// Whether zeros of the source are skipped.
    pub(super) sparse: bool,
}

/// Outputs in a buffer in the cache. Rows of the target go far apart, often by a multiple of 4096 bytes, to addresses that push each
/// other out of the cache; so they are collected until there is enough of each row.
pub(super) struct Staged<'a, T> {
    pub(super) data: &'a mut [T],
    /// Distances between channels and rows.
    pub(super) channel: usize,
    pub(super) pitch: usize,
    /// Distance between columns in the target.
    pub(super) spacing: usize,
    /// The rows and columns of the strip.
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

/// A block of output channels of a strip, and its position in the target.
pub(super) struct OutputBlock<'a, T> {
    pub(super) weights: &'a [T],
    /// The block, and the number of its channels; blocks are counted through the batch.
    pub(super) block: usize,
    pub(super) channels: usize,
    /// The first of them, counted through the batch.
    pub(super) first: usize,
    pub(super) depth: usize,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl<S: Simd> PassSchedule<'_, S> {
    /// Applies the epilogue to a stage and copies it to the target.
    pub(super) fn put(&self, work: &Work<'_, S>, mut stage: Staged<'_, S::T>, output: &OutputBlock<'_, S::T>) {
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

/// Compacts rows of a stage that are `pitch` apart.
struct Compact<'a, S: Simd> {
    pub(super) data: &'a mut [S::T],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) pitch: usize,
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
pub(super) struct Interleave<'a, S: Simd> {
    pub(super) a: &'a [S::T],
    pub(super) b: &'a [S::T],
    pub(super) to: &'a mut [S::T],
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
pub(super) struct Transpose<'a, S: Simd> {
    /// `step` elements from one pixel to the next, with whole vectors of channels.
    pub(super) sums: &'a [S::T],
    pub(super) step: usize,
    pub(super) pixels: usize,
    pub(super) stage: &'a mut [S::T],
    pub(super) channels: usize,
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
