//! Convolution, forward and adjoint, for any groups, strides, paddings and dilations in one to three dimensions.
//!
//! Direct convolution: nothing is gathered into a matrix. `passes` brings both directions into one form, `weights` packs
//! weights once, `strip` copies a few rows with their padding, `tile` and `run` are the two micro-kernels, and `driver` has
//! the loops and divides them among threads. A transposed convolution is the same pair with the roles swapped.

mod driver;
mod finish;
mod passes;
mod patch;
mod run;
mod strip;
mod tile;
mod weights;
mod winograd;

use std::sync::{Arc, OnceLock};

use self::driver::Sides;
use self::finish::After;
pub use self::finish::{Finish, Finisher, Limits};
pub(crate) use self::weights::Direction;
use self::weights::Packed;
use super::each_chunk;
use super::simd::{Isa, with_isa};
use super::window::Window;
use crate::scalar::Scalar;
use crate::weights::{Stored, Weights};

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Every product is made and summed.
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

/// A convolution, one way, with packed weights.
#[derive(Debug)]
enum Prepared<T> {
    Direct(Packed<T>),
    Winograd(Box<winograd::Packed<T>>),
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
    stacked: usize,
    /// Number of groups; divides both.
    pub groups: usize,
    /// Which input positions each output position sees.
    pub window: Window,
    isa: Isa,
    algorithm: Algorithm,
    /// The direction that is computed exactly whatever the algorithm.
    decisive: Option<Direction>,
    /// Whether packed weights are thrown away after each call.
    thrifty: bool,
    forward: Arc<OnceLock<Prepared<T>>>,
    adjoint: Arc<OnceLock<Prepared<T>>>,
}

