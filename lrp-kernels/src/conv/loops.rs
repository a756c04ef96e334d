//! The loops around the micro-kernels: one job copies the rows that its strip reads, and goes through its blocks of channels.

#![allow(unsafe_code)]

use super::schedule::{PassSchedule, RowBlocking, STAGE_PITCH};
use super::stores::{Interleave, OutputBlock, Staged, Transpose, Work};
use super::strip::{Fill, SLACK};
use super::weights::Shape;
use super::{pointwise, run, sparse, tile};
use crate::simd::Simd;
use crate::{chunks, parts};

impl<S: Simd> PassSchedule<'_, S> {
    /// Does one job: parts of the channels innermost, then strips, depths, groups, samples.
    pub(super) fn run(&self, work: &Work<'_, S>, job: usize, next: Option<&Self>, memory: [&mut [S::T]; 4]) {
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
        // As many rows for the last columns, which may be few, as for others: words for more are not there.
        let rows_at_once = self.rows_of_sums(layout.columns.min(most), outputs.len() * work.packed.block);
        for columns in chunks(output.columns.len(), most) {
            for rows in chunks(output.rows.len(), rows_at_once) {
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
}
