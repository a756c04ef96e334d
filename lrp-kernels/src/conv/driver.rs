//! A convolution, pass by pass: what its passes share, and the jobs that are divided among threads.
//!
//! A *job* is a strip of outputs (a few rows of one sample and group) and some blocks of its output channels ([`schedule`](super::schedule)). It
//! copies the rows that the strip reads into a buffer of its thread (unless the pass can read the source in place), then goes through the
//! blocks ([`loops`](super::loops)); for each, the weights of the block stay in the cache while the tiles of the strip pass by, and results go
//! to the target ([`stores`](super::stores)). Every output is summed by one job in one order, however the work is divided: so results depend
//! neither on the number of threads nor on the batch.

#![allow(unsafe_code)]

use num_traits::Zero;

use super::epilogue::{ElementEpilogue, Epilogue};
use super::run;
use super::schedule::{PassSchedule, STAGE_PITCH, Sides};
use super::stores::Work;
use super::weights::{Packed, Shape};
use crate::accounts::Accounts;
use crate::simd::Simd;
use crate::{Scratch, Shared, each, each_chunk, uninit};

/// Multiply-adds below which a job is not worth handing to another thread.
const GRAIN: usize = 1 << 16;

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