impl<T: Scalar> ConvKernel<T> {
    /// A convolution from `inputs` to `outputs` channels in `groups` with weights `[outputs, inputs / groups, taps]`.
    pub fn new(weights: impl Into<Weights<T>>, inputs: usize, outputs: usize, groups: usize, window: Window) -> Self {
        let (forward, adjoint) = Default::default();
        Self {
            weights: weights.into(),
            inputs,
            outputs,
            stacked: 1,
            groups,
            window,
            isa: Isa::best(),
            algorithm: Algorithm::Direct,
            decisive: None,
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

    /// The same kernel computed in the fastest way; in the direction in which the network runs, in the fastest of those that round as the
    /// direct way does. There, rounding decides which neurons fire and which one of a pool wins, and one that is decided otherwise changes
    /// relevance more than all rounding on the way back. Copies with modified weights decide nothing.
    pub(crate) fn fastest(&self, runs: Direction) -> Self {
        Self { decisive: Some(runs), ..self.with_algorithm(winograd::fastest(self)) }
    }

    /// The same kernel computed directly, without keeping packed weights: they are packed again for each call.
    pub(crate) fn thrifty(&self) -> Self {
        Self { thrifty: true, ..self.with_algorithm(Algorithm::Direct) }
    }

    /// How it is computed, both ways and after [`map`](Self::map).
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `W x` for a batch `x` of samples `[inputs, positions]`.
    pub fn forward(&self, x: &[T]) -> Vec<T> {
        self.forward_then(x, Finish::Plain)
    }

    /// As [`forward`](Self::forward), finished.
    pub fn forward_then(&self, x: &[T], finish: Finish<'_, T>) -> Vec<T> {
        self.convolve(x, Direction::Forward, After::Finish(finish)).0
    }

    /// What a finisher makes of `W x + b`, with one number of `b` for each channel. For each sample, what it adds to its two accounts, and
    /// the sum of all that is written times the bias there.
    pub fn forward_pieces(&self, x: &[T], b: &[T], finisher: &dyn Finisher<T>) -> (Vec<T>, Vec<[f64; 3]>) {
        let (written, sums) = self.convolve(x, Direction::Forward, After::Pieces(finisher, b));
        let samples = x.len() / (self.inputs * self.window.input_len()).max(1);
        let channel = sums.len() / (samples * self.outputs).max(1);
        let of_sample = |sums: &[[f64; 3]]| {
            let mut total = [0.0; 3];
            for (sums, b) in sums.chunks(channel).zip(b.iter().cycle()) {
                for &[first, second, written] in sums {
                    total = [total[0] + first, total[1] + second, total[2] + b.wide() * written];
                }
            }
            total
        };
        (written, sums.chunks((channel * self.outputs).max(1)).map(of_sample).collect())
    }

    /// `Wᵀ s` for a batch `s` of samples `[outputs, positions]`.
    pub fn adjoint(&self, s: &[T]) -> Vec<T> {
        self.adjoint_then(s, Finish::Plain)
    }

    /// As [`adjoint`](Self::adjoint), finished.
    pub fn adjoint_then(&self, s: &[T], finish: Finish<'_, T>) -> Vec<T> {
        self.convolve(s, Direction::Adjoint, After::Finish(finish)).0
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

    fn convolve(&self, source: &[T], direction: Direction, after: After<'_, T>) -> (Vec<T>, Vec<[f64; 3]>) {
        let axes = &self.window.axes;
        let (inputs, outputs) = (axes.map(|a| a.input), axes.map(|a| a.output));
        let (packed, source_space, mut target) = match direction {
            Direction::Forward => (&self.forward, inputs, outputs),
            Direction::Adjoint => (&self.adjoint, outputs, inputs),
        };
        let source_len = source_space.iter().product();
        with_isa!(self.isa, T, S => {
            let prepare = || {
                let packed = match self.algorithm {
                    Algorithm::Direct => Prepared::Direct(Packed::new::<S<T>>(self, direction)),
                    algorithm => {
                        let small = algorithm == Algorithm::Winograd2 || self.decisive == Some(direction);
                        Prepared::Winograd(Box::new(winograd::Packed::new::<S<T>>(self, direction, small)))
                    }
                };
                self.weights.let_go();
                packed
            };
            let passing;
            let prepared = if self.thrifty {
                passing = prepare();
                &passing
            } else {
                packed.get_or_init(prepare)
            };
            match prepared {
                Prepared::Direct(packed) => {
                    if packed.passes.iter().any(|pass| pass.pass.in_place) {
                        target = [1, 1, target.iter().product()];
                    }
                    driver::convolve::<S<T>>(packed, Sides { source_len, target }, source, after)
                }
                Prepared::Winograd(packed) => {
                    let sides = Sides { source_len, target };
                    match after {
                        After::Finish(finish) => (winograd::convolve::<S<T>>(packed, sides, source, finish), Vec::new()),
                        // Outputs come row by row; finishing each by itself takes longer than a pass over all.
                        After::Pieces(finisher, b) => {
                            let y = winograd::convolve::<S<T>>(packed, sides, source, Finish::Plain);
                            finish_channels(y, target.iter().product(), b, finisher)
                        }
                    }
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

    /// A kernel for two inputs on top of each other, with the weights of each mapped through a function of its own; not for groups.
    pub fn stacked(&self, f: &dyn Fn(T) -> T, g: &dyn Fn(T) -> T) -> Option<Self> {
        let Self { inputs, outputs, stacked, .. } = *self;
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
            stacked: 2 * stacked,
            decisive: None,
            ..self.with_weights(weights())
        })
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

/// Has sums that are all there finished, with each channel of `len` outputs as a piece.
fn finish_channels<T: Scalar>(
    mut y: Vec<T>,
    len: usize,
    b: &[T],
    finisher: &dyn Finisher<T>,
) -> (Vec<T>, Vec<[f64; 3]>) {
    let mut sums = vec![[0.0; 3]; y.len() / len.max(1)];
    let mut channels: Vec<_> = y.chunks_mut(len.max(1)).zip(&mut sums).collect();
    each_chunk(&mut channels, 1, 1, &|index, channel| {
        for (piece, sums) in channel {
            **sums = finisher.finish(piece, b[index % b.len()], index * len);
        }
    });
    (y, sums)
}

#[cfg(test)]
mod tests;
