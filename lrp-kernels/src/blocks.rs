//! Element-by-element work on whole batches, divided among threads.
//!
//! Every sample is divided into blocks of a fixed length, and the sums of blocks are added in their order: a sample's numbers do not
//! depend on the number of threads or on the rest of the batch.

use std::ops::Range;

use crate::accounts::Accounts;
use crate::each_chunk;

/// Elements of a block: a few pages, so that handing one to a thread costs little in proportion.
pub const BLOCK: usize = 1 << 14;

/// A sum over a sample, block by block.
pub trait Sum: Copy + Send {
    /// Nothing.
    const ZERO: Self;

    /// `self += other`.
    fn add(&mut self, other: Self);
}

impl<const K: usize> Sum for [f64; K] {
    const ZERO: Self = [0.0; K];

    fn add(&mut self, other: Self) {
        self.iter_mut().zip(other).for_each(|(sum, v)| *sum += v);
    }
}

impl Sum for Accounts {
    const ZERO: Self = Accounts { stabilizer: 0.0, zero_denominator: 0.0, bias: 0.0 };

    fn add(&mut self, other: Self) {
        *self += other;
    }
}

/// A block of a sample: its indices, its output, and its terms of the sums of the sample.
struct Block<'a, V, A> {
    sample: usize,
    range: Range<usize>,
    y: &'a mut [V],
    sums: A,
}

/// The index ranges of the blocks of a batch of `len` elements with `per_sample` each: sample by sample, in order.
fn ranges(len: usize, per_sample: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let samples = len.checked_div(per_sample).unwrap_or(0);
    (0..samples).flat_map(move |sample| {
        let (first, end) = (sample * per_sample, (sample + 1) * per_sample);
        (first..end).step_by(BLOCK).map(move |start| (sample, start..end.min(start + BLOCK)))
    })
}

/// Computes all blocks and adds up their sums. Here and in all that follows, `f` is no type parameter: dividing work among threads is a lot of
/// code, and would be compiled again for every function of elements.
fn compute<V: Send, A: Sum>(
    mut blocks: Vec<Block<'_, V, A>>,
    samples: usize,
    f: &(dyn Fn(&mut Block<'_, V, A>) + Sync),
) -> Vec<A> {
    each_chunk(&mut blocks, 1, 1, &|_, block| block.iter_mut().for_each(f));
    let mut sums = vec![A::ZERO; samples];
    for block in blocks {
        if let Some(sum) = sums.get_mut(block.sample) {
            sum.add(block.sums);
        }
    }
    sums
}

/// `K` sums for each of `samples` samples of `per_sample` elements, of the sums of `f` over ranges of elements.
pub fn sum_blocks<const K: usize>(
    samples: usize,
    per_sample: usize,
    f: &(dyn Fn(Range<usize>) -> [f64; K] + Sync),
) -> Vec<[f64; K]> {
    let len = samples * per_sample;
    let blocks = ranges(len, per_sample);
    let blocks = blocks.map(|(sample, range)| Block { sample, range, y: &mut [] as &mut [u8], sums: [0.0; K] });
    compute(blocks.collect(), samples, &|block| block.sums = f(block.range.clone()))
}

/// A function of a range of elements, which writes them, and gives sums over them.
pub type Writes<'f, V, A> = &'f (dyn Fn(Range<usize>, &mut [V]) -> A + Sync);

/// As [`sum_blocks`], for a function that also writes: it gets the range of elements, and these of `y`.
pub fn write_blocks<V: Send, const K: usize>(
    y: &mut [V],
    per_sample: usize,
    f: Writes<'_, V, [f64; K]>,
) -> Vec<[f64; K]> {
    write_blocks_to(y, per_sample, f)
}

/// As [`write_blocks`], with sums of any type.
pub fn write_blocks_to<V: Send, A: Sum>(y: &mut [V], per_sample: usize, f: Writes<'_, V, A>) -> Vec<A> {
    let len = y.len();
    let samples = len.checked_div(per_sample).unwrap_or(0);
    let mut rest = y;
    let blocks = ranges(len, per_sample).map(|(sample, range)| {
        let (y, after) = std::mem::take(&mut rest).split_at_mut(range.len());
        rest = after;
        Block { sample, range, y, sums: A::ZERO }
    });
    compute(blocks.collect(), samples, &|block| block.sums = f(block.range.clone(), block.y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_once_and_samples_apart() {
        for (samples, per_sample) in [(0, 5), (3, 1), (2, BLOCK), (3, BLOCK + 1), (1, 9 * BLOCK + 7)] {
            let mut y = vec![0u32; samples * per_sample];
            let sums = write_blocks(&mut y, per_sample, &|range, y| {
                assert_eq!(range.len(), y.len());
                y.iter_mut().for_each(|v| *v += 1);
                [y.len() as f64, range.start as f64]
            });
            assert!(y.iter().all(|&v| v == 1));
            assert_eq!(sums.iter().map(|s| s[0]).collect::<Vec<_>>(), vec![per_sample as f64; samples]);
            let again = sum_blocks(samples, per_sample, &|range| [range.len() as f64, range.start as f64]);
            assert_eq!(again, sums);
        }
    }
}
