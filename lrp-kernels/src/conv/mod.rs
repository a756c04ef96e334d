//! Convolution, forward and adjoint, for any groups, strides, paddings and dilations in one to three dimensions.
//!
//! Direct convolution: nothing is gathered into a matrix. `passes` brings both directions into one form, `weights` packs
//! weights once, `strip` copies a few rows with their padding, `tile`, `run` and `pointwise` are micro-kernels, `sparse` is the one that skips
//! zeros. `driver` goes through the passes, `schedule` and `partition` divide them among threads, `loops` does a job, `stores` writes results,
//! and `epilogue` has the operations on sums before they are written. A transposed convolution is the same pair with the roles swapped.

mod driver;
mod epilogue;
mod loops;
mod partition;
mod passes;
mod patch;
mod pointwise;
mod run;
mod schedule;
mod sparse;
mod stores;
mod strip;
pub(crate) mod tile;
mod weights;
mod winograd;

use std::sync::{Arc, OnceLock};

pub use self::epilogue::{BlockEpilogue, ElementEpilogue, Limits};
use self::epilogue::{Blockwise, Epilogue, Shifted};
use self::schedule::Sides;
pub use self::weights::Direction;
use self::weights::Packed;
use super::each_chunk;
use super::simd::{Isa, with_isa};
use super::window::Window;
use crate::accounts::Accounts;
use crate::simd::scalar::Scalar;
use crate::weights::{Stored, Weights};

/// The algorithm of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// All products are computed and summed.
    #[default]
    Direct,
    /// Winograd's F(2×2, 3×3): four ninths of the products, rounding errors as those of the direct way, packed weights 16/9 times. For 3×3
    /// kernels with stride and dilation 1 and padding of at most 2.
    Winograd2,
    /// Winograd's F(4×4, 3×3): a quarter of the products, rounding errors a few times as large, packed weights four times. For the same.
    Winograd4,
}

impl Algorithm {
    /// The name used in listings.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct",
            Algorithm::Winograd2 => "winograd-2x2",
            Algorithm::Winograd4 => "winograd-4x4",
        }
    }
}

/// Elements that a thread computes one after the other, where each is computed by itself.
const AT_ONCE: usize = 16;

/// A convolution, one way, with the packed weights of the ways in which it has been computed.
#[derive(Debug)]
struct Prepared<T> {
    direct: OnceLock<Packed<T>>,
    winograd: OnceLock<winograd::Packed<T>>,
}

impl<T> Default for Prepared<T> {
    fn default() -> Self {
        Self { direct: OnceLock::new(), winograd: OnceLock::new() }
    }
}

/// Weights and geometry of a convolution.
///
/// Weights are packed for each direction when it is first needed and kept for as long as the kernel or a copy of it lives, unless memory
/// counts more than time.
#[derive(Debug, Clone)]
pub struct ConvKernel<T> {
    /// `[out, in / groups, taps…]`.
    pub weights: Weights<T>,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Number of parts that the input channels are of, each of which is treated as if it were alone.
    parts: usize,
    /// Number of groups; divides both.
    pub groups: usize,
    /// The input positions of each output position.
    pub window: Window,
    isa: Isa,
    algorithm: Algorithm,
    /// The direction that is computed exactly whatever the algorithm.
    decisive: Option<Direction>,
    /// The share of nonzero elements below which zeros are skipped, if it is not chosen automatically.
    sparse: Option<f64>,
    /// Whether packed weights are thrown away after each call.
    thrifty: bool,
    forward: Arc<Prepared<T>>,
    adjoint: Arc<Prepared<T>>,
}

impl<T: Scalar> ConvKernel<T> {
    /// A convolution from `inputs` to `outputs` channels in `groups` with weights `[outputs, inputs / groups, taps]`.
    pub fn new(weights: impl Into<Weights<T>>, inputs: usize, outputs: usize, groups: usize, window: Window) -> Self {
        let (forward, adjoint) = Default::default();
        Self {
            weights: weights.into(),
            inputs,
            outputs,
            parts: 1,
            groups,
            window,
            isa: Isa::best(),
            algorithm: Algorithm::Direct,
            decisive: None,
            sparse: None,
            thrifty: false,
            forward,
            adjoint,
        }
    }

    /// The same kernel on another instruction set, if the machine has it. For tests and measurements.
    pub fn with_isa(&self, isa: Isa) -> Self {
        let isa = if isa.is_available() { isa } else { self.isa };
        Self { isa, ..self.with_weights(self.weights.clone()) }
    }

