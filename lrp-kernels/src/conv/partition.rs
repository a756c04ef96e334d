//! Work partition: divides a pass among threads in strips of outputs and parts of the output channels, such that all end together.

use super::{sparse, tile};
use crate::simd::Simd;

/// Jobs per thread, so that unequal jobs even out.
const JOBS_PER_THREAD: usize = 4;

/// The target job count of one of `others` equal parts of the work.
pub(super) fn target_jobs(threads: usize, others: usize) -> usize {
    if threads == 1 { 1 } else { (threads * JOBS_PER_THREAD).div_ceil(others) }
}

/// Pixels whose products take as long as getting the weights of a block for one more strip.
const WEIGHTS: usize = 8;

/// The most sizes of strips, and of parts, that are tried.
const TRIED: usize = 12;

/// The work of a pass: blocks of channels of the same strip, for each of many samples, groups and depths.
#[derive(Debug)]
pub(super) struct Partition {
    pub threads: usize,
    /// Samples, groups and depths.
    pub others: usize,
    /// Rows or columns that strips are made of; strips are a multiple of `step`, and at least `strips` of them.
    pub len: usize,
    pub step: usize,
    pub strips: usize,
    /// Pixels of one of those.
    pub pixels: usize,
    /// The number of rows or columns that a strip reads beyond its own, if jobs copy their source.
    pub copied: Option<usize>,
    pub taps: usize,
    /// The number of blocks of output channels, and the number that one job should take together.
    pub blocks: usize,
    pub together: usize,
}

impl Partition {
    /// The length of strips, and the blocks of a job, for which the busiest thread has least to do.
    pub fn choose(&self) -> (usize, usize) {
        let &Self { threads, others, len, step, strips, .. } = self;
        let strips = numbers(strips, target_jobs(threads, others));
        let strips = strips.map(|n| len.div_ceil(n.clamp(1, len)).next_multiple_of(step).min(len));
        let both = strips.map(|strip| (strip, self.choose_blocks(strip)));
        both.min_by_key(|&(strip, part)| self.cost(strip, part)).unwrap_or((len, self.blocks))
    }

    /// As [`choose`](Self::choose), for strips of this length.
    pub fn choose_blocks(&self, strip: usize) -> usize {
        let &Self { threads, others, blocks, together, .. } = self;
        let groups = blocks.div_ceil(together);
        let parts = numbers(1, target_jobs(threads, others).min(groups));
        let parts = parts.map(|n| (groups.div_ceil(n) * together).min(blocks));
        parts.min_by_key(|&part| self.cost(strip, part)).unwrap_or(blocks)
    }

    /// The estimated time of the busiest thread.
    fn cost(&self, strip: usize, part: usize) -> usize {
        let &Self { threads, others, len, pixels, copied, taps, blocks, .. } = self;
        let jobs = others * len.div_ceil(strip) * blocks.div_ceil(part);
        let read = copied.map_or(0, |more| (strip + more) * pixels);
        let job = taps * (strip * pixels + WEIGHTS) * part + read;
        // At the end, a thread waits for another for a part of a job.
        (4 * jobs.div_ceil(threads) + 1) * job
    }
}

/// Numbers of parts that are tried.
fn numbers(least: usize, most: usize) -> impl Iterator<Item = usize> {
    let most = most.max(least);
    (least..=most).step_by(((most - least) / TRIED).max(1))
}

/// The length of segments of a single row of `columns` columns, at most `longest`: such that threads can divide them evenly, unless they
/// divide blocks of channels, and segments are not too short.
pub(super) fn segment<S: Simd>(columns: usize, longest: usize, blocks: usize) -> usize {
    const SHORT: usize = 98;
    const EVEN: usize = 8;
    let least = columns.div_ceil(longest);
    let target = EVEN.div_ceil(blocks.div_ceil(sparse::BLOCKS)).min(columns / SHORT);
    let segments = if least >= EVEN { least.next_multiple_of(EVEN) } else { least.max(target) };
    columns.div_ceil(segments.max(1)).next_multiple_of(tile::pixels::<S>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strips and parts of a pass over a single row.
    fn of_a_row(threads: usize, columns: usize, blocks: usize, together: usize) -> (usize, usize) {
        let others = 1;
        let (copied, taps) = (None, 1);
        let partition =
            Partition { threads, others, len: columns, step: 14, strips: 1, pixels: 1, copied, taps, blocks, together };
        partition.choose()
    }

    #[test]
    fn threads_end_together() {
        // Many channels are divided, not few pixels; few channels are not.
        assert_eq!(of_a_row(2, 196, 32, 4), (196, 4));
        assert_eq!(of_a_row(2, 49, 64, 4), (49, 8));
        assert_eq!(of_a_row(2, 784, 4, 4), (98, 4));
        assert_eq!(of_a_row(1, 784, 16, 4), (784, 16));
        // Rows are copied with those around them: seven of four rows would leave a thread waiting.
        let (copied, taps) = (Some(2), 9);
        let rows = Partition {
            threads: 2,
            others: 1,
            len: 28,
            step: 1,
            strips: 1,
            pixels: 28,
            copied,
            taps,
            blocks: 4,
            together: 4,
        };
        assert_eq!(rows.choose(), (7, 4));
        // There are samples enough.
        assert_eq!(Partition { others: 64, ..rows }.choose(), (28, 4));
    }

    #[test]
    fn anything_can_be_divided() {
        for threads in [1, 2, 7, 64] {
            for (columns, blocks) in [(1, 1), (5, 3), (3136, 1), (3, 1000), (1 << 20, 2)] {
                for together in [1, 4] {
                    let (strip, part) = of_a_row(threads, columns, blocks, together);
                    assert!((1..=columns).contains(&strip) && (1..=blocks).contains(&part));
                }
            }
        }
    }
}
