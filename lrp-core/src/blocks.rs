//! Element-by-element work on whole batches, divided among threads.
//!
//! Every sample is divided into blocks of a fixed length, and what blocks sum up is added in their order: a sample's numbers do not
//! depend on the number of threads or on the rest of the batch.

use std::ops::Range;

use rayon::prelude::*;

/// Elements of a block: a few pages, so that handing one to a thread costs little in proportion.
const BLOCK: usize = 1 << 14;

/// Less work than this is not worth waking threads up for.
const PARALLEL: usize = 4 * BLOCK;

/// The blocks of a batch of `len` elements with `per_sample` each: sample by sample, in order.
fn ranges(len: usize, per_sample: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let samples = len.checked_div(per_sample).unwrap_or(0);
    (0..samples).flat_map(move |sample| {
        let (first, end) = (sample * per_sample, (sample + 1) * per_sample);
        (first..end).step_by(BLOCK).map(move |start| (sample, start..end.min(start + BLOCK)))
    })
}

/// Adds up what the blocks of each sample gave.
fn add_up<const K: usize>(parts: Vec<(usize, [f64; K])>, samples: usize) -> Vec<[f64; K]> {
    let mut sums = vec![[0.0; K]; samples];
    for (sample, part) in parts {
        if let Some(sum) = sums.get_mut(sample) {
            sum.iter_mut().zip(part).for_each(|(sum, v)| *sum += v);
        }
    }
    sums
}

/// `K` sums for each of `samples` samples of `per_sample` elements, of what `f` sums over a range of elements.
pub fn sum_blocks<const K: usize>(
    samples: usize,
    per_sample: usize,
    f: impl Fn(Range<usize>) -> [f64; K] + Sync,
) -> Vec<[f64; K]> {
    let len = samples * per_sample;
    let blocks = ranges(len, per_sample);
    let parts = if len < PARALLEL {
        blocks.map(|(sample, range)| (sample, f(range))).collect()
    } else {
        let blocks: Vec<_> = blocks.collect();
        blocks.into_par_iter().map(|(sample, range)| (sample, f(range))).collect()
    };
    add_up(parts, samples)
}

/// As [`sum_blocks`], for a function that also writes: it gets the range of elements, and these of `y`.
pub fn write_blocks<V: Send, const K: usize>(
    y: &mut [V],
    per_sample: usize,
    f: impl Fn(Range<usize>, &mut [V]) -> [f64; K] + Sync,
) -> Vec<[f64; K]> {
    let len = y.len();
    let samples = len.checked_div(per_sample).unwrap_or(0);
    let mut rest = y;
    let blocks = ranges(len, per_sample).map(|(sample, range)| {
        let (block, after) = std::mem::take(&mut rest).split_at_mut(range.len());
        rest = after;
        (sample, range, block)
    });
    let parts = if len < PARALLEL {
        blocks.map(|(sample, range, block)| (sample, f(range, block))).collect()
    } else {
        let blocks: Vec<_> = blocks.collect();
        blocks.into_par_iter().map(|(sample, range, block)| (sample, f(range, block))).collect()
    };
    add_up(parts, samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_once_and_samples_apart() {
        for (samples, per_sample) in [(0, 5), (3, 1), (2, BLOCK), (3, BLOCK + 1), (1, 9 * BLOCK + 7)] {
            let mut y = vec![0u32; samples * per_sample];
            let sums = write_blocks(&mut y, per_sample, |range, y| {
                assert_eq!(range.len(), y.len());
                y.iter_mut().for_each(|v| *v += 1);
                [y.len() as f64, range.start as f64]
            });
            assert!(y.iter().all(|&v| v == 1));
            assert_eq!(sums.iter().map(|s| s[0]).collect::<Vec<_>>(), vec![per_sample as f64; samples]);
            let again = sum_blocks(samples, per_sample, |range| [range.len() as f64, range.start as f64]);
            assert_eq!(again, sums);
        }
    }
}