    /// The same kernel computed in another way, where that is possible.
    pub fn with_algorithm(&self, algorithm: Algorithm) -> Self {
        let algorithm = if winograd::applies(&self.window) { algorithm } else { Algorithm::Direct };
        Self { algorithm, decisive: None, ..self.with_weights(self.weights.clone()) }
    }

    /// The same kernel, skipping the zeros of a sample if a smaller share of its elements than this is nonzero, if there is a kernel for
    /// that. For tests and measurements.
    pub fn with_sparse(&self, share: f64) -> Self {
        Self { sparse: Some(share), ..self.with_weights(self.weights.clone()) }
    }

    /// The same kernel computed in the fastest way; in the direction in which the network runs, in the fastest of those that round as the
    /// direct way does. There, rounding decides which neurons fire and which one of a pool wins, and one that is decided otherwise changes
    /// relevance more than all rounding on the way back. Copies with modified weights decide nothing.
    pub fn fastest(&self, runs: Direction) -> Self {
        Self { decisive: Some(runs), ..self.with_algorithm(winograd::fastest(self)) }
    }

    /// The same kernel computed directly, without keeping packed weights: they are packed again for each call.
    pub fn thrifty(&self) -> Self {
        Self { thrifty: true, ..self.with_algorithm(Algorithm::Direct) }
    }

    /// The algorithm, both ways and after [`map`](Self::map).
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `W x` for a batch `x` of samples `[inputs, positions]`.
    pub fn forward(&self, x: &[T]) -> Vec<T> {
        self.forward_then(x, ElementEpilogue::Plain)
    }

    /// As [`forward`](Self::forward), with an epilogue.
    pub fn forward_then(&self, x: &[T], epilogue: ElementEpilogue<'_, T>) -> Vec<T> {
        self.convolve_then(x, Direction::Forward, epilogue)
    }

    /// A block epilogue of `W x + b`, with one number of `b` for each channel. If it has two results, there are as many channels again, and
    /// `second` has a number for each of them. Also returns the accounts of each sample.
    pub fn forward_blockwise(
        &self,
        x: &[T],
        b: &[T],
        second: Option<&[T]>,
        epilogue: &dyn BlockEpilogue<T>,
    ) -> (Vec<T>, Vec<Accounts>) {
        let (mut written, mut totals) = (Vec::new(), Vec::new());
        for run in self.runs(x, Direction::Forward) {
            let shifted = Shifted { epilogue, by: run.first };
            let blockwise = Blockwise { epilogue: &shifted, b, second };
            let (some, sums) = self.convolve(&run, Direction::Forward, Epilogue::Blockwise(blockwise));
            totals.extend(sums);
            append(&mut written, some);
        }
        (written, totals)
    }

    /// `Wᵀ s` for a batch `s` of samples `[outputs, positions]`.
    pub fn adjoint(&self, s: &[T]) -> Vec<T> {
        self.adjoint_then(s, ElementEpilogue::Plain)
    }

    /// As [`adjoint`](Self::adjoint), with an epilogue.
    pub fn adjoint_then(&self, s: &[T], epilogue: ElementEpilogue<'_, T>) -> Vec<T> {
        self.convolve_then(s, Direction::Adjoint, epilogue)
    }

    /// `W x` of one sample at some elements of the result, each by itself.
    pub fn forward_at(&self, x: &[T], at: &[usize]) -> Vec<T> {
        let (positions, ins, taps) = (self.window.output_len(), self.inputs / self.groups, self.window.taps());
        let per_group = self.outputs / self.groups;
        let mut sums = vec![T::zero(); at.len()];
        each_chunk(&mut sums, 1, AT_ONCE, &|index, sum| {
            let (channel, position) = (at[index] / positions, at[index] % positions);
            let connected = self.window.connected(position);
            let first = channel / per_group * ins;
            let rows = self.weights.stored()[channel * ins * taps..]
                .chunks(taps)
                .zip(x.chunks(self.window.input_len()).skip(first));
            let products = rows
                .take(ins)
                .flat_map(|(w, x)| connected.iter().map(|&(tap, input)| w[tap].get().wide() * x[input].wide()));
            sum.fill(T::of(products.sum()));
        });
        sums
    }

    fn convolve_then(&self, source: &[T], direction: Direction, epilogue: ElementEpilogue<'_, T>) -> Vec<T> {
        let mut written = Vec::new();
        for run in self.runs(source, direction) {
            let epilogue = Epilogue::Elementwise(epilogue.from(run.first));
            append(&mut written, self.convolve(&run, direction, epilogue).0);
        }
        written
    }

    /// Divides a batch into runs of samples that are computed in the same way.
    fn runs<'a>(&self, source: &'a [T], direction: Direction) -> Vec<Run<'a, T>> {
        let (ins, outs) = (self.inputs * self.window.input_len(), self.outputs * self.window.output_len());
        let (sample, result) = match direction {
            Direction::Forward => (ins, outs),
            Direction::Adjoint => (outs, ins),
        };
        let limit = with_isa!(self.isa, T, S => match self.sparse {
            _ if !sparse::applies::<S<T>>(self, direction) => 0.0,
            Some(limit) => limit,
            None => sparse::limit::<S<T>>(self, direction, self.way(direction)),
        });
        let mut runs: Vec<Run<'a, T>> = Vec::new();
        for (index, x) in source.chunks(sample.max(1)).enumerate() {
            let sparse = limit > 0.0 && sparse::share(x) < limit;
            match runs.last_mut() {
                Some(run) if run.sparse == sparse => run.samples += 1,
                _ => runs.push(Run { source, samples: 1, first: index * result, sparse }),
            }
        }
        let mut rest = source;
        for run in &mut runs {
            (run.source, rest) = rest.split_at(run.samples * sample);
        }
        runs
    }

    /// The algorithm one way, if the source has few zeros.
    fn way(&self, direction: Direction) -> Algorithm {
        match self.algorithm {
            Algorithm::Winograd4 if self.decisive == Some(direction) => Algorithm::Winograd2,
            algorithm => algorithm,
        }
    }

    fn convolve(&self, run: &Run<'_, T>, direction: Direction, epilogue: Epilogue<'_, T>) -> (Vec<T>, Vec<Accounts>) {
        let axes = &self.window.axes;
        let (inputs, outputs) = (axes.map(|a| a.input), axes.map(|a| a.output));
        let (prepared, source_space, mut target) = match direction {
            Direction::Forward => (&self.forward, inputs, outputs),
            Direction::Adjoint => (&self.adjoint, outputs, inputs),
        };
        let source_len = source_space.iter().product();
        let passing = Prepared::default();
        let prepared = if self.thrifty { &passing } else { prepared };
        with_isa!(self.isa, T, S => {
            let way = self.way(direction);
            if way == Algorithm::Direct || run.sparse {
                let packed = prepared.direct.get_or_init(|| {
                    let packed = Packed::new::<S<T>>(self, direction);
                    self.weights.release();
                    packed
                });
                if let Epilogue::Blockwise(blockwise) = epilogue
                    && packed.passes.iter().all(|pass| pass.pass.outputs() == 0)
                {
                    // All outputs read nothing but padding.
                    let len = target.iter().product();
                    return apply_to_channels(vec![T::zero(); run.samples * self.outputs * len], len, self.outputs, blockwise);
                }
                if packed.passes.iter().any(|pass| pass.pass.in_place) {
                    target = [1, 1, target.iter().product()];
                }
                return driver::convolve::<S<T>>(packed, Sides { source_len, target }, run.source, epilogue, run.sparse);
            }
            let packed = prepared.winograd.get_or_init(|| {
                let packed = winograd::Packed::new::<S<T>>(self, direction, way == Algorithm::Winograd2);
                self.weights.release();
                packed
            });
            let sides = Sides { source_len, target };
            match epilogue {
                Epilogue::Elementwise(epilogue) => (winograd::convolve::<S<T>>(packed, sides, run.source, epilogue), Vec::new()),
                // Outputs come row by row; an epilogue for each row takes longer than a pass over all.
                Epilogue::Blockwise(blockwise) => {
                    let y = winograd::convolve::<S<T>>(packed, sides, run.source, ElementEpilogue::Plain);
                    apply_to_channels(y, target.iter().product(), self.outputs, blockwise)
                }
            }
        })
    }

    /// The taps between two channels of a group.
    fn taps(&self, direction: Direction, group: usize, target: usize, source: usize) -> &[Stored<T>] {
        let (o, i) = match direction {
            Direction::Forward => (target, source),
            Direction::Adjoint => (source, target),
        };
        let (ins, outs, taps) = (self.inputs / self.groups, self.outputs / self.groups, self.window.taps());
        &self.weights.stored()[((group * outs + o) * ins + i) * taps..][..taps]
    }

    /// The same geometry with other weights.
    pub fn map(&self, f: &dyn Fn(T) -> T) -> Self {
        let mapped = self.with_weights(self.weights.map(f));
        Self { decisive: None, ..mapped }
    }

    /// A kernel for two inputs, one after the other, with the weights of each mapped through a function of its own; not for groups.
    pub fn concat_inputs(&self, f: &dyn Fn(T) -> T, g: &dyn Fn(T) -> T) -> Option<Self> {
        let Self { inputs, outputs, parts, .. } = *self;
        let (taps, stored) = (self.window.taps(), self.weights.stored());
        let both = |row: &[Stored<T>]| {
            row.iter().map(|w| f(w.get())).chain(row.iter().map(|w| g(w.get()))).collect::<Vec<_>>()
        };
        let weights = || {
            let rows = stored.chunks((inputs * taps).max(1));
            Weights::new(&[outputs, 2 * inputs, taps], rows.flat_map(both).collect())
        };
        (self.groups == 1).then(|| Self {
            inputs: 2 * inputs,
            parts: 2 * parts,
            decisive: None,
            ..self.with_weights(weights())
        })
    }

    /// A kernel with all outputs twice, with weights mapped through one function and then through another; not for groups. The adjoint adds up
    /// the adjoints of the two halves.
    pub fn concat_outputs(&self, f: &dyn Fn(T) -> T, g: &dyn Fn(T) -> T) -> Option<Self> {
        let Self { inputs, outputs, .. } = *self;
        let stored = self.weights.stored();
        let weights = || {
            let both = stored.iter().map(|w| f(w.get())).chain(stored.iter().map(|w| g(w.get())));
            Weights::new(&[2 * outputs, inputs, self.window.taps()], both.collect())
        };
        (self.groups == 1).then(|| Self { outputs: 2 * outputs, decisive: None, ..self.with_weights(weights()) })
    }

    /// The same geometry with weights `f(output channel, input channel within its group, weight)`.
    pub fn map_by_channel(&self, f: impl Fn(usize, usize, T) -> T) -> Self {
        let (taps, ins) = (self.window.taps(), self.inputs / self.groups);
        self.with_weights(self.weights.map_indexed(|i, w| f(i / (taps * ins), i / taps % ins, w)))
    }

    fn with_weights(&self, weights: Weights<T>) -> Self {
        let (forward, adjoint) = Default::default();
        Self { weights, window: self.window.clone(), forward, adjoint, ..*self }
    }
}

/// Samples that follow each other in a batch and are computed in the same way.
struct Run<'a, T> {
    source: &'a [T],
    samples: usize,
    /// Index of the first element in the result for the whole batch.
    first: usize,
    /// Whether zeros are skipped.
    sparse: bool,
}

/// Adds elements to others; where there are none yet, without a copy.
fn append<T>(all: &mut Vec<T>, some: Vec<T>) {
    if all.is_empty() {
        *all = some;
    } else {
        all.extend(some);
    }
}

/// Applies a block epilogue to complete sums, in which each sample has `channels` channels of `len` outputs; each channel is a segment. Also
/// returns the accounts of each sample.
fn apply_to_channels<T: Scalar>(
    mut y: Vec<T>,
    len: usize,
    channels: usize,
    blockwise: Blockwise<'_, T>,
) -> (Vec<T>, Vec<Accounts>) {
    let mut finished = vec![(Vec::new(), Accounts::default()); y.len() / len.max(1)];
    let mut work: Vec<_> = y.chunks_mut(len.max(1)).zip(&mut finished).collect();
    each_chunk(&mut work, 1, 1, &|index, channel| {
        for (segment, finished) in channel {
            let mut second = vec![T::zero(); if blockwise.second.is_some() { len } else { 0 }];
            let sums = blockwise.epilogue.apply(segment, &mut second, blockwise.biases(index), index * len);
            **finished = (second, sums);
        }
    });
    if blockwise.second.is_some() {
        let firsts = y.chunks((channels * len).max(1));
        let seconds = finished.chunks(channels).map(|of_sample| of_sample.iter().flat_map(|(second, _)| second));
        y = firsts.zip(seconds).flat_map(|(first, second)| first.iter().chain(second)).copied().collect();
    }
    let mut totals = vec![Accounts::default(); finished.len() / channels];
    for (index, (_, sums)) in finished.into_iter().enumerate() {
        totals[index / channels] += sums;
    }
    (y, totals)
}

#[cfg(test)]
mod tests;
